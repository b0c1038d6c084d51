"""Masking in pieces covers what masking the whole document covers, wherever the cursor is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.masking import PIECE_CHARS, REACH_CHARS, mask_around, touches_secret
from dg_lsp.document.secrets import mask_secrets

TOKEN = "ghp_0123456789abcdefghij0123456789abcdef"
FILLER = "".join(f"    value_{n} = compute(value_{n - 1}, other)\n" for n in range(60))
KEY_BLOCK = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2 + "\n"

lines = st.lists(
    st.sampled_from(
        [
            FILLER,
            "x = 1\n",
            "\r\n",
            f"token = '{TOKEN}'\n",
            'password = "hunter2!"\n',
            "url = 'https://me:pa55word@example.org/'\n",
            "sha256 = [\n",
            "  'aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW',\n",
            "key: 'aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW'\r\n",
            "x" * 5000 + "\n",
        ]
    ),
    max_size=40,
).map("".join)


@given(lines, st.data())
def test_pieces_mask_what_the_whole_masks(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3000)))
    assert mask_around(text, start, end) == mask_secrets(text)


def test_a_key_block_over_several_pieces_is_masked():
    block = KEY_BLOCK + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCMIIEvQIBADANBgkqhkiG\n" * 100
    text = FILLER + block + "-----END PRIVATE KEY-----\n" + FILLER
    assert len(block) > 2 * PIECE_CHARS
    assert "MIIE" not in mask_around(text, 10, 10)


def test_what_is_out_of_reach_stays_as_it_is():
    text = f"token = '{TOKEN}'\n" + "x = 1\n" * (REACH_CHARS // 3)
    assert mask_around(text, len(text), len(text)) == text
    assert TOKEN not in mask_around(text, 30, 30)


@pytest.mark.parametrize(
    ("before", "after", "expect"),
    [
        ("token = '", f"{TOKEN}'", True),
        (f"token = '{TOKEN[:9]}", f"{TOKEN[9:]}'", True),
        (f"token = '{TOKEN}", "'", True),
        ("token", f" = '{TOKEN}'", False),
        (f"token = '{TOKEN}'\n", "x = 1", False),
        ("stars = '****", "****'", False),
    ],
)
def test_a_cursor_in_a_secret_or_at_its_edge_touches_it(before, after, expect):
    assert touches_secret(before + after, len(before), len(before)) is expect


def test_a_selection_with_a_secret_in_it_touches_it():
    text = f"x = 1\ntoken = '{TOKEN}'\ny = 2\n"
    assert touches_secret(text, 0, len(text))
    assert not touches_secret(text, 0, 5)
