"""Masking in pieces covers what masking the whole document covers, wherever the cursor is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document import masking, secret_names
from dg_lsp.document.masking import (
    PIECE_CHARS,
    REACH_CHARS,
    mask_around,
    mask_start,
    secret_at,
)
from dg_lsp.document.related import MAX_FILE_CHARS
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
            "f(1);" * 900 + "password='hunter2!';" + "g(x,2);" * 700 + "\n",
            f"a={{token:'{TOKEN}',b:[" + "1,2,3," * 1000 + "]}",
            "config = {\n  password:\n    'hunter2!'\n}\n",
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
    assert (secret_at(before + after, len(before), len(before)) is not None) is expect


def test_a_selection_with_a_secret_in_it_touches_it():
    text = f"x = 1\ntoken = '{TOKEN}'\ny = 2\n"
    assert secret_at(text, 0, len(text)) is not None
    assert secret_at(text, 0, 5) is None


@pytest.fixture
def num_masked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many characters have been looked at since it was asked last."""
    seen: list[int] = []

    def counted(text: str) -> str:
        seen.append(len(text))
        return mask_secrets(text)

    monkeypatch.setattr("dg_lsp.document.masking.mask_secrets", counted)

    def since() -> int:
        total = sum(seen)
        seen.clear()
        return total

    return since


MINIFIED = "".join(f"e.f{n}=function(t,n){{return t+n}};" for n in range(25_000))
KEYS = "var k='ghp_0123456789abcdefghij0123456789abcdef',password='hunter2!';"


@pytest.mark.parametrize("times", [1, 4])
def test_a_key_in_minified_code_costs_a_piece_whatever_its_size(num_masked, times):
    text = (KEYS + MINIFIED[: len(MINIFIED) // 4]) * times
    assert "\n" not in text
    at = text.index(";", len(text) // 2) + 1
    mask_around(text, at, at)
    assert num_masked() <= 2.5 * REACH_CHARS

    for _ in range(20):
        text = text[:at] + "x" + text[at:]
        at += 1
        masked = mask_around(text, at, at)
        secret_at(text, at, at)
        assert num_masked() <= 5 * PIECE_CHARS
    assert "ghp_" not in masked[at - 60_000 : at + 60_000]


def test_a_key_in_a_file_with_a_private_key_costs_a_piece_too(num_masked):
    text = FILLER * 20 + KEY_BLOCK + "-----END PRIVATE KEY-----\n" + FILLER * 20
    at = len(FILLER) * 10
    mask_around(text, at, at)
    num_masked()

    masked = mask_around(text[:at] + "x" + text[at:], at + 1, at + 1)
    assert num_masked() <= 4 * PIECE_CHARS
    assert "MIIE" not in masked


def test_of_a_growing_log_its_start_is_masked_once(num_masked):
    line = "2026-11-28 10:00:00 INFO request {} done in 12 ms\n"
    log = "".join(line.format(n) for n in range(20_000)) * 10
    for _ in range(3):
        log += line.format("x")
        assert len(mask_start(log, MAX_FILE_CHARS)) >= MAX_FILE_CHARS
    assert num_masked() <= 1.5 * MAX_FILE_CHARS


@pytest.mark.parametrize("part", ["pwd=", "pwd:", "password=x", "token=", "api_key=/"])
def test_names_in_a_long_word_are_looked_at_near_its_end_only(monkeypatch, part):
    looked_at = 0
    name_at = secret_names._name_at

    def counted(*where):
        nonlocal looked_at
        looked_at += 1
        return name_at(*where)

    monkeypatch.setattr(secret_names, "_name_at", counted)
    numbers = []
    for size in (25_000, 100_000):
        looked_at = 0
        mask_around(part * (size // len(part)), 0, 0)
        numbers.append(looked_at)

    assert numbers[0] == numbers[1] > 0


@pytest.mark.parametrize("size", [25_000, 100_000])
def test_a_word_of_many_pieces_is_read_once_for_its_end(monkeypatch, size):
    read_chars = 0

    class Counted:
        def search(self, text, start, end):
            nonlocal read_chars
            read_chars += end - start
            return between_words.search(text, start, end)

    between_words = masking._BETWEEN_WORDS
    monkeypatch.setattr(masking, "_BETWEEN_WORDS", Counted())
    mask_around("a" * size, size // 2, size // 2)

    # Once for the pieces before the cursor, once for those behind it.
    assert read_chars <= 1.5 * size


@pytest.mark.parametrize("before", ["pwd=" * 1000, "a" * 5000 + ";", "token=" * 2000])
def test_a_password_behind_a_long_word_is_masked(before):
    text = before + "password=hunter2!x\n"

    assert "hunter" not in mask_around(text, 0, 0)
