"""Limits the length of a selection that a model rewrites at once."""

from __future__ import annotations

from dg_lsp.document.position import line_ends_before
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.document.window import Measure, WindowBudget, split_window
from dg_lsp.reason import Reason, ReasonCode


def too_long(
    model: str, prefix_tokens: int, measure: Measure, site: InsertionSite
) -> Reason | None:
    """Why a selection is too long for the model to rewrite at once, or None.

    The model writes a long text block by block, and reads all settled blocks before the next
    one. The selection may therefore be as long as the text before a span that the model reads.
    """
    selection = site.replaced or ""
    budget = WindowBudget(0, prefix_tokens)
    fitting = split_window(selection, 0, 0, budget, measure).suffix
    if len(fitting) == len(selection):
        return None
    first = site.first_line + line_ends_before(site.prefix, len(site.prefix))
    last = first + line_ends_before(fitting, len(fitting)) - 1
    if last < first:
        way_out = f"select a part of line {first}"
    elif last == first:
        way_out = f"select line {first} alone"
    else:
        way_out = f"select lines {first} to {last}, and the others afterwards"
    lines = line_ends_before(selection.rstrip("\r\n"), len(selection)) + 1
    size = f"{lines} lines are" if lines > 1 else "the line is"
    return Reason(
        ReasonCode.TOO_LONG, f"{size} more than the {model} model rewrites at once: {way_out}"
    )
