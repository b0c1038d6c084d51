"""A typist who writes a given text: pauses, typing errors, jumps, undo, and accepts.

Every decision is drawn from a generator of its own, named after the place in the text, so that
two variants of the server meet the same typist although they show different suggestions.
"""

from __future__ import annotations

import enum
import math
import random
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a key does."""

    TYPE = "type"
    BACKSPACE = "backspace"
    MOVE = "move"
    UNDO = "undo"
    REDO = "redo"
    ACCEPT = "accept"
    EDIT = "edit"
    """An edit of a recording, anywhere in the document."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its text; for a move the number of lines up, or 0 to go back to the text; and
    for an edit its offset and the number of characters removed."""

    kind: Kind
    text: str = ""
    lines_up: int = 0
    at: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Time that passes before the next key."""

    ms: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How the typist types; times are medians of log-normal distributions."""

    letter_ms: float = 150.0
    """Within a word."""
    word_ms: float = 230.0
    """Before the first letter of a word, and before signs."""
    line_ms: float = 700.0
    """Before the first key of a line."""
    spread: float = 0.35
    """Of the logarithm of a pause."""
    thinking_share: float = 0.025
    thinking_ms: float = 2200.0
    """Now and then the typist stops to think."""
    error_share: float = 0.03
    """Letters that are mistyped; the typist notices after up to two more."""
    away_share: float = 0.06
    """Lines before which the typist goes somewhere else, looks, and comes back."""
    undo_share: float = 0.02
    """Words after which the typist undoes and redoes."""
    notice_ms: float = 300.0
    """How long a suggestion must have been there to be noticed."""
    accept_share: float = 0.8
    """Of the right texts that are noticed; the first right line or word counts too."""
    undo_accept_share: float = 0.15
    """Accepts that are undone and done again."""


PARTS: dict[str, Callable[[str], str]] = {}
"""What can be accepted of a suggestion, the most first."""
_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)?")
LEAST_CHARS = {"all": 2, "line": 3, "word": 4}
"""Fewer characters are typed faster than accepted."""


def first_line(text: str) -> str:
    """As both editors take a line: a line end at the very start belongs to the next one."""
    end = text.find("\n", 1)
    return text if end < 0 else text[:end]


def first_word(text: str) -> str:
    found = _WORD.match(text)
    assert found is not None
    return found[0]


PARTS.update(all=lambda text: text, line=first_line, word=first_word)

Shown = Callable[[float], str]
"""The suggestion that has been visible for so many milliseconds; empty if there is none."""
Step = Key | Pause


def write(target: str, shown: Shown, seed: str, habits: Habits) -> Iterator[Step]:
    """Write the target at the cursor."""

    def drawn(what: str, at: int) -> random.Random:
        return random.Random(f"{seed} {what} {at}")

    at = 0
    undone_at = -1
    while at < len(target):
        yield Pause(_pause_ms(target, at, drawn("pause", at), habits))
        accepted = _accepted(target[at:], shown(habits.notice_ms), drawn("accept", at), habits)
        if accepted:
            yield Key(Kind.ACCEPT, accepted)
            at += len(accepted)
            if drawn("undo an accept", at).random() < habits.undo_accept_share:
                yield from _undo_and_redo(drawn("undone accept", at))
            continue
        key = target[at]
        if key == "\n":
            key = _line_break(target, at)
            lines = drawn("away", at)
            if lines.random() < habits.away_share:
                yield from _away(lines)
        elif key.isalpha() and drawn("error", at).random() < habits.error_share:
            yield from _mistype(target, at, drawn("mistyped", at), habits)
        yield Key(Kind.TYPE, key)
        at += len(key)
        is_word_end = key.isalnum() and not target[at : at + 1].isalnum()
        if is_word_end and at != undone_at:
            undone_at = at
            undoing = drawn("undo", at)
            if undoing.random() < habits.undo_share:
                yield from _undo_and_redo(undoing)


def _line_break(target: str, at: int) -> str:
    end = at + 1
    while target[end : end + 1] in (" ", "\t") and end < len(target):
        end += 1
    return target[at:end]


def _pause_ms(target: str, at: int, rng: random.Random, habits: Habits) -> float:
    if rng.random() < habits.thinking_share:
        return _log_normal(habits.thinking_ms, rng, habits)
    before = target[at - 1 : at]
    if at == 0 or before in ("\n", "") or not target[:at].rpartition("\n")[2].strip():
        return _log_normal(habits.line_ms, rng, habits)
    is_inside = target[at].isalnum() and before.isalnum()
    return _log_normal(habits.letter_ms if is_inside else habits.word_ms, rng, habits)


def _log_normal(median_ms: float, rng: random.Random, habits: Habits) -> float:
    return median_ms * math.exp(rng.gauss(0.0, habits.spread))


def _accepted(rest: str, text: str, rng: random.Random, habits: Habits) -> str:
    """The longest part of the suggestion that is right, if the typist takes it."""
    if not text or rng.random() >= habits.accept_share:
        return ""
    for name, part in PARTS.items():
        taken = part(text)
        if len(taken) >= LEAST_CHARS[name] and rest.startswith(taken):
            return taken
    return ""


def _mistype(
    target: str, at: int, rng: random.Random, habits: Habits
) -> Generator[Step, None, None]:
    """A wrong letter and what is typed before it is noticed, and all of it taken back."""
    wrong = rng.choice("abcdefghijklmnopqrstuvwxyz".replace(target[at].lower(), ""))
    more = target[at + 1 : at + 1 + rng.randrange(3)]
    more = more if more.isalnum() else ""
    typed = wrong + more
    for letter in typed:
        yield Key(Kind.TYPE, letter)
        yield Pause(_log_normal(habits.letter_ms, rng, habits))
    yield Pause(_log_normal(habits.word_ms, rng, habits))
    for _ in typed:
        yield Key(Kind.BACKSPACE)
        yield Pause(_log_normal(habits.letter_ms, rng, habits))


def _away(rng: random.Random) -> Generator[Step, None, None]:
    yield Key(Kind.MOVE, lines_up=rng.randrange(1, 12))
    yield Pause(rng.uniform(800, 3000))
    yield Key(Kind.MOVE)
    yield Pause(rng.uniform(400, 1200))


def _undo_and_redo(rng: random.Random) -> Generator[Step, None, None]:
    yield Pause(rng.uniform(300, 800))
    yield Key(Kind.UNDO)
    yield Pause(rng.uniform(300, 1500))
    yield Key(Kind.REDO)
