"""A small stock keeper. One line of it, in `reserve`, is not finished yet."""

import json


class Inventory:
    """Counts items by name."""

    def __init__(self, path):
        self.path = path
        self.items = {}
        self.reserved = {}

    def load(self):
        with open(self.path) as file:
            self.items = json.load(file)

    def add(self, name, count=1):
        self.items[name] = self.items.get(name, 0) + count
        return self.items[name]

    def reserve(self, name, count=1):
        self.reserved[name] =
        return self.reserved[name]

    def remove(self, name):
        if name not in self.items:
            raise KeyError(name)
        del self.items[name]

    def total(self):
        return sum(self.items.values())

    def save(self):
        with open(self.path, "w") as file:
            json.dump(self.items, file)

    def __len__(self):
        return len(self.items)
