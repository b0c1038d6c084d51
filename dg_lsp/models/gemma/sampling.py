"""Samples tokens from hidden states without ever holding all logits.

The output layer, the soft-cap, the constraints, the temperature, the sample and the soft
embedding that the next step is conditioned on are computed in one pass over the vocabulary,
chunk by chunk. Sums are relative to the highest logit so far and are rescaled when a higher one
appears, as in the online softmax of Milakov and Gimelshein (arXiv 1805.02867). Nothing waits
for the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dg_lsp.models.int8_embedding import Int8Rows

VOCABULARY_CHUNK = 8192
"""Tokens per chunk: with a few hundred rows, a chunk's logits fit into a GPU's cache."""
BLOCK = 64
"""Tokens per block, whose summed probabilities locate a sample; a power of two below a
chunk."""
RULED_OUT = -1e30
"""Logit of a disallowed token: far below any other, but finite."""


@dataclass(frozen=True, slots=True)
class Head:
    """The output layer."""

    weight: Tensor | Int8Rows
    """(vocab, hidden), shared with the embedding."""
    cap: float
    """Logits are squeezed into (-cap, cap)."""
    by_sigmoid: bool = False
    """Whether to compute that with a sigmoid instead of tanh, which is a little less exact and
    takes a third of the time on a CPU."""

    def logits(self, hidden: Tensor, start: int = 0, end: int | None = None) -> Tensor:
        """Soft-capped logits (rows, tokens) of tokens `[start, end)`, float32."""
        return self.logits_of(hidden, self.weight[start:end])

    def logits_of(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """The same for the tokens (tokens, hidden) whose weights are given."""
        return self.capped(nn.functional.linear(hidden, weights).float())

    def mean(self, shares: Tensor, weights: Tensor) -> Tensor:
        """The sum (rows, hidden) of the weights (tokens, hidden) of tokens, each times its
        share (rows, tokens), float32."""
        return (shares.to(weights.dtype) @ weights).float()

    def logit_of(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Soft-capped logit (rows,) of one token per row."""
        return self.capped((hidden.float() * self.weight[tokens].float()).sum(-1))

    def capped(self, raw: Tensor) -> Tensor:
        if self.by_sigmoid:
            return raw.mul_(2 / self.cap).sigmoid_().mul_(2 * self.cap).sub_(self.cap)
        return raw.div_(self.cap).tanh_().mul_(self.cap)


@dataclass(frozen=True, slots=True)
class Selection:
    """The tokens selected for each free row, in the order of the rows."""

    sampled: Tensor
    """(free,) the token sampled at the temperature, within the constraints."""
    argmax: Tensor
    """(free,) the best token within the constraints."""
    log_probability: Tensor
    """(free,) log-probability of the best token, at the temperature, within the constraints."""
    entropy: Tensor
    """(free,) entropy in nats, at the temperature, within the constraints."""
    fit: Tensor
    """(rows,) log-probability at temperature 1 and without constraints, of the best token of a
    free row and of the given token of a pinned row."""
    soft: Tensor
    """(free, hidden) mean of the output weights, weighted by probability, float32."""


