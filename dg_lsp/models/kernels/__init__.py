"""Matrix products that decode 4-bit weights on the fly, and the conditions for using them.

Every kernel has a reference in plain torch (`reference.py`), which runs on any device and which
the kernels are tested against.
"""

from __future__ import annotations

import functools
import logging
import os

import torch

from dg_lsp.hardware import installed, kernel_obstacle

log = logging.getLogger(__name__)

TOKENS_PER_TILE = (16, 32, 64)
"""The tile sizes that a product chooses from. Beyond 64, the accumulators no longer fit into
registers."""

_is_allowed = True


def allow(is_allowed: bool) -> None:
    """Let this process use the kernels, or not because they failed their check at load."""
    global _is_allowed
    _is_allowed = is_allowed


def is_interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on any device."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def can_compile() -> bool:
    """Whether Triton can compile kernels here; if not, warns once about the cost."""
    obstacle = kernel_obstacle(installed())
    if obstacle is None:
        return True
    log.warning(
        "4-bit experts are decoded to memory before each product, which is many times slower: "
        "%s",
        obstacle,
    )
    return False


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def available_on(device: torch.device) -> bool:
    """Whether the kernels run on this device; otherwise the references are used.

    Asked while a layer is compiled, and the compiler cannot follow the question.
    """
    return device.type == "cuda" and _is_allowed and can_compile()
