"""Ranks finished texts by the probability of writing them.

A masked model gives a text's probability along any order of its positions: that of each token
after those before it in this order. Every text is scored along the same kind of order, in a few
passes, no matter how it was found: written by a lane, copied from a seed, or empty.
All passes of all texts go through the network together, since the text is known.

If the model has a token that deletes, the text is followed by one: so texts of all lengths,
the empty one included, compare by log-likelihood. A model without one does not say where a
text ends. Its texts compare by the mean over their tokens, and the empty one by a number of
the checkpoint (`MaskedSettings.empty_nats`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.config import MaskedSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Canvases, Denoiser
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.masked.rules import MaskTokens
from dg_lsp.engine.prompt import Prompt, healed_ids
from dg_lsp.engine.ranking import Likelihood, by_score
from dg_lsp.job import Candidate

ROWS = 512
"""Rows that one forward pass scores at most, unless one text has more."""


@dataclass(frozen=True, slots=True)
class PathRanker:
    """Implements `engine.family.Ranker`."""

    settings: MaskedSettings
    denoiser: Denoiser
    codec: Codec
    tokens: MaskTokens
    token_reward_nats: float

    def rank(
        self,
        found: Sequence[FoundText],
        prompt: Prompt,
        encoded: Any,
        known: dict[str, Likelihood],
        *,
        is_rewrite: bool,
    ) -> list[Candidate]:
        def likelihoods(texts: Sequence[str]) -> list[Likelihood]:
            ids = [healed_ids(prompt, self.codec, text) for text in texts]
            return self._likelihoods(encoded, ids)

        reward = 0.0 if is_rewrite or self.tokens.delete is None else self.token_reward_nats
        return by_score(found, known, likelihoods, reward, _confidence)

    def _likelihoods(self, encoded: Any, texts: Sequence[Sequence[int]]) -> list[Likelihood]:
        """The likelihood of each text; one that fits into no canvas counts by its beginning."""
        delete = self.tokens.delete
        most = self.denoiser.canvas_length - (delete is not None)
        shown = [list(ids[:most]) for ids in texts]
        canvases = [
            (number, canvas)
            for number, ids in enumerate(shown)
            for canvas in passes(ids, self.tokens, self.settings.score_passes)
        ]
        totals = [0.0] * len(shown)
        batch: list[tuple[int, ScoredCanvas]] = []
        rows = 0
        for number, canvas in [*canvases, (-1, ScoredCanvas([], {}))]:
            rows += len(canvas.ids)
            if batch and (rows > ROWS or number < 0):
                fits = self._fits(encoded, [one for _, one in batch])
                for (of_text, _), fit in zip(batch, fits, strict=True):
                    totals[of_text] += fit
                batch, rows = [], len(canvas.ids)
            batch.append((number, canvas))
        return [
            self._likelihood(total, len(ids)) for total, ids in zip(totals, shown, strict=True)
        ]

    def _likelihood(self, total: float, count: int) -> Likelihood:
        if self.tokens.delete is not None:
            return Likelihood(total, math.exp(total / (count + 1)), count)
        mean = total / count if count else self.settings.empty_nats
        return Likelihood(mean, math.exp(min(0.0, mean)), count)

    def _fits(self, encoded: Any, canvases: Sequence[ScoredCanvas]) -> list[float]:
        """The summed log-probability of the targets of each canvas."""
        device, vocab_size = self.denoiser.device, self.denoiser.vocab_size
        targets = sorted({token for canvas in canvases for token in canvas.targets.values()})
        numbers = {token: number for number, token in enumerate(targets)}
        # A free row accepts its target alone, so that its fit is that of the target.
        disallowed = torch.ones(len(targets), vocab_size, dtype=torch.bool)
        disallowed[torch.arange(len(targets)), torch.tensor(targets)] = False
        free: list[int] = []
        pinned: list[int] = []
        constraint: list[int] = []
        start = 0
        for canvas in canvases:
            for at in range(len(canvas.ids)):
                (free if at in canvas.targets else pinned).append(start + at)
            constraint += [numbers[canvas.targets[at]] for at in sorted(canvas.targets)]
            start += len(canvas.ids)

        def tensor(values: Sequence[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.long, device=device)

        predicted = self.denoiser.denoise(
            encoded,
            Canvases(
                tuple(len(canvas.ids) for canvas in canvases),
                *(tensor(free), tensor(pinned), disallowed.to(device), tensor(constraint)),
                is_scored=True,
            ),
            tensor([token for canvas in canvases for token in canvas.ids]),
            None,
            1.0,
            torch.zeros(len(free), device=device),
        )
        sizes = [len(canvas.targets) for canvas in canvases]
        return [float(part.sum()) for part in predicted.free_fit.cpu().split(sizes)]


def _confidence(found: FoundText, likelihood: Likelihood) -> float:
    return likelihood.per_token if found.confidence is None else found.confidence


@dataclass(frozen=True, slots=True)
class ScoredCanvas:
    """A canvas with known tokens, in which the probability of some masked ones is asked."""

    ids: list[int]
    targets: dict[int, int]
    """The token that is scored, by its position."""


def passes(ids: Sequence[int], tokens: MaskTokens, count: int) -> list[ScoredCanvas]:
    """The canvases that score a text in `count` passes, the delete after it in the last."""
    written = [*ids] if tokens.delete is None else [*ids, tokens.delete]
    turns = [at % count if at < len(ids) else count - 1 for at in range(len(written))]
    return [
        ScoredCanvas(
            [tokens.mask if turns[at] >= turn else token for at, token in enumerate(written)],
            {at: token for at, token in enumerate(written) if turns[at] == turn},
        )
        for turn in sorted(set(turns))
    ]
