"""Draws the lines around a span on a terminal while the span is being denoised.

Consists of pure functions from a view of the source and a draft to something that rich can
print, and a small driver that limits the frame rate.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple, Self

from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.text import Text

from dg_lsp.cli.cells import (
    CUT,
    VISIBLE,
    Cell,
    Line,
    cells_of,
    fitting,
    split_lines,
    width_of,
    wrapped,
)
from dg_lsp.diagnosis.findings import count_of
from dg_lsp.document.holes import between
from dg_lsp.document.position import line_column_at, line_ends_before
from dg_lsp.document.suggestions import Suggestion
from dg_lsp.job import Draft, Infill, MaskedPlace, Span

LINES_BEFORE = 4
LINES_AFTER = 3
LINE_CHARS = 1000
"""Characters of a line that are considered; more than any terminal is wide."""
SELECTION_CHARS = 4 * LINE_CHARS
PLACEHOLDER = "·"
"""Stands for a character of a token that is not decided."""
FRAME_INTERVAL_S = 1 / 30
"""Nobody sees more frames, and drawing slows down a model on the same CPU."""


@dataclass(frozen=True, slots=True)
class SourceView:
    """The lines around a span, each cut to what a terminal can show."""

    path: str
    first_number: int
    """Line number of the first of `before`, from 1."""
    before: tuple[str, ...]
    head: str
    """The text before the span on its first line."""
    replaced: str
    unseen_lines: int
    """Lines of a large selection that `replaced` leaves out."""
    tail: str
    """The text after the span on its last line."""
    after: tuple[str, ...]
    between: tuple[str, ...] = ()
    """The text between the holes of the span."""


@dataclass(frozen=True, slots=True)
class Screen:
    """The terminal to draw on."""

    width: int
    height: int
    palette: tuple[Style, ...]
    """Colours from low to high confidence."""


def view_around(
    text: str, start: int, end: int, path: str, holes: Sequence[Span] = ()
) -> SourceView:
    """Cut the lines around `[start, end)` out of a document, quickly even for long lines."""
    number, column = line_column_at(text, start)
    line_start = at = start - column + 1
    before: list[str] = []
    while at > 0 and len(before) < LINES_BEFORE:
        line_end = at - (2 if text.endswith("\r\n", 0, at) else 1)
        at = line_end - line_column_at(text, line_end)[1] + 1
        before.insert(0, text[at : min(line_end, at + LINE_CHARS)])
    line_end = _line_end(text, end)
    tail = text[end : min(line_end, end + LINE_CHARS)]
    after: list[str] = []
    while line_end < len(text) and len(after) < LINES_AFTER:
        at = line_end + (2 if text.startswith("\r\n", line_end) else 1)
        line_end = _line_end(text, at)
        after.append(text[at : min(line_end, at + LINE_CHARS)])
    seen = min(end, start + SELECTION_CHARS)
    return SourceView(
        path=path,
        first_number=number - len(before),
        before=tuple(before),
        head=text[max(line_start, start - LINE_CHARS) : start],
        replaced=text[start:seen],
        unseen_lines=line_ends_before(text, end) - line_ends_before(text, seen),
        tail=tail,
        after=tuple(after),
        between=tuple(between(text, holes)),
    )


def draft_frame(
    view: SourceView, draft: Draft | None, elapsed_ms: float, screen: Screen
) -> Group:
    """The source with a draft in place and the progress; `None` before the first draft."""
    if draft is None:
        rows = source_rows(view, screen)
        status = "waiting for the first step"
    else:
        kept = _kept(view, draft.text, draft.segments)
        guessed = list(draft.confidence)
        for part in reversed(kept):
            del guessed[part.start : part.end]
        mean = sum(guessed) / max(1, len(guessed))
        rows = infilled_rows(view, draft.text, draft.confidence, screen, draft.masked, kept)
        sure = f"confidence {mean:.0%}" if draft.text or draft.masked else "empty"
        status = f"step {draft.step} of {draft.steps_allowed} · {sure} · {elapsed_ms:.0f} ms"
    # One row for the status and one for the cursor below; a taller frame cannot be redrawn.
    room = max(1, screen.height - 2)
    if len(rows) > room:
        rows = [Text("⋮", style="dim"), *rows[len(rows) - room + 1 :]]
    return Group(*rows, Text(status, no_wrap=True, overflow="ellipsis"))


def final_frame(
    view: SourceView,
    suggestions: Sequence[Suggestion],
    infill: Infill,
    reason: str | None,
    screen: Screen,
) -> Group:
    """The source with the best suggestion in place, the others below it, and the times."""
    if suggestions:
        best = suggestions[0]
        kept = _kept(view, best.text, best.holes)
        parts = infilled_rows(view, best.text, _tempered(best), screen, kept=kept)
        style = _style_of(best.confidence, screen)
        parts.append(Text.assemble("confidence ", (f"{best.confidence:.0%}", style)))
    else:
        parts = source_rows(view, screen)
        parts.append(Text(f"no suggestion: {reason}"))
    for number, suggestion in enumerate(suggestions[1:], start=2):
        style = _style_of(suggestion.confidence, screen)
        said = (f"{suggestion.confidence:.0%}", style)
        parts.append(Text.assemble(f"candidate {number} · confidence ", said))
        for line in _coloured(suggestion.text, _tempered(suggestion), screen):
            rows = wrapped(cells_of(line, 0), [], max(4, screen.width - 5))
            parts += [_row("  ▌ ", row) for row in rows]
    stages = "".join(f" · {stage} {ms:.0f} ms" for stage, ms in infill.timings_ms.items())
    parts.append(Text(f"{count_of(infill.steps, 'step')}{stages}"))
    parts.append(Text(f"model {infill.model}"))
    if infill.model == "bundled":
        parts.append(Text("The bundled model is only for trying things out."))
        parts.append(Text("If you have a GPU with 18 GB, dg-lsp pull downloads a better one."))
    return Group(*parts)


def infilled_rows(
    view: SourceView,
    text: str,
    confidences: Sequence[float],
    screen: Screen,
    masked: Sequence[MaskedPlace] = (),
    kept: Sequence[Span] = (),
) -> list[Text]:
    """The numbered lines of the view with `text` in place of the span; dots fill its gaps, and
    the parts of it that are `kept` are no guesses, so they have no colour."""
    span = _coloured(text, confidences, screen, masked, kept) if text or masked else _CURSOR
    return _rows(view, span, 0, screen)


def source_rows(view: SourceView, screen: Screen) -> list[Text]:
    """The numbered lines as they are in the file, with the cursor or the selection marked."""
    selected = split_lines([(char, Style(dim=True)) for char in view.replaced])
    return _rows(view, selected if view.replaced else _CURSOR, view.unseen_lines, screen)


def screen_of(console: Console) -> Screen:
    """Measure a terminal; it may have been resized since the last frame."""
    palette = _WITHOUT_COLOUR if console.no_color else _COLOURS
    return Screen(console.width, console.height, palette)


class LiveSpan:
    """Draws one job: entered before the job starts, left with the final frame in place."""

    def __init__(
        self, console: Console, view: SourceView, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._view = view
        self._clock = clock
        # A terminal that this process only draws for is not where it prints.
        redirects = console.file is sys.stdout
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=redirects,
            redirect_stderr=redirects,
        )
        self._latest: Draft | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started = self._next_frame = clock()

    def __enter__(self) -> Self:
        self._live.start()
        self._draw()
        # The first draft is drawn however soon it arrives.
        self._next_frame = self._clock()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop_timer()
        self._live.stop()

    def show(self, draft: Draft) -> None:
        """Draw a draft now, or when the next frame is due, unless a newer one arrives first."""
        self._latest = draft
        wait_s = self._next_frame - self._clock()
        if wait_s <= 0:
            self._draw()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._draw)

    def finish(
        self, suggestions: Sequence[Suggestion], infill: Infill, reason: str | None
    ) -> None:
        """Set the final frame, which is drawn on leaving."""
        self._stop_timer()
        screen = screen_of(self._console)
        # No refresh here: a frame taller than the terminal can be drawn only once.
        self._live.update(final_frame(self._view, suggestions, infill, reason, screen))

    def _draw(self) -> None:
        self._stop_timer()
        now = self._clock()
        self._next_frame = now + FRAME_INTERVAL_S
        elapsed_ms = 1000 * (now - self._started)
        screen = screen_of(self._console)
        frame = draft_frame(self._view, self._latest, elapsed_ms, screen)
        self._live.update(frame, refresh=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _blend(share: float) -> Style:
    """From grey-red through ochre to green, legible on light and on dark backgrounds."""
    unsure, between, sure = (178, 95, 95), (160, 130, 60), (30, 160, 75)
    low, high = (unsure, between) if share < 0.5 else (between, sure)
    part = 2 * share if share < 0.5 else 2 * share - 1
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return Style(color=f"rgb({red},{green},{blue})")


# Few levels, so that neighbours share a style and frames stay short on a slow connection.
_COLOURS = tuple(_blend(level / 7) for level in range(8))
_WITHOUT_COLOUR = (Style(dim=True), Style(dim=True), Style(), Style(bold=True))
_CURSOR: list[Line] = [[(" ", Style(reverse=True))]]

# Red to green is reserved for confidence; the code around it uses weight and one colour.
_THEME = ANSISyntaxTheme(
    {
        ("Comment",): Style(dim=True),
        ("Keyword",): Style(bold=True),
        ("Literal", "String"): Style(color="cyan"),
        ("Literal", "Number"): Style(color="cyan"),
    }
)


def _line_end(text: str, at: int) -> int:
    found = (text.find("\n", at), text.find("\r", at))
    return min((end for end in found if end >= 0), default=len(text))


class _Context(NamedTuple):
    before: list[list[Cell]]
    head: list[Cell]
    tail: list[Cell]
    after: list[list[Cell]]


def _rows(view: SourceView, span: list[Line], unseen: int, screen: Screen) -> list[Text]:
    context = _context(view)
    first = view.first_number + len(context.before)
    below = first + len(span) + unseen
    digits = len(str(below + len(context.after) - 1))
    # One column stays free, because terminals disagree about the width of some characters.
    width = max(4, screen.width - digits - 4)
    head = context.head
    column = width_of(head)
    if column > 2 * width // 3:
        # Every draft is cut in the same way, because text that scrolls sideways cannot be read.
        head = [CUT, *reversed(fitting(reversed(head), width // 2))]

    def around(number: int, line: list[Cell]) -> Text:
        return _row(f"{number:>{digits}} │ ", wrapped([], line, width)[0])

    rows = [around(view.first_number + i, line) for i, line in enumerate(context.before)]
    for index, line in enumerate(span):
        cells = [*head, *cells_of(line, column)] if index == 0 else cells_of(line, 0)
        tail = context.tail if index == len(span) - 1 else []
        number = str(first + index)
        for row in wrapped(cells, tail, width):
            rows.append(_row(f"{number:>{digits}} ▌ ", row))
            number = ""
    return rows + [around(below + i, line) for i, line in enumerate(context.after)]


@lru_cache(maxsize=1)
def _context(view: SourceView) -> _Context:
    """The coloured text around the span, which is the same for all drafts of a job."""
    lines = [*view.before, view.head + view.tail, *view.after]
    code = "\n".join(lines).translate(VISIBLE).replace("\t", " ")
    styles = [Style.null()] * len(code)
    lexed = Syntax(code, Syntax.guess_lexer(view.path), theme=_THEME).highlight(code)
    for part in lexed.spans:
        if isinstance(part.style, Style):
            for at in range(part.start, min(part.end, len(code))):
                styles[at] = part.style
    styled = split_lines(list(zip("\n".join(lines), styles, strict=True)))
    place = len(view.before)
    head = cells_of(styled[place][: len(view.head)], 0)
    return _Context(
        before=[cells_of(line, 0) for line in styled[:place]],
        head=head,
        tail=cells_of(styled[place][len(view.head) :], width_of(head)),
        after=[cells_of(line, 0) for line in styled[place + 1 :]],
    )


def _coloured(
    text: str,
    confidences: Sequence[float],
    screen: Screen,
    masked: Sequence[MaskedPlace] = (),
    kept: Sequence[Span] = (),
) -> list[Line]:
    styles = [_style_of(share, screen) for share in confidences]
    for part in kept:
        styles[part.start : part.end] = [Style.null()] * (part.end - part.start)
    styled = list(zip(text, styles, strict=True))
    for place in reversed(masked):
        styled[place.at : place.at] = [(PLACEHOLDER, Style(dim=True))] * place.width
    return split_lines(styled)


def _kept(view: SourceView, text: str, written: Sequence[str]) -> list[Span]:
    """Where the text between holes is, in a text with these ones in the holes."""
    found: list[Span] = []
    at = 0
    for one, stays in zip(written, view.between, strict=False):
        start = at + len(one)
        # Models write other line ends than some files have.
        same = (stays, stays.replace("\r\n", "\n"))
        after = next((each for each in same if text.startswith(each, start)), "")
        at = start + len(after)
        found.append(Span(start, at))
    return found


def _style_of(confidence: float, screen: Screen) -> Style:
    return screen.palette[round(confidence * (len(screen.palette) - 1))]


def _tempered(suggestion: Suggestion) -> list[float]:
    """Confidence of each character, at most that of the whole text, which the encoder gave."""
    return [min(share, suggestion.confidence) for share in suggestion.confidences]


def _row(gutter: str, cells: Iterable[Cell]) -> Text:
    runs = groupby(cells, key=lambda cell: cell.style)
    parts = [("".join(cell.text for cell in run), style) for style, run in runs]
    return Text.assemble((gutter, "dim"), *parts, no_wrap=True, overflow="crop")
