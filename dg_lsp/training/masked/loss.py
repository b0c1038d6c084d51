"""The loss of the masked objective on transformers' Qwen2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import Qwen2ForCausalLM

from dg_lsp.training.masked.corruption import IGNORED
from dg_lsp.training.masked.examples import Batch


def reading_mask(batch: Batch) -> Tensor:
    """(b, 1, sequence, sequence) true where a position reads another: all but the padding, and
    in causal examples only what is not after it."""
    length = batch.ids.shape[1]
    keys = torch.arange(length)
    present = keys[None, :] < torch.from_numpy(batch.lengths)[:, None]
    before = keys[None, :] <= keys[:, None]
    causal = torch.from_numpy(batch.causal)[:, None, None]
    return (present[:, None, :] & (before | ~causal))[:, None]


def shifted_losses(
    model: Qwen2ForCausalLM, batch: Batch, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Weighted mean cross entropy in nats per token, of causal and of masked examples.

    Logits are computed only where there is a target. The output at i - 1 predicts row i.
    """
    ids = torch.from_numpy(batch.ids).to(device)
    mask = reading_mask(batch).to(device)
    hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    targets = torch.from_numpy(batch.targets[:, 1:])
    chosen = targets != IGNORED
    logits = model.lm_head(hidden[:, :-1][chosen.to(device)]).float()
    each = nn.functional.cross_entropy(logits, targets[chosen].to(device), reduction="none")
    weights = torch.from_numpy(batch.weights[:, 1:])[chosen].to(device)
    causal = torch.from_numpy(batch.causal)[:, None].expand_as(chosen)[chosen].to(device)
    return _mean(each[causal], weights[causal]), _mean(each[~causal], weights[~causal])


def _mean(each: Tensor, weights: Tensor) -> Tensor:
    return (each * weights).sum() / weights.sum().clamp(min=1e-9)
