"""Muon for matrices, Adam for the rest, over float32 master weights.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/): momentum, then the
nearest semi-orthogonal matrix by a Newton-Schulz iteration. Stacks of expert matrices are
orthogonalized matrix by matrix, and matrices of one shape in one batched product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Optimizer:
    """Steps a model whose parameters may be bfloat16; the masters are float32."""

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], matrix_lr: float, other_lr: float
    ) -> None:
        self._parameters = dict(parameters)
        self._matrix_lr, self._other_lr = matrix_lr, other_lr
        self.masters = {name: p.detach().float().clone() for name, p in parameters.items()}
        self._first = {name: torch.zeros_like(m) for name, m in self.masters.items()}
        self._groups: dict[tuple[int, int], list[str]] = defaultdict(list)
        self._others: list[str] = []
        for name, master in self.masters.items():
            if master.ndim >= 2 and "embed_tokens" not in name and "router" not in name:
                self._groups[(master.shape[-2], master.shape[-1])].append(name)
            else:
                self._others.append(name)
        self._second = {name: torch.zeros_like(self.masters[name]) for name in self._others}
        self._steps = 0

    def state(self) -> dict[str, Any]:
        return {
            "masters": self.masters,
            "first": self._first,
            "second": self._second,
            "steps": self._steps,
        }

    def load(self, state: dict[str, Any]) -> None:
        for mine, theirs in (
            (self.masters, state["masters"]),
            (self._first, state["first"]),
            (self._second, state["second"]),
        ):
            for name, tensor in mine.items():
                tensor.copy_(theirs[name])
        self._steps = int(state["steps"])
        self._write_parameters()

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Replace the masters by other weights, by parameter name."""
        for name, master in self.masters.items():
            master.copy_(weights[name])
        self._write_parameters()

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update; `scale` multiplies both learning rates (the schedule)."""
        self._steps += 1
        for shape, names in self._groups.items():
            updates = []
            for name in names:
                gradient = self._gradient(name)
                momentum = self._first[name].lerp_(gradient, 0.05)
                updates.append(gradient.lerp(momentum, 0.95).reshape(-1, *shape))
            # In the model's own type: bfloat16 is many times slower on a CPU that lacks it.
            dtype = self._parameters[names[0]].dtype
            direction = orthogonalize(torch.cat(updates), dtype)
            direction *= max(1.0, shape[0] / shape[1]) ** 0.5 * self._matrix_lr * scale
            start = 0
            for name, update in zip(names, updates, strict=True):
                master = self.masters[name]
                master.mul_(1.0 - 0.1 * self._matrix_lr * scale)
                master.sub_(direction[start : start + len(update)].view_as(master))
                start += len(update)
        for name in self._others:
            gradient = self._gradient(name)
            first = self._first[name].lerp_(gradient, 0.1)
            second = self._second[name].lerp_(gradient.square(), 0.05)
            first_unbiased = first / (1 - 0.9**self._steps)
            second_unbiased = second / (1 - 0.95**self._steps)
            self.masters[name].sub_(
                first_unbiased / (second_unbiased.sqrt() + 1e-10), alpha=self._other_lr * scale
            )
        self._write_parameters()

    def _write_parameters(self) -> None:
        """Round the masters into the model, and drop the gradients of the old weights."""
        for name, parameter in self._parameters.items():
            parameter.data.copy_(self.masters[name])
            parameter.grad = None

    def _gradient(self, name: str) -> Tensor:
        gradient = self._parameters[name].grad
        if gradient is None:
            return torch.zeros_like(self.masters[name])
        return gradient.float()


def orthogonalize(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The semi-orthogonal matrix near each of `matrices`, shape (n, rows, columns).

    Five quintic Newton-Schulz steps in `dtype`, for which bfloat16 is precise enough;
    singular values end between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).to(dtype)
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    orthogonal: Tensor = (x.mT if tall else x).float()
    return orthogonal
