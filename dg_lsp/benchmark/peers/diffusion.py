"""Ways to run a masked diffusion model on a Qwen2 backbone.

The text of a method's outcome means nothing, because the weights are random; the work is that
of the real thing. Row i of the sequence is predicted by the output at row i - 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, Qwen2ForCausalLM

from dg_lsp.benchmark.peers.measuring import Scenario
from dg_lsp.models.cpu_linear import CpuWeights, pack_linears


class Network:
    """transformers' Qwen2 with full attention, in float32, its products packed as `weights`."""

    def __init__(self, checkpoint: Path, weights: CpuWeights) -> None:
        model = Qwen2ForCausalLM.from_pretrained(
            checkpoint, dtype=torch.float32, attn_implementation="sdpa"
        ).eval()
        pack_linears(model, weights)
        self.weights = weights.value
        self.mask: int = model.config.mask_token_id
        self._body, self._head = model.model, model.lm_head

    def hidden(self, ids: Tensor, start: int = 0, cache: DynamicCache | None = None) -> Tensor:
        """(rows, hidden) for ids (rows,) at positions from `start`; all see all, and the cache,
        to which their keys and values are added."""
        cached = 0 if cache is None else cache.get_seq_length()
        seen = torch.ones(1, 1, len(ids), cached + len(ids), dtype=torch.bool)
        positions = torch.arange(start, start + len(ids))
        output: Any = self._body(
            ids[None],
            attention_mask=seen,
            position_ids=positions[None],
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._head(hidden)
        return logits

    def start(self, scenario: Scenario) -> Tensor:
        """(context + span,) ids: text, masks, text."""
        ids = 7 + torch.arange(scenario.context + scenario.span) % 1000
        ids[canvas_of(scenario)] = self.mask
        return ids


def canvas_of(scenario: Scenario) -> slice:
    return slice(scenario.prefix, scenario.prefix + scenario.span)


def commit_surest(ids: Tensor, logits: Tensor, mask: int, count: int) -> None:
    """Replace the `count` masks with the least entropy by their best token.

    `ids` (rows,); `logits` (rows, vocab).
    """
    probability = logits.softmax(-1)
    entropy = logits.logsumexp(-1) - torch.linalg.vecdot(probability, logits)
    surest = entropy.masked_fill(ids != mask, torch.inf).topk(
        min(count, len(ids)), largest=False
    )
    chosen = surest.indices[surest.values < torch.inf]
    ids[chosen] = logits[chosen].argmax(-1)


class FullForward:
    """Every pass runs the whole sequence, and commits one token.

    The official way also computes the logits of every row; ours, in exact mode, those of the
    canvas. Implements `measuring.Method`.
    """

    reads_once = False

    def __init__(self, name: str, network: Network, *, all_logits: bool) -> None:
        self.name, self.weights = name, network.weights
        self.commits: tuple[int, ...] = (1,) if all_logits else (1, 2, 4)
        self._network, self._all_logits = network, all_logits

    def passes(self, scenario: Scenario) -> int:
        return 1

    def read(self, scenario: Scenario) -> None:
        pass

    @torch.inference_mode()
    def write(self, scenario: Scenario, passes: int) -> None:
        ids, canvas = self._network.start(scenario), canvas_of(scenario)
        predicting = slice(canvas.start - 1, canvas.stop - 1)
        for _ in range(passes):
            hidden = self._network.hidden(ids)
            if self._all_logits:
                logits = self._network.logits(hidden)[predicting]
            else:
                logits = self._network.logits(hidden[predicting])
            commit_surest(ids[canvas], logits, self._network.mask, 1)


class CachedContext:
    """The text around the span is read once; a pass runs the canvas and the row before it
    against its keys and values. Implements `measuring.Method`."""

    reads_once = True
    commits: tuple[int, ...] = (1, 2, 4)

    def __init__(self, name: str, network: Network) -> None:
        self.name, self.weights = name, network.weights
        self._network = network
        self._cache = DynamicCache()

    def passes(self, scenario: Scenario) -> int:
        return 4

    @torch.inference_mode()
    def read(self, scenario: Scenario) -> None:
        ids, canvas = self._network.start(scenario), canvas_of(scenario)
        cache = DynamicCache()
        self._network.hidden(ids, 0, cache)
        rows = torch.arange(len(ids))
        known = rows[(rows < canvas.start - 1) | (rows >= canvas.stop)]
        self._cache = DynamicCache()
        for number, layer in enumerate(cache.layers):
            self._cache.update(layer.keys[:, :, known], layer.values[:, :, known], number)

    @torch.inference_mode()
    def write(self, scenario: Scenario, passes: int) -> None:
        ids, canvas = self._network.start(scenario), canvas_of(scenario)
        first = canvas.start - 1
        for _ in range(passes):
            hidden = self._network.hidden(ids[first : canvas.stop], first, self._cache)
            self._cache.crop(-(canvas.stop - first))
            logits = self._network.logits(hidden[:-1])
            commit_surest(ids[canvas], logits, self._network.mask, 1)
