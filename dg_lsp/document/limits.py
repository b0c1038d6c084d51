"""How long a selection may be that a model rewrites at once."""

from __future__ import annotations

from dg_lsp.document.position import line_ends_before
from dg_lsp.document.window import Measure, WindowBudget, split_window
from dg_lsp.job import Span


def too_long(
    model: str, prefix_tokens: int, measure: Measure, text: str, span: Span
) -> str | None:
    """Why a selection is more than the model rewrites at once, if it is.

    The model writes a long text block after block, and reads all settled blocks for the next
    one. The text may therefore be as long as the text before a span that the model reads.
    """
    selection = text[span.start : span.end]
    budget = WindowBudget(0, prefix_tokens)
    fitting = split_window(selection, 0, 0, budget, measure).suffix
    if len(fitting) == len(selection):
        return None
    first = line_ends_before(text, span.start) + 1
    last = first + line_ends_before(fitting, len(fitting)) - 1
    if last < first:
        way_out = f"select a part of line {first}"
    elif last == first:
        way_out = f"select line {first} alone"
    else:
        way_out = f"select lines {first} to {last}, and the others afterwards"
    lines = line_ends_before(selection.rstrip("\r\n"), len(selection)) + 1
    size = f"{lines} lines are" if lines > 1 else "the line is"
    return f"{size} more than the {model} model rewrites at once: {way_out}"
