"""What is drawn around a span, as rendered text, and how often."""

from __future__ import annotations

import asyncio
import io
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, Group
from rich.segment import Segment

from dg_lsp.cli.live import (
    LINE_CHARS,
    LiveSpan,
    SourceView,
    draft_frame,
    final_frame,
    screen_of,
    view_around,
)
from dg_lsp.document.suggestions import Suggestion
from dg_lsp.job import Draft, Infill, MaskedPlace, Span


def terminal(width: int = 80, height: int = 25, no_color: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        record=True,
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
        no_color=no_color,
        legacy_windows=False,
    )


def lines_of(frame: Group, console: Console) -> list[str]:
    console.print(frame)
    return [line.rstrip() for line in console.export_text(clear=False).splitlines()]


def view_of(marked: str, path: str = "sample.py") -> SourceView:
    """The view of a text whose span lies between the marks, or at the only one."""
    before, *rest = marked.split("‸")
    text = "".join((before, *rest))
    return view_around(text, len(before), len(text) - len(rest[-1]), path)


def draft_of(text: str, share: float = 0.5, step: int = 3) -> Draft:
    return Draft(text, (share,) * len(text), step, 48)


def check_drawn(
    marked: str, draft: str | None, expected: list[str], width: int = 80, height: int = 25
) -> None:
    console = terminal(width, height)
    frame = draft_frame(
        view_of(marked), None if draft is None else draft_of(draft), 412.3, screen_of(console)
    )
    drawn = lines_of(frame, console)
    assert drawn[:-1] == expected
    if draft is None:
        assert drawn[-1] != ""
    elif width >= 40:
        figures = ["3", "48", "50", "412"] if draft else ["3", "48", "412"]
        assert re.findall(r"\d+", drawn[-1]) == figures


@pytest.mark.parametrize(
    ("marked", "draft", "expected"),
    [
        ("a = ‸\nb = 2\n", "1", ["1 ▌ a = 1", "2 │ b = 2", "3 │"]),
        ("‸", "x\ny", ["1 ▌ x", "2 ▌ y"]),
        ("‸", None, ["1 ▌"]),
        ("‸", "", ["1 ▌"]),
        ("f(‸)", "a,\n  b", ["1 ▌ f(a,", "2 ▌   b)"]),
        ("f(‸a,\nb‸)\nc", "x", ["1 ▌ f(x)", "2 │ c"]),
        ("f(‸a,\nb‸)\nc", None, ["1 ▌ f(a,", "2 ▌ b)", "3 │ c"]),
        ("a\r\nb = ‸\r\nc", "1\r\n2", ["1 │ a", "2 ▌ b = 1", "3 ▌ 2", "4 │ c"]),
        ("a\rb = ‸\rc", "1", ["1 │ a", "2 ▌ b = 1", "3 │ c"]),
        ("\tif ‸:\n\t\tx", "a", ["1 ▌     if a:", "2 │         x"]),
        ("ab\t‸", "c\td", ["1 ▌ ab  c   d"]),
        ("日本‸語", "é🎉", ["1 ▌ 日本é🎉語"]),
        ("e‸x", "\u0301", ["1 ▌ e\u0301x"]),
        ("‸", "👩\u200d👩\u200d👧!", ["1 ▌ 👩\u200d👩\u200d👧!"]),
        (
            "1\n2\n3\n4\n5\n6‸\n7\n8\n9\n10\n",
            "x",
            ["2 │ 2", "3 │ 3", "4 │ 4", "5 │ 5", "6 ▌ 6x", "7 │ 7", "8 │ 8", "9 │ 9"],
        ),
        (
            "\n" * 7 + "‸\n9\n10",
            "\n",
            [" 4 │", " 5 │", " 6 │", " 7 │", " 8 ▌", " 9 ▌", "10 │ 9", "11 │ 10"],
        ),
    ],
)
def test_draws_the_draft_in_its_place(
    marked: str, draft: str | None, expected: list[str]
) -> None:
    check_drawn(marked, draft, expected)


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\x1b", "␛"),
        ("\x07", "␇"),
        ("\x08", "␈"),
        ("\x0c", "␌"),
        ("\x7f", "␡"),
        ("\x9b", "\ufffd"),
        ("\u202e", "\ufffd"),
        ("\u2067", "\ufffd"),
        ("\u2028", "\ufffd"),
        ("\ufeff", "\ufffd"),
    ],
)
def test_no_text_can_command_the_terminal(char: str, shown: str) -> None:
    check_drawn(
        f"a{char}‸{char}\n{char}", char, [f"1 ▌ a{shown}{shown}{shown}", f"2 │ {shown}"]
    )


