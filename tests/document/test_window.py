"""What of a document the model sees: nearest whole lines first, within the budget, steadily."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document.position import may_cut
from dg_lsp.document.window import GRID_LINES, Window, WindowBudget, split_window

TEXTS = st.text(alphabet=st.sampled_from("abc  \r\n\n\u0301\u200d\U0001f468"), max_size=200)


class Meter:
    """Counts characters as tokens, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, text: str) -> int:
        self.asked.append(len(text))
        return len(text)


def check_window(
    marked: str, budget: tuple[int, int], expect: str, prefix_cut: bool, suffix_cut: bool
) -> None:
    prefix, suffix = marked.split("|")
    expect_prefix, expect_suffix = expect.split("|")
    window = split_window(prefix + suffix, len(prefix), len(prefix), WindowBudget(*budget), len)
    assert window == Window(expect_prefix, expect_suffix, prefix_cut, suffix_cut)


@pytest.mark.parametrize(
    ("marked", "budget", "expect", "prefix_cut", "suffix_cut"),
    [
        ("|", (4, 4), "|", False, False),
        ("|", (0, 0), "|", False, False),
        ("ab|cd", (2, 2), "ab|cd", False, False),
        ("a\nb|c\nd", (9, 9), "a\nb|c\nd", False, False),
        # Nearest whole lines first.
        ("aaa\nbb\nc|d\nee\nfff", (5, 5), "bb\nc|d\nee\n", True, True),
        # An unused budget goes to the other side.
        ("aaa\nbb\nc|", (4, 4), "aaa\nbb\nc|", False, False),
        ("aaaa\nbb\nc|d", (2, 5), "bb\nc|d", True, False),
        ("|d\nee\nfff", (8, 0), "|d\nee\nfff", False, False),
        ("a|d\nee\nfff", (3, 2), "a|d\n", False, True),
        # A single line longer than the budget is cut next to the cursor.
        ("abcdef|ghijkl", (2, 3), "ef|ghi", True, True),
        ("a\nabcdef|ghijkl\nb", (2, 3), "ef|ghi", True, True),
        ("abcdefgh\n|", (4, 0), "fgh\n|", True, False),
        # No budget, nothing.
        ("ab|cd", (0, 0), "|", True, True),
        # Neither between CR and LF nor inside what reads as one character.
        ("aa\r\n|\r\nbb", (1, 1), "|", True, True),
        ("abce\u0301|x\u0323abc", (1, 1), "|", True, True),
        ("ab\U0001f468\u200d\U0001f469c|", (3, 0), "c|", True, False),
        ("\U0001f468\u200d\U0001f469|", (0, 3), "\U0001f468\u200d\U0001f469|", False, False),
    ],
)
def test_window(
    marked: str, budget: tuple[int, int], expect: str, prefix_cut: bool, suffix_cut: bool
) -> None:
    check_window(marked, budget, expect, prefix_cut, suffix_cut)


def test_the_span_itself_is_left_out() -> None:
    window = split_window("before SELECTED after", 7, 15, WindowBudget(20, 20), len)
    assert window == Window("before ", " after", False, False)


@pytest.mark.parametrize(("start", "end"), [(-1, 0), (2, 1), (0, 4)])
def test_span_outside_the_text(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=rf"{start}, {end}\b.*\b3\b"):
        split_window("abc", start, end, WindowBudget(1, 1), len)


def test_negative_budget() -> None:
    with pytest.raises(ValueError, match=r"suffix_tokens\b.* -1\b"):
        WindowBudget(1, -1)


@pytest.mark.parametrize("cursor", [0, 2_500_000, 5_000_000])
def test_one_line_of_five_megabytes_takes_milliseconds(cursor: int) -> None:
    text = "x = [1, 2];" * 454_546
    meter = Meter()
    started = time.process_time()
    window = split_window(text, cursor, cursor, WindowBudget(3072, 1024), meter)
    assert time.process_time() - started < 0.5
    assert len(meter.asked) <= 30
    assert max(meter.asked) <= 16 * (3072 + 1024)
    assert len(window.prefix) + len(window.suffix) >= (3072 + 1024) * 3 // 4


def test_many_short_lines_are_measured_a_logarithmic_number_of_times() -> None:
    text = "    value = other_value + 1\n" * 40_000
    meter = Meter()
    split_window(text, len(text) // 2, len(text) // 2, WindowBudget(3072, 1024), meter)
    assert len(meter.asked) <= 40


def test_the_start_of_the_prefix_stands_still_while_typing() -> None:
    text = "".join(f"    value_{number:03} = {number:03}\n" for number in range(400))
    starts, ends = [], []
    for typed in range(1200):
        prefix = text + ("x" * 23 + "\n") * (typed // 24) + "x" * (typed % 24)
        window = split_window(
            prefix + "\n" + text, len(prefix), len(prefix), WindowBudget(2400, 800), len
        )
        starts.append(len(prefix) - len(window.prefix))
        ends.append(len(window.suffix))
    assert all(text.count("\n", 0, start) % GRID_LINES == 0 for start in starts)
    assert len(set(starts)) <= 2 + 1200 // (GRID_LINES * 20)
    assert starts == sorted(starts)
    assert len(set(ends)) == 1


def test_the_start_stands_still_inside_one_long_line() -> None:
    text = "x = [1, 2];" * 5_000
    starts = []
    for typed in range(300):
        prefix = text + "y" * typed
        window = split_window(prefix, len(prefix), len(prefix), WindowBudget(800, 0), len)
        starts.append(len(prefix) - len(window.prefix))
    assert len(set(starts)) <= 1 + 300 // 100 + 1


def test_the_end_of_the_suffix_stands_still_while_a_short_prefix_grows() -> None:
    suffix = "    value = 1\n" * 400
    ends = set()
    for typed in range(200):
        window = split_window("x" * typed + suffix, typed, typed, WindowBudget(800, 400), len)
        ends.add(len(window.suffix))
    assert len(ends) <= 3


def test_long_lines_give_up_the_grid_rather_than_a_quarter_of_the_budget() -> None:
    text = ("x" * 99 + "\n") * 100
    window = split_window(text, len(text), len(text), WindowBudget(1000, 0), len)
    assert len(window.prefix) >= 750


@settings(deadline=None)
@given(TEXTS, st.data(), st.integers(0, 40), st.integers(0, 40))
def test_both_sides_adjoin_the_span_and_keep_the_budget(
    text: str, data: st.DataObject, prefix_tokens: int, suffix_tokens: int
) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    window = split_window(text, start, end, WindowBudget(prefix_tokens, suffix_tokens), len)
    assert text[:start].endswith(window.prefix)
    assert text[end:].startswith(window.suffix)
    assert window.prefix_cut == (len(window.prefix) < start)
    assert window.suffix_cut == (len(window.suffix) < len(text) - end)
    assert len(window.prefix) + len(window.suffix) <= prefix_tokens + suffix_tokens
    if window.prefix:
        assert may_cut(text, start - len(window.prefix))
    if window.suffix:
        assert may_cut(text, end + len(window.suffix))