def select(
    head: Head,
    hidden: Tensor,
    pinned: Tensor,
    disallowed: Tensor,
    constraint: Tensor,
    temperature: Tensor,
    share: Tensor,
    chunk: int = VOCABULARY_CHUNK,
) -> Selection:
    """Select a token for each free row, and compute how well the pinned ones fit.

    `hidden` (free + pinned, hidden), the free rows first; `pinned` (pinned,) tokens of the
    others; `disallowed` (constraints, vocab) true where a token is disallowed; `constraint`
    (free,) the row of it that applies; `temperature` a scalar or (free,); `share` (free,)
    uniform in [0, 1): the sample is the first token at which the cumulative probability exceeds
    it. `chunk` tokens of the vocabulary are looked at at once.
    """
    rows, free = hidden.shape[0], share.shape[0]
    temperature = temperature.expand(free)
    total = hidden.new_zeros(rows, dtype=torch.float32)
    peak = total.new_full((free,), RULED_OUT)
    mass, moment = torch.zeros_like(peak), torch.zeros_like(peak)
    best = torch.zeros_like(peak, dtype=torch.long)
    soft = total  # Until the first chunk.
    blocks: list[Tensor] = []
    peaks: list[Tensor] = []
    vocab = head.weight.shape[0]
    weights = peak[:, None]  # Of the current chunk.
    for start in range(0, vocab, chunk):
        end = min(start + chunk, vocab)
        # Once, because rows in int8 are decoded.
        held = head.weight[start:end]
        logits = head.logits_of(hidden, held)
        # Relative to the cap, no sum can overflow or vanish.
        total += (logits - head.cap).exp_().sum(-1)
        scaled = logits[:free].div_(temperature[:, None])
        scaled = scaled.masked_fill_(disallowed[constraint, start:end], RULED_OUT)
        highest, index = scaled.max(-1)
        best = torch.where(highest > peak, index + start, best)
        risen = torch.maximum(peak, highest)
        fall = peak - risen
        shrink = fall.exp()
        relative = scaled.sub_(risen[:, None])
        weights = relative.exp()
        summed = _block_sums(weights)
        own = summed.sum(-1)
        moment = shrink * (moment + mass * fall) + (weights * relative).sum(-1)
        mass = shrink * mass + own
        mean = head.mean(weights, held)
        soft = mean if start == 0 else soft * shrink[:, None] + mean
        peak = risen
        blocks.append(summed)
        peaks.append(peak)
    log_mass = mass.log()
    sums = torch.cat(
        [each * (at - peak).exp()[:, None] for each, at in zip(blocks, peaks, strict=True)], 1
    )
    block, rest = _draw(sums, share)
    within = (
        _blocks_of(weights, block)
        if len(blocks) == 1
        else _weights_again(
            head, hidden[:free], block, disallowed, constraint, temperature, peak
        )
    )
    capped = torch.cat([peak * temperature, head.logit_of(hidden[free:], pinned)])
    return Selection(
        sampled=block * BLOCK + _invert(within, rest)[0],
        argmax=best,
        log_probability=-log_mass,
        entropy=log_mass - moment / mass,
        fit=capped - head.cap - total.log(),
        soft=soft / mass[:, None],
    )


def log_probabilities(head: Head, hidden: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability (rows,) of one token (rows,) per row of `hidden` (rows, hidden)."""
    vocab = head.weight.shape[0]
    total = hidden.new_zeros(hidden.shape[0], dtype=torch.float32)
    for start in range(0, vocab, VOCABULARY_CHUNK):
        logits = head.logits(hidden, start, min(start + VOCABULARY_CHUNK, vocab))
        total += logits.sub_(head.cap).exp_().sum(-1)
    return head.logit_of(hidden, tokens) - head.cap - total.log()


def _block_sums(weights: Tensor) -> Tensor:
    """Sums (rows, blocks) of `weights` (rows, tokens) over `BLOCK` tokens each."""
    return _padded(weights).view(weights.shape[0], -1, BLOCK).sum(-1)


def _padded(weights: Tensor) -> Tensor:
    missing = -weights.shape[1] % BLOCK
    return nn.functional.pad(weights, (0, missing)) if missing else weights


def _draw(sums: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """The block (rows,) that holds each sample, and how much of its sum lies before it."""
    total = sums.sum(-1)
    return _invert(sums, share * total)


def _invert(weights: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The first index (rows,) at which the cumulative sum of `weights` exceeds `target`
    (rows,).

    Returns also what is left of the target before that index.
    """
    cumulative = weights.cumsum(-1)
    total = cumulative[:, -1:]
    # Below the total even after rounding, so that the token found has a weight.
    below = torch.minimum(target[:, None], torch.nextafter(total, torch.zeros_like(total)))
    index = torch.searchsorted(cumulative, below, right=True)
    before = cumulative.gather(1, (index - 1).clamp_min(0)) * (index > 0)
    return index.squeeze(1), (below - before).squeeze(1)


def _blocks_of(weights: Tensor, block: Tensor) -> Tensor:
    """The weights (rows, BLOCK) of one block per row."""
    every = _padded(weights).view(weights.shape[0], -1, BLOCK)
    index = block[:, None, None].expand(-1, 1, BLOCK)
    return every.gather(1, index).squeeze(1)


def _weights_again(
    head: Head,
    hidden: Tensor,
    block: Tensor,
    disallowed: Tensor,
    constraint: Tensor,
    temperature: Tensor,
    peak: Tensor,
) -> Tensor:
    """The same, recomputed from the hidden states, which is cheaper than keeping all
    weights."""
    vocab = head.weight.shape[0]
    tokens = block[:, None] * BLOCK + torch.arange(BLOCK, device=block.device)
    beyond = tokens >= vocab
    tokens = tokens.clamp_max(vocab - 1)
    raw = torch.bmm(head.weight[tokens], hidden[:, :, None]).squeeze(2).float()
    scaled = head.capped(raw).div_(temperature[:, None])
    scaled.masked_fill_(disallowed[constraint[:, None], tokens] | beyond, RULED_OUT)
    return scaled.sub_(peak[:, None]).exp_()