def test_wraps_a_long_span_and_crops_what_is_around() -> None:
    check_drawn(
        "x" * 30 + "\nf(‸" + "y" * 30 + ")\n",
        "abcdefghijklmnopqrst",
        ["1 │ xxxxxxxxxxxxxx…", "2 ▌ f(abcdefghijklm", "  ▌ nopqrstyyyyyyy…", "3 │"],
        width=20,
    )


def test_keeps_what_is_just_before_the_span() -> None:
    check_drawn("0123456789abcdefghij‸klmno", "+", ["1 ▌ …defghij+klmno"], width=20)


def test_keeps_to_the_height_of_the_terminal() -> None:
    check_drawn("a\n‸\nb", "1\n2\n3\n4\n5\n6", ["⋮", "6 ▌ 5", "7 ▌ 6", "8 │ b"], height=6)


def test_counts_the_lines_of_a_selection_too_large_to_draw() -> None:
    view = view_of("f(‸" + "x\n" * 100_000 + "‸)\nlast")
    console = terminal()

    assert lines_of(draft_frame(view, None, 0, screen_of(console)), console)[-2:] == [
        "100002 │ last",
        "waiting for the first step",
    ]


def test_looks_at_no_more_of_a_line_than_can_be_drawn() -> None:
    view = view_of("a" * 2_000_000 + "‸" + "b" * 2_000_000 + "\n" + "c" * 2_000_000)

    assert (len(view.head), len(view.tail)) == (LINE_CHARS, LINE_CHARS)
    assert [len(line) for line in view.after] == [LINE_CHARS]


@given(
    before=st.text(max_size=60),
    span=st.text(max_size=20),
    after=st.text(max_size=60),
    draft=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    width=st.integers(1, 60),
    height=st.integers(1, 12),
)
@settings(max_examples=200, deadline=None)
def test_every_frame_fits(
    before: str, span: str, after: str, draft: str, width: int, height: int
) -> None:
    text = before + span + after
    view = view_around(text, len(before), len(before) + len(span), "any.js")
    console = terminal(width, height)
    screen = screen_of(console)
    for frame in (
        draft_frame(view, draft_of(draft), 1, screen),
        draft_frame(view, None, 1, screen),
    ):
        rendered = console.render_lines(frame, pad=False)
        assert len(rendered) <= max(height - 1, 2)
        for row in rendered:
            shown = "".join(segment.text for segment in row)
            assert cell_len(shown) <= width
            assert not any(unicodedata.category(char) == "Cc" for char in shown)


def test_highlights_the_code_around() -> None:
    console = terminal()
    frame = draft_frame(view_of("return ‸ # why"), None, 0, screen_of(console))

    styles = {
        segment.text: segment.style
        for segment in Segment.filter_control(console.render(frame))
        if segment.style
    }

    assert styles["return"].bold
    assert styles["# why"].dim
    assert styles[" "].reverse


def test_dots_stand_for_tokens_that_are_not_decided() -> None:
    console = terminal()
    masked = (MaskedPlace(0, 2), MaskedPlace(1, 3))
    draft = Draft("a", (0.5,), 1, 8, masked=masked)

    [row, *_] = lines_of(draft_frame(view_of("x‸;"), draft, 0, screen_of(console)), console)

    assert row.endswith("x··a···;")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_is_between_holes_is_not_coloured_as_a_guess(newline: str) -> None:
    text = f"a = …{newline}b = …;"
    holes = (Span(4, 5), Span(text.index("…", 5), len(text) - 1))
    view = view_around(text, holes[0].start, holes[-1].end, "any.py", holes)
    console = terminal()
    shares = (0.2,) * 2 + (1.0,) * 5 + (0.2,) * 2
    draft = Draft("12\nb = 34", shares, 1, 8, segments=("12", "34"))
    best = Suggestion(
        f"12{newline}b = 34", 0.2, (0.2,) * (8 + len(newline)), holes=("12", "34")
    )
    for frame in (
        draft_frame(view, draft, 0, screen_of(console)),
        final_frame(view, [best], Infill((), 1), None, screen_of(console)),
    ):
        guesses = [
            segment.text
            for segment in console.render(frame)
            if segment.style and segment.style.color and segment.text.strip() != "20%"
        ]
        assert guesses == ["12", "34"]
        assert " 20%" in "\n".join(lines_of(frame, console))


def colours_of(console: Console) -> list[object]:
    draft = Draft("abcde", (0.0, 0.25, 0.5, 0.75, 1.0), 1, 8)
    frame = draft_frame(view_of("‸"), draft, 0, screen_of(console))
    return [
        (
            segment.style.color and segment.style.color.triplet,
            segment.style.bold,
            segment.style.dim,
        )
        for segment in console.render(frame)
        if segment.text in set("abcde") and segment.style
    ]


