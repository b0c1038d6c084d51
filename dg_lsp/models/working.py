"""Where a denoiser's work is done: on its device, beside other programs, and told apart when
memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from dg_lsp.engine.denoiser import OutOfMemoryError
from dg_lsp.models.device import entered
from dg_lsp.models.sharing_cores import beside_others

WORDS = ("CUDA error: out of memory", "can't allocate memory", "ALLOC_FAILED")
"""How the driver, torch on a CPU and the libraries say that memory ran out; they have no
exception of their own for it."""


@contextlib.contextmanager
def working_on(device: torch.device) -> Iterator[None]:
    """Work on the device; converts torch's out-of-memory errors into the engine's own."""
    cores = beside_others() if device.type == "cpu" else contextlib.nullcontext()
    try:
        with entered(device), cores:
            yield
    except OutOfMemoryError:
        raise
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"out of memory on {device}") from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it followed, says that memory ran out.

    A capture in which memory runs out ends with another error.
    """
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError) or any(
            words in str(error) for words in WORDS
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
