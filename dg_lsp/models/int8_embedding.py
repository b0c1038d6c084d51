"""An embedding in int8 with a scale for each row, which is the output layer as well.

Rows are decoded when they are looked up, and in blocks when logits or soft embeddings are
computed, so that no copy in another precision is ever whole in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

ROWS_AT_ONCE = 8192
"""Rows that are decoded for a product at the same time."""
QUANTIZED_AT_ONCE = 1024
"""Rows that are quantized at the same time."""
LARGEST = 127


@dataclass(frozen=True, slots=True)
class Int8Rows:
    """A matrix in int8. An index or a slice gives rows of it in the precision `dtype`."""

    values: Tensor
    """(rows, columns) int8."""
    scales: Tensor
    """(rows, 1) float32."""
    dtype: torch.dtype

    @property
    def shape(self) -> torch.Size:
        return self.values.shape

    @property
    def device(self) -> torch.device:
        return self.values.device

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        return (self.values[index] * self.scales[index]).to(self.dtype)


def bytes_of(shape: tuple[int, ...]) -> int:
    """Bytes of a matrix in int8."""
    rows, columns = shape
    return rows * (columns + torch.float32.itemsize)


def to_int8(weight: Tensor, device: torch.device, dtype: torch.dtype) -> Int8Rows:
    """Quantize a matrix on `device`, where only a few of its rows are at a time."""
    values = torch.empty(weight.shape, dtype=torch.int8, device=device)
    scales = torch.empty(len(weight), 1, device=device)
    for start in range(0, len(weight), QUANTIZED_AT_ONCE):
        rows = weight[start : start + QUANTIZED_AT_ONCE].to(device, torch.float32, copy=True)
        largest = rows.abs().amax(1, keepdim=True)
        scale = largest.clamp_min(torch.finfo(torch.float32).tiny) / LARGEST
        end = start + len(rows)
        values[start:end] = rows.div_(scale).round_().to(torch.int8)
        scales[start:end] = scale
    return Int8Rows(values, scales, dtype)


class Int8Embedding(nn.Module):
    """Looks up rows and multiplies them by `embed_scale`, as Gemma's embedding does."""

    embed_scale: Tensor

    def __init__(self, rows: Int8Rows, embed_scale: float) -> None:
        super().__init__()
        self._dtype = rows.dtype
        self.register_buffer("values", rows.values)
        self.register_buffer("scales", rows.scales)
        scale = torch.tensor(embed_scale, device=rows.device)
        self.register_buffer("embed_scale", scale, persistent=False)

    @property
    def weight(self) -> Int8Rows:
        return Int8Rows(self.values, self.scales, self._dtype)  # type: ignore[arg-type]

    def forward(self, ids: Tensor) -> Tensor:
        return self.weight[ids] * self.embed_scale.to(self._dtype)


class Int8Output(nn.Module):
    """The output layer that shares its weight with an embedding."""

    def __init__(self, embedding: Int8Embedding) -> None:
        super().__init__()
        self.embedding = embedding

    @property
    def weight(self) -> Int8Rows:
        return self.embedding.weight

    def forward(self, hidden: Tensor) -> Tensor:
        weight = self.weight
        blocks = (
            weight[start : start + ROWS_AT_ONCE]
            for start in range(0, weight.shape[0], ROWS_AT_ONCE)
        )
        return torch.cat([nn.functional.linear(hidden, block) for block in blocks], dim=-1)
