import itertools

from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.recent_edits import MOST_EDITS, RecentEdit, moved, noted
from tests.fuzzing import effort

TEXT = "one\ntwo\nthree\nfour\n"


def typed(*texts: str) -> tuple[RecentEdit, ...]:
    """What is known after a document has had these texts."""
    edits: tuple[RecentEdit, ...] = ()
    for old, new in itertools.pairwise(texts):
        edits = noted(edits, old, new)
    return edits


def test_keys_in_the_same_line_are_one_edit() -> None:
    [edit] = typed("a = fet\n", "a = fetc\n", "a = fetch\n", "a = fetch()\n")
    assert edit == RecentEdit(7, 11, "")


def test_a_name_that_is_typed_over_is_one_edit() -> None:
    [edit] = typed("def load(x):\n", "def (x):\n", "def r(x):\n", "def read(x):\n")
    assert edit.lines("def read(x):\n") == (0, "def load(x):", "def read(x):")


def test_edits_of_other_lines_are_kept_and_move() -> None:
    texts = (TEXT, TEXT.replace("three", "3"), "zero\n" + TEXT.replace("three", "3"))
    newest, older = typed(*texts)
    assert texts[-1][older.start : older.end] == "3"
    assert (older.before, newest.before) == ("three", "")


def test_an_edit_that_is_taken_back_is_none() -> None:
    assert typed(TEXT, TEXT.replace("two", "2"), TEXT) == ()


def test_a_file_that_was_read_again_ends_all_edits() -> None:
    other = "".join(f"line {number}\n" for number in range(1000))
    assert typed(TEXT, TEXT.replace("two", "2"), other) == ()


def test_only_the_last_edits_are_kept() -> None:
    lines = [f"line{number}\n\n" for number in range(30)]
    texts = ["".join(lines)]
    for number in range(30):
        lines[number] = f"other{number}\n\n"
        texts.append("".join(lines))
    edits = typed(*texts)
    assert len(edits) == MOST_EDITS
    assert [texts[-1][edit.start : edit.end] for edit in edits[:2]] == ["other", "other"]


def test_what_is_accepted_is_no_edit_of_the_users() -> None:
    edits = typed(TEXT, TEXT.replace("three", "3"))
    text = TEXT.replace("three", "3")
    [edit] = moved(edits, text, text.replace("one", "eleven"))
    assert edit == RecentEdit(edits[0].start + 3, edits[0].end + 3, "three")


@effort(200)
@given(st.lists(st.text("ab\n", max_size=30), min_size=2, max_size=6))
def test_every_edit_says_what_stood_there(texts: list[str]) -> None:
    edits = typed(*texts)
    for edit in edits:
        assert 0 <= edit.start <= edit.end <= len(texts[-1])
        assert texts[-1][edit.start : edit.end] != edit.before
    if len(texts) == 2 and edits:
        [edit] = edits
        assert texts[1][: edit.start] + edit.before + texts[1][edit.end :] == texts[0]