def test_colours_each_character_by_its_confidence() -> None:
    colours = colours_of(terminal())

    assert len(colours) == len(set(colours)) == 5
    assert colours[0] == ((178, 95, 95), None, None)
    assert colours[-1] == ((30, 160, 75), None, None)


def test_without_colour_weight_tells_the_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    draft = Draft("abc", (0.0, 0.5, 1.0), 1, 8)

    console.print(draft_frame(view_of("‸"), draft, 0, screen_of(console)))

    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[2ma\x1b[0mb\x1b[1mc\x1b[0m" in written
    assert "\x1b[38" not in written


def test_the_final_frame_says_what_it_took() -> None:
    console = terminal()
    suggestions = [
        Suggestion("1\r\n2", 0.9, (0.9,) * 4),
        Suggestion("3\n4", 0.6, (0.6,) * 3),
    ]
    timings_ms = {"queue": 0.4, "denoise": 300.0, "total": 311.6}
    infill = Infill((), 12, timings_ms, model="some-model")

    frame = final_frame(view_of("a = ‸\r\n"), suggestions, infill, None, screen_of(console))

    assert lines_of(frame, console) == [
        "1 ▌ a = 1",
        "2 ▌ 2",
        "3 │",
        "confidence 90%",
        "candidate 2 · confidence 60%",
        "  ▌ 3",
        "  ▌ 4",
        "12 steps · queue 0 ms · denoise 300 ms · total 312 ms",
        "model some-model",
    ]


def test_a_result_that_the_model_is_not_sure_of_is_not_shown_as_if_it_were() -> None:
    unsure, sure = (178, 95, 95), (30, 160, 75)
    for confidence, expect in ((0.03, unsure), (1.0, sure)):
        console = terminal()
        # Each character looked right to the one who wrote it.
        suggestions = [Suggestion("abc", confidence, (1.0,) * 3)] * 2
        infill = Infill((), 1, model="m")
        frame = final_frame(view_of("x = ‸"), suggestions, infill, None, screen_of(console))
        # Styles and not what is printed: rich keeps the codes of a style for the first console.
        styles = [segment.style for segment in console.render(frame)]
        colours = {
            tuple(style.color.triplet)
            for style in styles
            if style is not None and style.color is not None and style.color.triplet
        }
        assert colours == {expect}


def test_the_final_frame_says_why_there_is_nothing() -> None:
    console = terminal()

    frame = final_frame(
        view_of("a‸b"), [], Infill((), 3, model="m"), "unsure", screen_of(console)
    )

    assert lines_of(frame, console) == [
        "1 ▌ a b",
        "no suggestion: unsure",
        "3 steps",
        "model m",
    ]


class Watched(io.StringIO):
    """Notices when a text is written."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.awaited = awaited
        self.seen = asyncio.Event()

    def write(self, text: str) -> int:
        if self.awaited in text:
            self.seen.set()
        return super().write(text)


async def test_draws_thirty_frames_a_second_and_the_last_draft() -> None:
    file = Watched("step 48 of 48")
    console = Console(file=file, width=80, force_terminal=True)
    now = 100.0

    with LiveSpan(console, view_of("a = ‸"), lambda: now) as drawing:
        for step in range(1, 49):
            drawing.show(draft_of("x", step=step))
            now += 0.004
        assert "step 48 of 48" not in file.getvalue()
        await asyncio.wait_for(file.seen.wait(), 5)

    # 48 drafts in 192 ms: at 0, 36, 72, 108, 144, 180 ms, and the last when its frame is due.
    assert file.getvalue().count(" of 48") == 7 + 1  # Leaving draws what is there once more.


async def test_the_final_frame_replaces_a_draft_not_yet_drawn() -> None:
    file = Watched("")
    console = Console(file=file, width=80, force_terminal=True)

    with LiveSpan(console, view_of("a = ‸"), lambda: 0.0) as drawing:
        drawing.show(draft_of("first"))
        drawing.show(draft_of("draft"))
        suggestion = Suggestion("final", 0.9, (0.9,) * 5)
        drawing.finish([suggestion], Infill((), 9, model="m"), None)

    assert "first" in file.getvalue()
    assert "draft" not in file.getvalue()
    assert file.getvalue().count("final") == 1
    assert file.getvalue().endswith("\x1b[?25h")


async def test_a_final_frame_taller_than_the_terminal_is_drawn_once_and_whole() -> None:
    file = Watched("")
    console = Console(file=file, width=80, height=6, force_terminal=True)
    text = "\n".join(f"line{number}." for number in range(30))

    with LiveSpan(console, view_of("‸"), lambda: 0.0) as drawing:
        suggestion = Suggestion(text, 0.9, (0.9,) * len(text))
        drawing.finish([suggestion], Infill((), 9, model="m"), None)

    assert [file.getvalue().count(f"line{number}.") for number in range(30)] == [1] * 30
