"""Attention masks, in the ways in which they are made."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.models.gemma.masks import causal_mask, reading_mask


@pytest.mark.parametrize("window", [None, 1, 3, 16])
@pytest.mark.parametrize("cached", [0, 2, 15])
def test_what_a_piece_of_a_prompt_sees(cached, window):
    found = reading_mask(20, cached, window, torch.device("cpu"))

    assert torch.equal(found, causal_mask([20], cached, window))
    # The first row sees the cached tokens in its window and itself.
    assert found[0].sum() == min(cached + 1, window or 99)
