"""Trees of documents with a cursor in them."""

from __future__ import annotations

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
