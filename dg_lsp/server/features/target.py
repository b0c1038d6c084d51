"""The place of a request's ghost text, and the text that it continues."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lsprotocol import types

from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.server.convert import offsets_of, range_at
from dg_lsp.server.lsp_ext import FormattingOptions
from dg_lsp.server.session import Session
from dg_lsp.server.workspace.documents import Document


@dataclass(frozen=True, slots=True)
class Target:
    """Ghost text is `head` plus a suggestion for the site, and replaces the range."""

    site: InsertionSite
    range: types.Range
    head: str = ""


def at_cursor(session: Session, document: Document, cursor: int) -> Target:
    here = range_at(document.text, cursor, cursor, session.units)
    return Target(session.site(document, cursor), here)


def after_entry(
    session: Session, document: Document, selected: types.SelectedCompletionInfo
) -> Target | None:
    """The target after the entry selected in the editor's list; `None` for several lines.

    The editor previews the entry, and accepts only ghost text that begins with it.
    """
    start, end = offsets_of(document.text, selected.range, session.units)
    span = range_at(document.text, start, end, session.units)
    if span.start.line != span.end.line:
        return None
    site = session.site(document, start, end)
    site = replace(site, prefix=site.prefix + selected.text, replaced=None)
    return Target(site, span, selected.text)


def indented(target: Target, formatting: FormattingOptions | None) -> Target:
    """With the editor's indentation, which is used if the document shows none."""
    if formatting is None:
        return target
    unit = " " * formatting.tab_size if formatting.insert_spaces else "\t"
    return replace(target, site=replace(target.site, indent_unit=unit))
