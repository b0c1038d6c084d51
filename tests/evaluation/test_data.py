"""Benchmark files: those that are right, and those of another format or cut short."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import pytest

from dg_lsp.evaluation.data import (
    DataError,
    missing_problems,
    read_humaneval,
    read_santacoder,
)
from dg_lsp.reason import ReasonCode

SINGLE_LINE = [
    {
        "task_id": f"SingleLineInfilling/HumanEval/{number}/L0",
        "entry_point": "doubled",
        "prompt": "def doubled(numbers):\n",
        "suffix": "    return result\n",
        "canonical_solution": f"    result = [{times} * number for number in numbers]\n",
        "test": f"def check(doubled):\n    assert doubled([1, 2]) == [{times}, {2 * times}]\n",
    }
    for number, times in enumerate((2, 3, 5))
]
SANTACODER = [
    {
        "name": f"task_{number}",
        "language": language,
        "prompt": "a = 1;\n",
        "suffix": "\nreturn c;\n",
        "canonical_solution": f"c = a + {number};",
        "tests": "",
    }
    for number, language in enumerate(("js", "java", "py"))
]


def write_lines(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_problems_of_humaneval_infilling(tmp_path):
    problems = read_humaneval(write_lines(tmp_path / "some.jsonl", SINGLE_LINE))

    assert [problem.name for problem in problems] == [row["task_id"] for row in SINGLE_LINE]
    first = problems[0]
    assert (first.cluster, first.span.kind) == ("HumanEval/0", "SingleLineInfilling")
    names: dict[str, object] = {}
    exec(first.program(first.span.text), names)
    assert names["doubled"]([4]) == [8]  # type: ignore[operator]


def test_gzip_is_told_by_its_content(tmp_path):
    plain = write_lines(tmp_path / "some.jsonl", SINGLE_LINE)
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    assert read_humaneval(packed) == read_humaneval(plain)


def test_a_set_that_is_not_whole_is_told(tmp_path):
    problems = read_humaneval(write_lines(tmp_path / "some.jsonl", SINGLE_LINE))

    said = missing_problems(problems)

    assert said is not None
    assert [name for name in ("3", "1033", "SingleLineInfilling") if name not in said] == []


def test_problems_of_santacoder_fim_in_either_form(tmp_path):
    from pyarrow import Table, parquet

    lines = read_santacoder(write_lines(tmp_path / "some.jsonl", SANTACODER))
    parquet.write_table(Table.from_pylist(SANTACODER), tmp_path / "some.parquet")

    assert read_santacoder(tmp_path / "some.parquet") == lines
    assert [one.span.language for one in lines] == ["javascript", "java", "python"]
    assert [one.span.kind for one in lines] == ["js", "java", "py"]


ONE = json.dumps(SINGLE_LINE[0]).encode()


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"", ["no problems"]),
        (b"\n\n", ["no problems"]),
        (ONE[:-30], ["line 1", "JSON"]),
        (ONE + b"\n" + ONE[:40], ["line 2", "JSON"]),
        (gzip.compress(ONE, mtime=0)[:-20], ["truncated"]),
        (gzip.compress(ONE, mtime=0)[:12], ["truncated"]),
        (b"PAR1\xff\xfe", ["JSON", "UTF-8"]),
        (b"[1, 2]\n", ["line 1", "object"]),
        (b'{"prompt": "x", "suffix": "y"}\n', ["line 1", "'task_id'", "prompt, suffix"]),
        (b'{"task_id": 7}\n', ["line 1", "'task_id'"]),
        (json.dumps(SANTACODER).encode(), ["line 1", "object"]),
        (b"task_id,prompt\na,b\n", ["line 1", "JSON"]),
    ],
)
def test_a_file_of_another_format_or_half_a_file(tmp_path, content, names):
    path = tmp_path / "data"
    path.write_bytes(content)

    with pytest.raises(DataError) as refused:
        read_humaneval(path)
    check_message(refused.value, path, *names)


def check_message(error: DataError, path: Path, *names: str) -> None:
    """One line, with the path and beside it what tells this cause from the others."""
    assert error.code is ReasonCode.BAD_DATA
    assert str(path) in str(error)
    assert "\n" not in str(error)
    for name in names:
        assert name in str(error).replace(str(path), "")


def test_other_santacoder_files(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{**SANTACODER[0], "language": "rs"}])
    (tmp_path / "half.parquet").write_bytes(b"PAR1")

    for name, names in (
        ("a.jsonl", "'rs'"),
        ("half.parquet", "Parquet"),
        ("none.jsonl", os.strerror(errno.ENOENT)),
    ):
        with pytest.raises(DataError) as refused:
            read_santacoder(tmp_path / name)
        check_message(refused.value, tmp_path / name, names)
