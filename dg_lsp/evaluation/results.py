"""What became of each problem, kept line by line so that a run can go on where it broke off.

The log is JSON lines: the run's identity first, then one result a line. A line that was being
written when the run ended is dropped. Knows nothing of models or of how results come about.
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
    """What it shares with others cut from the same text; intervals are drawn over these."""
    text: str
    is_quiet: bool
    """Whether nothing was offered."""
    is_exact: bool
    similarity: float
    confidence: float
    steps: int
    milliseconds: float
    tokens: int
    verdict: str | None = None
    """How the tests ended, where there are any."""
    detail: str = ""
    parses: bool | None = None
    """Whether the document is valid with the answer in it; None where nobody can tell."""


class LogError(EvaluationError):
    """A log that belongs to another run, in one line."""


class ResultLog:
    """Results on disk."""

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        """Open a log for one run, or go on with it. Raises `LogError`."""
        self._path = path
        self.results: dict[str, Result] = {}
        header = json.dumps({"dg_lsp_eval": dict(identity)}, sort_keys=True)
        try:
            kept = self._read(header) if path.exists() else [header]
            # Written whole and put in place at once: nothing is lost if this is cut short.
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
        """The lines that are whole."""
        try:
            first, *lines = self._path.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise LogError(f"{self._path} is no log of an evaluation") from error
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
    """The result of each name in turn: from the log where it is there, or else new."""
    for name in names:
        known = log.results.get(name) if log is not None else None
        if known is None:
            known = work(name)
            if log is not None:
                log.add(known)
        yield known
