"""The entropy-bound sampling rule, on free positions only.

Source: Ben-Hamu et al., "Accelerated Sampling from Masked Diffusion Models via Entropy Bounded
Unmasking" (arXiv 2505.24857), as transformers applies it to uniform-state diffusion. diffusers
calls this rule a scheduler. Pure functions of tensors; knows no canvas and no model.
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

    Within each lane the positions of lowest entropy are taken while the sum of the entropies
    before them stays within the bound, an upper bound of their joint mutual information. At
    least one is always taken. `entropy` (rows,) in nats; `lane_index` (rows,) says which
    lane a position belongs to, lanes being contiguous.
    """
    ascending = torch.argsort(entropy, stable=True)
    # A stable sort by lane on top keeps each lane's positions in ascending entropy.
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
