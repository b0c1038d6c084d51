"""The results of a run, logged line by line so that an interrupted run can continue.

The log is JSON lines: first the run's identity, then one result per line. A line that was being
written when the run ended is dropped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.evaluation import EvaluationError


@dataclass(frozen=True, slots=True)
class Result:
    """One problem, its answer and how good it is."""

    name: str
    kind: str
    language: str
    cluster: str
    """The cluster of problems cut from the same text, for the bootstrap."""
    text: str
    is_quiet: bool
    """Whether nothing was suggested."""
    is_exact: bool
    similarity: float
    confidence: float
    steps: int
    milliseconds: float
    tokens: int
    verdict: str | None = None
    """The outcome of the tests, if there are any."""
    detail: str = ""
    parses: bool | None = None
    """Whether the document is valid with the answer; None if that cannot be decided."""


class LogError(EvaluationError):
    """The log belongs to another run."""


class ResultLog:
    """Results on disk."""

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        """Open a log for one run, or continue it. Raises `LogError`."""
        self._path = path
        self.results: dict[str, Result] = {}
        header = json.dumps({"dg_lsp_eval": dict(identity)}, sort_keys=True)
        try:
            kept = self._read(header) if path.exists() else [header]
            # Written completely and renamed, so that nothing is lost if this is interrupted.
            beside = path.with_name(f"{path.name}.new")
            beside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            os.replace(beside, path)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise LogError(f"{path} cannot be written: {error.strerror or error}") from error

    def add(self, result: Result) -> None:
        self.results[result.name] = result
        self._file.write(json.dumps(dataclasses.asdict(result)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _read(self, header: str) -> list[str]:
        """The complete lines."""
        try:
            first, *lines = self._path.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise LogError(f"{self._path} is not a log of an evaluation") from error
        if first != header:
            same = first.startswith('{"dg_lsp_eval"')
            what = "of another run (model, data or options differ)" if same else "no such log"
            raise LogError(f"{self._path} is {what}; name another file with --log")
        kept = [header]
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError, TypeError):
                result = Result(**json.loads(line))
                self.results[result.name] = result
                kept.append(line)
        return kept


def completed(
    names: Iterable[str], log: ResultLog | None, work: Callable[[str], Result]
) -> Iterator[Result]:
    """The result of each name in turn, from the log if it is there."""
    for name in names:
        known = log.results.get(name) if log is not None else None
        if known is None:
            known = work(name)
            if log is not None:
                log.add(known)
        yield known
