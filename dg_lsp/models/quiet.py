"""Keeps transformers' loader off the terminal and takes its progress from it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from transformers.utils import logging as transformers_logging


@contextlib.contextmanager
def quiet_loader(report: Callable[[float], None]) -> Iterator[None]:
    """Keep bars and reports of the loader off the terminal; what matters is raised or told."""
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
    """A bar of the loader that is not drawn: what it counts is reported."""

    def __init__(self, report: Callable[[float], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._report = report

    def __iter__(self) -> Iterator[Any]:
        items = list(super().__iter__())
        for done, item in enumerate(items):
            self._report(done / len(items))
            yield item
        self._report(1.0)
