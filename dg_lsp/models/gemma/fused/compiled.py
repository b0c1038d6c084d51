"""The parts of a step, compiled by torch, so that what lies between the products is fused.

A layer is compiled once for all layers of its kind and all sizes of a step. Compiled code is
kept on disk (loading.py says where), so that only the first start of a version pays for it.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.fx.experimental._config as shapes

from dg_lsp.models.gemma.step import PLAIN, Parts


def compiled(vocabulary_chunk: int, backend: Any = "inductor") -> Parts:
    """The parts of a step, which computes the logits of `vocabulary_chunk` tokens at once.

    All of them, if possible: compiled, they are read only twice, and a loop over the
    vocabulary launches each of its kernels for each of its rounds.
    """
    # Sizes that happen to be equal in the first step are not so in others.
    shapes.use_duck_shape = False
    compile_part = functools.partial(
        torch.compile, fullgraph=True, dynamic=True, backend=backend
    )
    return Parts(
        begin=compile_part(PLAIN.begin),
        layer=compile_part(PLAIN.layer),
        end=compile_part(PLAIN.end),
        vocabulary_chunk=vocabulary_chunk,
    )


def only_compiled() -> None:
    """From now on, run a size that nothing was compiled for operation by operation.

    Compiling takes seconds, and must not happen in the middle of a job.
    """
    torch.compiler.set_stance("eager_on_recompile")
