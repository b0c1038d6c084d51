"""The text of a simulated editor: its cursor, its undo steps, and pairs of brackets."""

from __future__ import annotations

from dataclasses import dataclass

PAIRS = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class Edit:
    """`inserted` took the place of `removed` at an offset; `cursors` are before and after."""

    at: int
    removed: str
    inserted: str
    cursors: tuple[int, int]

    @property
    def inverse(self) -> Edit:
        return Edit(self.at, self.inserted, self.removed, self.cursors[::-1])


class Buffer:
    """A document with one cursor."""

    def __init__(self, text: str, cursor: int, *, closes_brackets: bool) -> None:
        self.text, self.cursor = text, cursor
        self._closes_brackets = closes_brackets
        self._undo: list[Edit] = []
        self._redo: list[Edit] = []

    def position(self, offset: int) -> tuple[int, int]:
        """Line and character, from 0."""
        line_start = self.text.rfind("\n", 0, offset) + 1
        return self.text.count("\n", 0, offset), offset - line_start

    def type(self, text: str) -> Edit:
        """Type one key: a character, or a line break with its indentation."""
        at = self.cursor
        is_closer = self._closes_brackets and text in PAIRS.values()
        if is_closer and self.text.startswith(text, at):
            # It is typed over.
            return self._apply(Edit(at, text, text, (at, at + 1)))
        closer = PAIRS.get(text, "") if self._closes_brackets else ""
        before, after = self.text[max(0, at - 1) : at], self.text[at : at + 1]
        if after.strip() not in ("", *")]}") or (
            text in "'\"" and (before.isalnum() or before == text)
        ):
            closer = ""
        edit = Edit(at, "", text + closer, (at, at + len(text)))
        last = self._undo[-1] if self._undo else None
        if (
            last is not None
            and not closer
            and text.isalnum()
            and not last.removed
            and last.inserted.isalnum()
            and last.cursors[1] == at == last.at + len(last.inserted)
        ):
            # Letters that were typed one after the other are undone together.
            self._undo.pop()
            self._apply(edit)
            self._undo[-1] = Edit(
                last.at, "", last.inserted + text, (last.cursors[0], edit.cursors[1])
            )
            return edit
        return self._apply(edit)

    def insert(self, text: str) -> Edit:
        """Accept a text."""
        return self._apply(Edit(self.cursor, "", text, (self.cursor, self.cursor + len(text))))

    def replace(self, at: int, removed: int, inserted: str) -> Edit:
        """Change any place; the cursor goes behind the change, or into a pair of brackets."""
        cursor = at + (1 if PAIRS.get(inserted[:1]) == inserted[1:] != "" else len(inserted))
        old = self.text[at : at + removed]
        return self._apply(Edit(at, old, inserted, (self.cursor, cursor)))

    def backspace(self) -> Edit:
        at = self.cursor - 1
        removed = self.text[at]
        if self._closes_brackets and PAIRS.get(removed) == self.text[at + 1 : at + 2]:
            removed += self.text[at + 1]
        return self._apply(Edit(at, removed, "", (at + 1, at)))

    def undo(self) -> Edit | None:
        if not self._undo:
            return None
        edit = self._undo.pop()
        self._redo.append(edit)
        return self._change(edit.inverse)

    def redo(self) -> Edit | None:
        if not self._redo:
            return None
        edit = self._redo.pop()
        self._undo.append(edit)
        return self._change(edit)

    def _apply(self, edit: Edit) -> Edit:
        self._redo.clear()
        self._undo.append(edit)
        return self._change(edit)

    def _change(self, edit: Edit) -> Edit:
        end = edit.at + len(edit.removed)
        assert self.text[edit.at : end] == edit.removed
        self.text = self.text[: edit.at] + edit.inserted + self.text[end:]
        self.cursor = edit.cursors[1]
        return edit
