"""The sizes that forward passes are padded up to."""

from __future__ import annotations

import pytest

from dg_lsp.config import LengthSettings, PromptSettings, SeedSettings
from dg_lsp.engine.span_length import lengths_around, lengths_to_try
from dg_lsp.models.gemma.buckets import (
    CACHED,
    RESERVED_ROWS,
    ROWS,
    Bucket,
    Reading,
    bucket_for,
    cached_sizes,
    reading_for,
    usual,
)
from dg_lsp.models.memory import prompt_tokens
from dg_lsp.models.prepared import MOST_PREPARED

CANVAS_TOKENS = 256
CLOSING_TOKENS = 4
"""At most: fence, line end and end of the turn."""


@pytest.mark.parametrize(
    ("cached", "rows", "free", "expect"),
    [
        (1, 1, 1, Bucket(256, 16, 16)),
        (256, 16, 16, Bucket(256, 16, 16)),
        (257, 17, 16, Bucket(512, 32, 16)),
        # 17 are sampled as 32, and 15 more are looked at.
        (300, 32, 17, Bucket(512, 48, 32)),
        (9000, 384, 144, Bucket(12288, 512, 192)),
        (20000, 16, 16, None),
        (100, 2100, 16, None),
        (100, 2048, 2049, None),
        (100, 2048, 1600, None),
    ],
)
def test_the_smallest_bucket_that_holds_a_step(cached, rows, free, expect):
    assert bucket_for(cached, rows, free) == expect


@pytest.mark.parametrize(
    ("longest", "expect"),
    [
        (6528, (256, 576, 1344, 2944, 6528)),
        (6500, (256, 576, 1344, 2944, 6528)),
        (1024, (256, 384, 512, 768, 1024)),
        (300, (256, 320)),
        (256, (256,)),
        (100, (128,)),
        (1, (64,)),
    ],
)
def test_five_sizes_up_to_the_longest_prompt(longest, expect):
    sizes = cached_sizes(longest)

    assert sizes[: len(expect)] == expect
    # A prompt that is longer than expected has a bucket too.
    assert sizes[len(expect) :] == tuple(size for size in CACHED if size > longest)


@pytest.mark.parametrize(
    ("cached", "rows", "scored", "expect"),
    [
        (1, 1, False, Reading(256, 16, False)),
        (257, 17, False, Reading(512, 64, False)),
        (300, 65, False, None),
        (300, 65, True, Reading(512, 128, True)),
        (300, 513, True, None),
        (20000, 1, True, None),
    ],
)
def test_the_smallest_bucket_that_holds_a_reading(cached, rows, scored, expect):
    assert reading_for(cached, rows, scored=scored) == expect


def test_what_is_usual_can_be_prepared_all_at_once():
    prepared = usual(prompt_tokens(PromptSettings(), CANVAS_TOKENS))

    assert len(set(prepared)) == len(prepared) <= MOST_PREPARED
    assert {bucket.cached for bucket in prepared} == {256, 576, 1344, 2944, 6528}


def test_every_prompt_that_the_settings_allow_has_a_prepared_size():
    longest = prompt_tokens(PromptSettings(), CANVAS_TOKENS)
    for cached in range(1, longest + 1, 61):
        bucket = bucket_for(cached, 32, 16, cached_sizes(longest))
        assert bucket is not None
        assert bucket.cached in cached_sizes(longest)[:5]


@pytest.mark.parametrize("anchored", [0, 15, 16, 17, 16 + CLOSING_TOKENS])
@pytest.mark.parametrize("healed", [0, 3])
def test_a_race_with_seeds_fits_what_is_reserved(anchored, healed):
    lengths = [
        *lengths_to_try(LengthSettings(), 1 + healed, CANVAS_TOKENS - anchored),
        *[32 + healed] * SeedSettings().lanes,
    ]
    rows = sum(lengths) + anchored * len(lengths)
    bucket = bucket_for(6000, rows, sum(lengths))

    assert bucket is not None
    assert bucket.rows <= RESERVED_ROWS


@pytest.mark.parametrize("tokens", [1, 56, 128, 160, 189, 236])
@pytest.mark.parametrize("seeds", [0, 4])
def test_a_rewrite_up_to_the_canvas_has_a_bucket(tokens, seeds):
    anchored = 16 + CLOSING_TOKENS
    lengths = lengths_around(tokens, 1, CANVAS_TOKENS - anchored) + [tokens] * seeds
    rows = sum(lengths) + anchored * len(lengths)
    bucket = bucket_for(6000, rows, sum(lengths))

    assert bucket is not None
    assert bucket.rows in ROWS
    assert bucket.rows <= RESERVED_ROWS or seeds
