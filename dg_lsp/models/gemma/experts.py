"""An experts implementation for models with a handful of experts on a CPU.

transformers' `grouped_mm` sorts rows by expert and launches one product per expert; with four
small experts the sorting costs more than multiplying every row by all of them.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.integrations.moe import ExpertsInterface

ALL_EXPERTS = "all_experts"
MOST_EXPERTS_AT_ONCE = 8
"""With at most this many experts, a CPU computes all of them faster than a grouped product."""


def all_experts_forward(
    self: nn.Module, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor
) -> Tensor:
    """Every expert on every row, weighted by the router; unchosen experts weigh zero.

    Shapes: `hidden_states` (rows, hidden), `top_k_index` and `top_k_weights` (rows, k);
    returns (rows, hidden).
    """
    rows, hidden = hidden_states.shape
    gate_up: Tensor = self.gate_up_proj  # type: ignore[assignment]
    down: Tensor = self.down_proj  # type: ignore[assignment]
    experts, _, inner = down.shape  # (experts, hidden, inner)
    weights = hidden_states.new_zeros(rows, experts)
    weights = weights.scatter(1, top_k_index, top_k_weights.to(hidden_states.dtype))
    both = nn.functional.linear(hidden_states, gate_up.reshape(-1, hidden))
    gate, up = both.view(rows, experts, 2, inner).unbind(2)
    activated = self.act_fn(gate) * up * weights[:, :, None]  # type: ignore[operator]
    return nn.functional.linear(
        activated.reshape(rows, -1), down.permute(1, 0, 2).reshape(hidden, -1)
    )


def register() -> None:
    """Register the implementation with transformers as `ALL_EXPERTS`."""
    ExpertsInterface.register(ALL_EXPERTS, all_experts_forward)
