"""The code of many files as they change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.code_store import INDEX_CHARS, CodeStore


def put(store: CodeStore, *files: tuple[str, str]) -> None:
    for _ in store.put(files):
        pass


def content(store: CodeStore) -> dict[str, str]:
    files = [file for shelf in store.shelves for file in shelf.files()]
    assert len(files) == len(dict(files))
    return dict(files)


PATHS = st.sampled_from(["a", "b", "c", "d"])
EDITS = st.lists(
    st.one_of(
        st.dictionaries(PATHS, st.text("xy =\n", max_size=30), min_size=1),
        st.frozensets(PATHS, min_size=1),
    ),
    max_size=12,
)


@given(EDITS)
def test_a_store_holds_what_was_put_last(edits: list[dict[str, str] | frozenset[str]]) -> None:
    store, expected = CodeStore(), dict[str, str]()
    for edit in edits:
        if isinstance(edit, dict):
            put(store, *edit.items())
            expected |= edit
        else:
            store.drop(edit)
            for path in edit:
                expected.pop(path, None)
        assert content(store) == expected
        assert set(store.paths) == set(expected)
        assert store.size_chars == sum(map(len, expected.values()))


def test_files_that_come_one_by_one_share_an_index() -> None:
    store = CodeStore()
    for number in range(40):
        put(store, (f"{number}.py", f"x = {number}\n"))
    assert len(store.shelves) == 1
    assert len(content(store)) == 40


def test_a_large_workspace_has_indexes_of_moderate_size() -> None:
    store = CodeStore()
    put(store, *((f"{number}.py", "x = f(y)\n" * 2000) for number in range(40)))
    assert all(len(shelf.index.text) < 2 * INDEX_CHARS for shelf in store.shelves)
    assert len(store.shelves) < 10


def test_whoever_looks_in_meanwhile_sees_one_state() -> None:
    store = CodeStore()
    put(store, ("a", "old\n"), ("b", "same\n"))
    for _ in store.put([("a", "new\n")]):
        assert content(store) == {"a": "old\n", "b": "same\n"}
    assert content(store) == {"a": "new\n", "b": "same\n"}
