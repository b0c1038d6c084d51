"""Which of some fixed texts a text contains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.secret_parts import Parts

PARTS = ("ab", "b", "ba_", "_", "key=", "密")


@given(st.text("ab_\nkey=密"))
def test_all_that_occur_are_found_and_no_others(text):
    assert Parts(PARTS).present_in(text) == {part for part in PARTS if part in text}


def test_a_part_that_could_span_lines_is_refused():
    with pytest.raises(ValueError, match="is no part of a line"):
        Parts(["a\nb"])
