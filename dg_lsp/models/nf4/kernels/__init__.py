"""Products with NF4 weights that are decoded inside the product, and when they are used.

Every kernel has a reference in plain torch beside it (`reference.py`), which any device can
run and which the kernels are tested against. Knows nothing of checkpoints.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os

import torch

log = logging.getLogger(__name__)

OLDEST_CAPABILITY = (8, 0)
"""CUDA compute capability from which on tensor cores multiply bfloat16 (Ampere)."""


def is_interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on any device."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed; says once what its lack costs."""
    if importlib.util.find_spec("triton") is not None:
        return True
    log.warning(
        "triton is not installed: 4-bit experts are decoded to memory before each product, "
        "which is many times slower; pip install triton (Linux, Windows: triton-windows)"
    )
    return False


def available_on(device: torch.device) -> bool:
    """Whether the kernels run on this device; elsewhere the references do."""
    return device.type == "cuda" and has_triton()
