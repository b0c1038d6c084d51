"""Adapts ghost text for editors that do not handle it as LSP specifies.

Each rule is a pure function for one quirk and names the editor; `capabilities.py` says which
client has which quirk. For another quirk, add a rule here and a property there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lsprotocol import types

from dg_lsp.document.position import LINE_END
from dg_lsp.server.capabilities import ClientFeatures


@dataclass(frozen=True, slots=True)
class GhostText:
    """A text in place of a range on one line, and the rest of the line after the range."""

    text: str
    range: types.Range
    rest: str


def adapt(ghost: GhostText, client: ClientFeatures) -> GhostText:
    """The ghost text in a form that this client draws as it will be inserted."""
    for has_quirk, rule in RULES:
        if has_quirk(client):
            ghost = rule(ghost)
    return ghost


def keep_the_line_together(ghost: GhostText) -> GhostText:
    """Neovim draws the rest of the line after the first line of ghost text, not after the last.

    If the first line covers the rest, the text replaces the rest and repeats it after its last
    line; otherwise only the first line is suggested.
    """
    rest = ghost.rest
    first, *others = LINE_END.split(ghost.text)
    if not others or not rest.strip():
        return ghost
    if not (rest.isascii() and rest.isprintable() and len(first) >= len(rest)):
        return replace(ghost, text=first)
    end = ghost.range.end
    behind = types.Position(end.line, end.character + len(rest))
    return GhostText(ghost.text + rest, types.Range(ghost.range.start, behind), "")


def end_lines_with_lf(ghost: GhostText) -> GhostText:
    """Neovim splits ghost text only at LF, whatever the line ends of the document are."""
    return replace(ghost, text=LINE_END.sub("\n", ghost.text))


RULES: tuple[tuple[Callable[[ClientFeatures], bool], Callable[[GhostText], GhostText]], ...] = (
    (lambda client: client.tears_ghost_text, keep_the_line_together),
    (lambda client: client.inserts_line_ends_as_they_are, end_lines_with_lf),
)
