"""Which piece of which open file is shown: the one most like the text at the cursor."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.related import MIN_SNIPPET_CHARS, WINDOW_LINES, related_snippets
from dg_lsp.job import Snippet

PREFIX = """\
def load_invoice(path):
    invoice = parse_invoice(path.read_text())
    invoice.total = sum_lines(invoice.lines)
"""
SUFFIX = """\
    return invoice
"""
NEAR = """\
def store_invoice(path, invoice):
    invoice.total = sum_lines(invoice.lines)
    path.write_text(format_invoice(invoice))
"""
NEARER = """\
def reload_invoice(path):
    invoice = parse_invoice(path.read_text())
    invoice.total = sum_lines(invoice.lines) + invoice.tax
    return invoice, path
"""
FAR = """\
class Window:
    def draw(self, canvas):
        canvas.rectangle(self.left, self.top)
        canvas.text(self.title)
"""


def check_related(
    files: dict[str, str], expect: list[str], budget_chars: int = 4000
) -> tuple[Snippet, ...]:
    """The paths of the snippets that are chosen, the most similar last."""
    given_files = [Snippet(path, text) for path, text in files.items()]
    chosen = related_snippets(PREFIX, SUFFIX, given_files, budget_chars, "here.py")
    assert [snippet.path for snippet in chosen] == expect
    assert sum(len(snippet.text) for snippet in chosen) <= max(0, budget_chars)
    return chosen


def test_the_most_similar_file_comes_last() -> None:
    check_related({"near": NEAR, "nearer": NEARER, "far": FAR}, ["near", "nearer"])
    check_related({"far": FAR, "nearer": NEARER, "near": NEAR}, ["near", "nearer"])


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"empty": ""},
        {"blank": "\n\n\n"},
        {"keywords": "def if return self\n" * 9},
        {"far": FAR},
        {"here.py": NEARER},
    ],
)
def test_what_is_not_related_is_not_shown(files: dict[str, str]) -> None:
    check_related(files, [])


def test_the_text_around_the_cursor_is_not_shown_again() -> None:
    check_related({"copy.py": PREFIX + SUFFIX, "near": NEAR}, ["near"])
    check_related({"copy.py": f"# A copy.\n{PREFIX}{SUFFIX}"}, [])


def test_two_copies_are_shown_once_and_it_is_the_recent_one() -> None:
    check_related({"new": NEARER, "old": NEARER}, ["new"])
    check_related({"old": NEARER, "new": NEARER}, ["old"])


def test_the_piece_that_is_like_the_cursor_is_cut_out_of_a_long_file() -> None:
    filler = "".join(f"value_{number} = other_{number}\n" for number in range(200))
    (snippet,) = check_related({"long": f"{filler}\n\n{NEARER}\n\n{filler}"}, ["long"])

    assert NEARER in snippet.text
    assert snippet.text.count("\n") <= WINDOW_LINES


def test_line_ends_stay_and_blank_lines_at_the_ends_go() -> None:
    text = "\r\n\r\n" + NEARER.replace("\n", "\r\n") + "\r\n \r\n"
    (snippet,) = check_related({"dos": text}, ["dos"])

    assert snippet.text == NEARER.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("budget_chars", "expect"),
    [
        (0, []),
        (-5, []),
        (20, []),
        (len(NEARER) - 1, ["nearer"]),
        (len(NEARER), ["nearer"]),
        (len(NEARER) + MIN_SNIPPET_CHARS, ["nearer"]),
        (len(NEARER) + len(NEAR), ["near", "nearer"]),
    ],
)
def test_the_budget_holds_for_all_together(budget_chars: int, expect: list[str]) -> None:
    chosen = check_related({"near": NEAR, "nearer": NEARER}, expect, budget_chars)

    for snippet in chosen:
        assert (NEAR + NEARER).find(snippet.text) >= 0
        assert snippet.text.endswith("\n")


def test_minified_lines_are_not_shown() -> None:
    minified = " ".join(NEARER.split()) * 200

    check_related({"app.min.js": minified + "\n"}, [])
    check_related({"both": f"{minified}\n{NEARER}"}, [])


def test_nothing_to_compare_with() -> None:
    assert related_snippets("", "", [Snippet("near", NEAR)], 4000) == ()
    assert related_snippets("    \n", "\n)\n", [Snippet("near", NEAR)], 4000) == ()


@pytest.mark.parametrize(
    "text",
    ["a b " * 1_000_000, "\n" * 4_000_000, "ab\n" * 1_000_000, NEARER * 20_000],
    ids=["one line", "blank lines", "short lines", "similar"],
)
def test_large_files_take_no_longer_than_their_start(text: str) -> None:
    files = [Snippet(str(number), text + str(number)) for number in range(50)]
    start = time.perf_counter()
    related_snippets(PREFIX + text, text + SUFFIX, files, 4000)

    # A tenth of a second per file when read for the first time, on an idle machine.
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("distance", [*range(3900, 4300, 23), 8190, 30_000])
def test_what_stands_anywhere_around_the_cursor_is_not_shown(
    distance: int, newline: str
) -> None:
    far = ("#" * 20 + newline) * (distance // (20 + len(newline)))
    pad = "-" * (distance - len(far)) + newline
    known = NEARER.replace("\n", newline)
    files = [Snippet("copy.py", NEARER)]

    assert related_snippets(PREFIX, SUFFIX, files, 4000) != ()
    assert related_snippets(known + far + pad + PREFIX, SUFFIX, files, 4000) == ()
    assert related_snippets(far + pad + known + far + PREFIX, SUFFIX, files, 4000) == ()
    assert related_snippets(PREFIX, SUFFIX + far + pad + known, files, 4000) == ()
    assert related_snippets(PREFIX, SUFFIX + far + known + pad + far, files, 4000) == ()


LINES = st.lists(st.sampled_from([*(NEAR + NEARER + FAR + PREFIX).splitlines(), "", " "]))
TEXTS = LINES.map(lambda lines: "".join(f"{line}\n" for line in lines))


@given(
    prefix=TEXTS,
    suffix=TEXTS,
    texts=st.lists(TEXTS, max_size=5),
    budget_chars=st.integers(0, 2000),
)
def test_snippets_are_pieces_within_the_budget(
    prefix: str, suffix: str, texts: list[str], budget_chars: int
) -> None:
    files = [Snippet(str(number), text) for number, text in enumerate(texts)]
    chosen = related_snippets(prefix, suffix, files, budget_chars)

    assert sum(len(snippet.text) for snippet in chosen) <= budget_chars
    assert len({snippet.path for snippet in chosen}) == len(chosen)
    assert chosen == related_snippets(prefix, suffix, files, budget_chars)
    for snippet in chosen:
        assert snippet.text.strip()
        assert snippet.text in texts[int(snippet.path)]
