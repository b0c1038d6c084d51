"""Trees of documents with a cursor in them."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document import trees

CODE = st.text(alphabet=st.sampled_from("ab1 \n(){}\"';,=+äé\U0001f600\ud800"), max_size=60)


@pytest.mark.parametrize("language", trees.LANGUAGES)
def test_every_grammar_loads(language: str) -> None:
    assert trees.load(language)
    assert trees.is_loaded(language)
    assert trees.parsed_site("", "", language) is not None


def test_a_language_without_a_grammar_has_no_tree() -> None:
    assert not trees.load("fortran")
    assert trees.parsed_site("x", "", "fortran") is None


@settings(deadline=None)
@given(CODE, CODE, CODE)
def test_an_inserted_text_gives_a_tree_of_the_whole(prefix, text, suffix) -> None:
    trees.load("javascript")
    site = trees.parsed_site(prefix, suffix, "javascript")
    assert site is not None

    changed = site.with_text(text)

    assert changed.source == trees.encoded(prefix + text + suffix)
    assert changed.tree.root_node.end_byte <= len(changed.source)
    assert site.source == trees.encoded(prefix + suffix)


def test_what_was_parsed_is_let_go() -> None:
    """Definitions are read anew whenever a document is opened, for days in the same process."""
    source = b"def f(a, b):\n    return a + b\n" * 2_000
    assert trees.load("python")
    trees.whole_tree(source, "python")
    tracemalloc.start()
    try:
        for _ in range(10):
            trees.whole_tree(source, "python")
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < len(source)


def test_a_node_of_a_long_text_has_its_text() -> None:
    assert trees.load("python")
    tree = trees.whole_tree(b"def f(a, b):\n    return a + b\n" * 500, "python")
    assert tree is not None

    assert tree.root_node.children[-1].text == b"def f(a, b):\n    return a + b"
