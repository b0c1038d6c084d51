"""Reads the files of public benchmarks: JSON lines, plain or gzipped, and Parquet.

Every fault of such a file raises a `DataError` with a one-line message. The formats are those
of
HumanEval-Infilling and SantaCoder-FIM.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dg_lsp.evaluation import EvaluationError
from dg_lsp.evaluation.spans import TrueSpan

HUMANEVAL_FIELDS = ("task_id", "entry_point", "prompt", "suffix", "canonical_solution", "test")
HUMANEVAL_SIZES = {
    "SingleLineInfilling": 1033,
    "MultiLineInfilling": 5815,
    "RandomSpanInfilling": 1640,
    "RandomSpanInfillingLight": 164,
}
"""Number of problems in each set of the public benchmark, to detect incomplete files."""

SANTACODER_FIELDS = ("name", "language", "prompt", "suffix", "canonical_solution")
SANTACODER_LANGUAGES = {"js": "javascript", "java": "java", "py": "python"}


class DataError(EvaluationError):
    """A benchmark file cannot be used; one line says why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A span of a benchmark and, if it is judged by running it, the program's end."""

    name: str
    span: TrueSpan
    cluster: str
    """The cluster of problems cut from the same text."""
    test: str = ""

    def program(self, text: str) -> str:
        """The document with `text` in the span, and its tests."""
        return f"{self.span.prefix}{text}{self.span.suffix}\n{self.test}"


def read_humaneval(path: Path) -> list[Problem]:
    """The problems of one set of HumanEval-Infilling (Bavarian et al., arXiv 2207.14255)."""
    problems = []
    for row in _rows(path, HUMANEVAL_FIELDS):
        kind, _, rest = row["task_id"].partition("/")
        span = TrueSpan(
            path="solution.py",
            prefix=row["prompt"],
            suffix=row["suffix"],
            text=row["canonical_solution"],
            kind=kind,
        )
        test = f"{row['test']}\ncheck({row['entry_point']})\n"
        problems.append(Problem(row["task_id"], span, rest.rpartition("/")[0], test))
    return problems


def read_santacoder(path: Path) -> list[Problem]:
    """The problems of SantaCoder-FIM (Ben Allal et al., arXiv 2301.03988): single lines."""
    problems = []
    for number, row in enumerate(_rows(path, SANTACODER_FIELDS)):
        short = row["language"]
        if short not in SANTACODER_LANGUAGES:
            known = ", ".join(SANTACODER_LANGUAGES)
            raise DataError(f"{path}: {short!r} is not one of the languages {known}")
        span = TrueSpan(
            path=f"solution.{short}",
            prefix=row["prompt"],
            suffix=row["suffix"],
            text=row["canonical_solution"],
            kind=short,
            language=SANTACODER_LANGUAGES[short],
        )
        problems.append(Problem(f"{short}/{row['name']}/{number}", span, row["name"]))
    return problems


def missing_problems(problems: Sequence[Problem]) -> str | None:
    """A note if a set of HumanEval-Infilling is incomplete."""
    kind = problems[0].span.kind
    size = HUMANEVAL_SIZES.get(kind)
    if size is None or size == len(problems):
        return None
    return f"the file has {len(problems)} of the {size} problems of {kind}"


def _rows(path: Path, fields: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a file; each has all fields, as texts."""
    is_parquet = path.suffix == ".parquet"
    count = 0
    for count, row in enumerate(_parquet_rows(path) if is_parquet else _json_rows(path), 1):
        place = f"{path}: {'row' if is_parquet else 'line'} {count}"
        if not isinstance(row, dict):
            raise DataError(f"{place} is not an object with the fields {', '.join(fields)}")
        for field in fields:
            if not isinstance(row.get(field), str):
                found = ", ".join(sorted(map(str, row))) or "none"
                raise DataError(f"{place} has no text {field!r} (its fields: {found})")
        yield row
    if count == 0:
        raise DataError(f"{path} contains no problems")


def _json_rows(path: Path) -> Iterator[Any]:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        text = data.decode("utf-8")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated or damaged; download it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} does not contain JSON lines (it is not UTF-8 text)") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}: line {number} is not JSON; is the file complete, and in JSON lines?"
            ) from error


def _parquet_rows(path: Path) -> Iterator[Any]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet needs pyarrow; run `pip install 'dg-lsp[eval]'`"
        ) from error
    try:
        table = parquet.read_table(path)
    except (ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet; is it complete?") from error
    yield from table.to_pylist()
