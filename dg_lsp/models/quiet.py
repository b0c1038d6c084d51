"""Keeps transformers' loader off the terminal and takes its progress from it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from transformers.utils import logging as transformers_logging


@contextlib.contextmanager
def quiet_loader(report: Callable[[float], None]) -> Iterator[None]:
    """Keep the loader's bars and reports off the terminal; errors are raised instead."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    hook = transformers_logging.set_tqdm_hook(
        lambda factory, args, kwargs: _Reporting(report, *args, **kwargs)
    )
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(hook)
        transformers_logging.set_verbosity(verbosity)


class _Reporting(transformers_logging.EmptyTqdm):  # type: ignore[misc]
    """Replaces the loader's progress bar and reports its progress instead."""

    def __init__(self, report: Callable[[float], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._report = report

    def __iter__(self) -> Iterator[Any]:
        items = list(super().__iter__())
        for done, item in enumerate(items):
            self._report(done / len(items))
            yield item
        self._report(1.0)
