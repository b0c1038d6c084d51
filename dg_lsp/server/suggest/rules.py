"""When the model is not asked, although the user has typed.

Each rule is a pure function of what the editor told about the cursor, with a name and a reason
for the trace. They hold only for requests that no key of the user's was meant for, and only
where nothing is known yet: what was shown before is shown again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dg_lsp.document.position import LINE_END
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.reason import Reason, ReasonCode

CLOSERS = ")]}>"
MAY_FOLLOW_CLOSERS = " \t;,:"
QUOTES = "\"'`"


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry that is selected in an open completion list."""

    text: str
    replaced: str
    """The text in the document that it would replace."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What led to a request."""

    is_deletion: bool = False
    """Whether the last edit only removed text."""
    entry: Entry | None = None


def after_deletion_in_word(site: InsertionSite, now: Situation) -> bool:
    """The user is correcting a word and knows its letters: `prin|` after a backspace."""
    return now.is_deletion and is_word(site.prefix[-1:])


def inside_word(site: InsertionSite, now: Situation) -> bool:
    """Letters on both sides: whatever is inserted makes another word of them, `pri|nt`."""
    return now.entry is None and is_word(site.prefix[-1:]) and is_word(site.suffix[:1])


def only_closers_to_come(site: InsertionSite, now: Situation) -> bool:
    """An argument is complete, and only the brackets around it are left: `f(g(x)|)`."""
    rest, *_ = LINE_END.split(site.suffix, maxsplit=1)
    is_closing = rest[:1] in tuple(CLOSERS) and not rest.strip(CLOSERS + MAY_FOLLOW_CLOSERS)
    return is_closing and site.prefix[-1:] in tuple(CLOSERS + QUOTES)


def entry_not_extended(site: InsertionSite, now: Situation) -> bool:
    """The entry selected in a list does not begin with what was typed, as after a fuzzy
    search; an editor shows only ghost text that continues both."""
    return now.entry is not None and not now.entry.text.startswith(now.entry.replaced)


RULES: dict[Callable[[InsertionSite, Situation], bool], str] = {
    after_deletion_in_word: "part of a word was just deleted",
    inside_word: "the cursor is inside a word",
    only_closers_to_come: "only closing brackets are left on the line",
    entry_not_extended: "the entry selected in the editor's list replaces what was typed",
}


def reason_not_to_ask(site: InsertionSite, situation: Situation) -> Reason | None:
    """The reason of the first rule that applies."""
    for applies, message in RULES.items():
        if applies(site, situation):
            return Reason(ReasonCode.NOT_ASKED, message)
    return None


def is_word(character: str) -> bool:
    """Whether a character belongs to a word; an empty one does not."""
    return character == "_" or character.isalnum()
