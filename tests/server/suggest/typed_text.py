"""A document under the keys of a made-up user, who also accepts what is shown, and undoes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TypedText:
    """The text and the cursor."""

    text: str = ""
    cursor: int = 0
    undo: list[tuple[str, int]] = field(default_factory=list)

    @property
    def before(self) -> str:
        return self.text[: self.cursor]

    @property
    def after(self) -> str:
        return self.text[self.cursor :]

    def press(self, key: str, shown: str) -> str | None:
        """What the key inserts, if it does nothing else.

        "word", "line" and "all" accept so much of what is shown; "undo", "back" and "left" are
        those keys; anything else is typed.
        """
        was = self.text, self.cursor
        inserted = None
        if key == "undo":
            self.text, self.cursor = self.undo.pop() if self.undo else was
            return None
        if key == "back":
            if self.cursor:
                self.text, self.cursor = self.before[:-1] + self.after, self.cursor - 1
        elif key == "left":
            self.cursor = max(0, self.cursor - 1)
        else:
            parts = {"word": shown.split(" ")[0], "line": shown.split("\n")[0], "all": shown}
            inserted = parts.get(key, key)
            self.text = self.before + inserted + self.after
            self.cursor += len(inserted)
        self.undo.append(was)
        return inserted
