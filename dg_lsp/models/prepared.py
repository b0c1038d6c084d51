"""Forward passes that are prepared once and run many times; a bounded number of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from dg_lsp.engine.denoiser import OutOfMemoryError
from dg_lsp.models.working import is_out_of_memory

MOST_PREPARED = 96
MOST_BYTES = 384 * 2**20
"""Bounds on what is prepared at the same time. The memory plan counts it as workspace."""


class PreparingMemoryError(OutOfMemoryError):
    """There is too little memory to prepare even one forward pass."""


class Sized(Protocol):
    nbytes: int
    """What dropping it frees."""


Key = TypeVar("Key", bound=Hashable)
Pass = TypeVar("Pass", bound=Sized)


class Prepared(Generic[Key, Pass]):
    """What is prepared, by its sizes. The least recently used are dropped when there are too
    many."""

    def __init__(self) -> None:
        self._passes: OrderedDict[Key, Pass] = OrderedDict()
        self.times_made = 0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._passes)

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self._passes.values())

    def get(self, key: Key, make: Callable[[], Pass]) -> Pass:
        """The pass of these sizes, made if it is not there.

        Everything else is dropped if that takes too much memory; raises `PreparingMemoryError`
        if it is not enough.
        """
        if key in self._passes:
            self._passes.move_to_end(key)
            return self._passes[key]
        while len(self._passes) >= MOST_PREPARED:
            self._passes.popitem(last=False)
        made = self._passes[key] = self._made(make)
        self.times_made += 1
        while self.nbytes > MOST_BYTES and len(self._passes) > 1:
            self._passes.popitem(last=False)
        return made

    def clear(self) -> None:
        """Drop everything, because buffers moved or memory is short."""
        self._passes.clear()

    def _made(self, make: Callable[[], Pass]) -> Pass:
        try:
            return make()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if not self._passes:
                raise PreparingMemoryError("out of memory while a step was prepared") from error
        # Only here, because the traceback holds the tensors of the first try.
        self.clear()
        return self._made(make)
