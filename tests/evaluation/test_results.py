"""A run that broke off goes on where it was."""

from __future__ import annotations

import errno
import os

import pytest

from dg_lsp.evaluation.results import LogError, Result, ResultLog, completed
from dg_lsp.reason import ReasonCode

IDENTITY = {"benchmark": "own", "filler": "tiny"}


def result(name: str) -> Result:
    return Result(name, "line", "python", "c", "x", False, True, 1.0, 0.9, 4, 100.0, 1)


def filled(path, names: str, stop_at: str = "") -> list[str]:
    """Fill under the log; which names were worked on."""
    worked: list[str] = []

    def work(name: str) -> Result:
        if name == stop_at:
            raise KeyboardInterrupt
        worked.append(name)
        return result(name)

    log = ResultLog(path, IDENTITY)
    try:
        assert [one.name for one in completed(names, log, work)] == list(names)
    except KeyboardInterrupt:
        pass
    finally:
        log.close()
    return worked


def test_what_is_done_is_not_done_again(tmp_path):
    path = tmp_path / "log"

    assert filled(path, "abcd", stop_at="c") == ["a", "b"]
    assert filled(path, "abcd") == ["c", "d"]
    assert filled(path, "abcd") == []


def test_a_line_cut_short_is_done_again(tmp_path):
    path = tmp_path / "log"
    filled(path, "ab")
    path.write_bytes(path.read_bytes()[:-20])

    assert filled(path, "abc") == ["b", "c"]
    assert filled(path, "abc") == []


@pytest.mark.parametrize(
    "content", [b'{"dg_lsp_eval": {"filler": "large"}}\n', b"text\n", b"\xff"]
)
def test_the_log_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content)

    with pytest.raises(LogError) as refused:
        ResultLog(path, IDENTITY)
    assert refused.value.code is ReasonCode.BAD_DATA
    assert str(path) in str(refused.value)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written(tmp_path):
    path = tmp_path / "none" / "log"
    with pytest.raises(LogError) as refused:
        ResultLog(path, IDENTITY)
    assert refused.value.code is ReasonCode.BAD_DATA
    assert str(path) in str(refused.value)
    assert os.strerror(errno.ENOENT) in str(refused.value)
