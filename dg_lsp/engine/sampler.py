"""The entropy-bound sampling rule, on free positions only.

Source: Ben-Hamu et al., "Accelerated Sampling from Masked Diffusion Models via Entropy Bounded
Unmasking" (arXiv 2505.24857), as transformers applies it to uniform-state diffusion. diffusers
calls this rule a scheduler. This module consists of pure functions of tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dg_lsp.config import SamplerSettings


def temperature(settings: SamplerSettings, step_idx: int) -> float:
    """Linear schedule from `t_max` down; `step_idx` counts upward from 0."""
    steps_left = settings.max_denoising_steps - step_idx
    share = steps_left / settings.max_denoising_steps
    return settings.t_min + (settings.t_max - settings.t_min) * share


def accept(entropy: Tensor, lane_index: Tensor, entropy_bound: float) -> Tensor:
    """Which positions keep their sampled token this step, boolean (rows,).

    Within each lane, positions are taken in order of ascending entropy while the sum of the
    entropies before them stays within the bound, which is an upper bound of their joint mutual
    information. At least one position is always taken. `entropy` (rows,) is in nats;
    `lane_index` (rows,) says which lane a position belongs to, and lanes are contiguous.
    """
    ascending = torch.argsort(entropy, stable=True)
    # A second, stable sort by lane keeps each lane's positions in ascending entropy.
    order = ascending[torch.argsort(lane_index[ascending], stable=True)]
    ordered = entropy[order]
    before = torch.cumsum(ordered, 0) - ordered
    lanes = lane_index[order]
    first = torch.ones_like(lanes, dtype=torch.bool)
    first[1:] = lanes[1:] != lanes[:-1]
    offset = torch.where(first, before, before.new_zeros(())).cummax(0).values
    accepted = torch.empty_like(first)
    accepted[order] = before - offset <= entropy_bound
    return accepted
