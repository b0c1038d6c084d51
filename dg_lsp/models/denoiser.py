"""A loaded DiffusionGemma as the engine's denoiser. Knows nothing of jobs or text."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from dg_lsp.models.diffusion_gemma import TextDiffusionGemma


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt that was read: its cache, its length, and the last position's hidden state."""

    cache: DynamicCache
    length: int
    last_hidden: Tensor
    """(hidden,)"""


class GemmaDenoiser:
    """Implements `engine.denoiser.Denoiser` over the transformers class."""

    def __init__(self, model: TextDiffusionGemma) -> None:
        self.model = model.eval()
        self._text_config = model.config.text_config
        self.vocab_size: int = self._text_config.vocab_size
        self.canvas_length: int = model.config.canvas_length
        self.device: torch.device = model.lm_head.weight.device
        self._dtype: torch.dtype = model.lm_head.weight.dtype
        self._window: int = self._text_config.sliding_window

    @torch.inference_mode()
    def encode(self, ids: Sequence[int]) -> Encoded:
        cache = DynamicCache(config=self._text_config)
        tokens = torch.tensor([ids], device=self.device)
        output = self.model.model.encoder(input_ids=tokens, past_key_values=cache)
        return Encoded(cache, len(ids), output.last_hidden_state[0, -1])

    @torch.inference_mode()
    def denoise(
        self,
        encoded: Encoded,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        output = self.model.model.decoder(
            decoder_input_ids=canvas[None],
            past_key_values=encoded.cache,
            self_conditioning_logits=None
            if conditioning is None
            else conditioning[None].to(self._dtype),
            decoder_attention_mask=self._canvas_masks(encoded, lengths),
            decoder_position_ids=self._positions(encoded, lengths)[None],
        )
        return self._logits(output.last_hidden_state[0])

    @torch.inference_mode()
    def score(self, encoded: Encoded, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        lengths = [len(tokens) for tokens in continuations]
        if not any(lengths):
            return [torch.empty(0, device=self.device) for _ in lengths]
        tokens = torch.tensor([i for each in continuations for i in each], device=self.device)
        hidden = self.model.model.encoder.language_model(
            input_ids=tokens[None],
            attention_mask=self._continuation_masks(encoded, lengths),
            position_ids=self._positions(encoded, lengths)[None],
            past_key_values=_fork(encoded.cache),
        ).last_hidden_state[0]
        # A token is predicted at the position before it: the first one by the prompt's last.
        before = torch.cat([encoded.last_hidden[None], hidden[:-1]])
        starts = torch.tensor(
            [sum(lengths[:n]) for n, length in enumerate(lengths) if length],
            device=self.device,
        )
        before[starts] = encoded.last_hidden
        log_probabilities = torch.log_softmax(self._logits(before), dim=-1)
        each = log_probabilities.gather(1, tokens[:, None]).squeeze(1)
        return list(each.split(lengths))

    def _logits(self, hidden: Tensor) -> Tensor:
        cap = self.model.final_logit_softcapping
        logits = nn.functional.linear(hidden, self.model.lm_head.weight).float()
        capped: Tensor = torch.tanh(logits / cap) * cap
        return capped

    def _positions(self, encoded: Encoded, lengths: Sequence[int]) -> Tensor:
        each = [torch.arange(length) for length in lengths]
        return (torch.cat(each) + encoded.length).to(self.device)

    def _canvas_masks(
        self, encoded: Encoded, lengths: Sequence[int]
    ) -> dict[str, Tensor | None]:
        """Every canvas reads the whole cache and itself; alone it needs no mask."""
        if len(lengths) == 1:
            return {"full_attention": None, "sliding_attention": None}
        own = _owners(lengths)
        return self._with_cached(encoded, own[:, None] == own[None, :], None)

    def _continuation_masks(
        self, encoded: Encoded, lengths: Sequence[int]
    ) -> dict[str, Tensor | None]:
        """Causal within each continuation; sliding layers look back one window."""
        own = _owners(lengths)
        offset = torch.cat([torch.arange(length) for length in lengths])
        causal = (own[:, None] == own[None, :]) & (offset[:, None] >= offset[None, :])
        return self._with_cached(encoded, causal, offset)

    def _with_cached(
        self, encoded: Encoded, among: Tensor, offset: Tensor | None
    ) -> dict[str, Tensor | None]:
        """Put cached keys before `among` (rows, rows); `offset` (rows,) limits the window."""
        rows = among.shape[0]
        full = torch.cat([torch.ones(rows, encoded.length, dtype=torch.bool), among], dim=1)
        kept = min(encoded.length, self._window - 1)
        cached = torch.ones(rows, kept, dtype=torch.bool)
        if offset is not None:
            distance = offset[:, None] + kept - torch.arange(kept)[None, :]
            cached = distance < self._window
            near = (offset[:, None] - offset[None, :]) < self._window
            among = among & near
        sliding = torch.cat([cached, among], dim=1)
        return {
            "full_attention": full[None, None].to(self.device),
            "sliding_attention": sliding[None, None].to(self.device),
        }


def _owners(lengths: Sequence[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def _fork(cache: DynamicCache) -> DynamicCache:
    """A cache that shares all tensors and can grow without touching the original."""
    fork = copy.copy(cache)
    fork.layers = [copy.copy(layer) for layer in cache.layers]
    return fork
