"""`dg-lsp infill --hole`: the holes of a file or of standard input."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest

from dg_lsp.cli import run
from dg_lsp.job import Infill
from dg_lsp.reason import Reason, ReasonCode
from tests.cli.test_infill import candidate, install

__all__ = ["install"]


@pytest.fixture
def file(tmp_path):
    def write(text: str):
        path = tmp_path / "sample.py"
        path.write_bytes(text.encode())
        return path

    return write


HOLED = "def f(a):\n    x = …\n    return …\n"


def holed(*holes: str) -> Infill:
    text = "\n    return ".join(holes)
    one = dataclasses.replace(candidate(text), segments=holes)
    return Infill((one,), 7, {"total": 12.5}, None, "bundled")


def test_holes_of_a_file_are_filled_together(install, file, capsysbinary):
    model = install(infill=holed("a + 1", "x"))
    path = file(HOLED)

    assert run(["infill", str(path), "--hole"]) == 0
    printed = capsysbinary.readouterr().out.decode()
    assert printed == "def f(a):\n    x = a + 1\n    return x\n"
    assert path.read_text() == HOLED
    [job] = model.jobs
    assert [one.text for one in job.pinned] == ["\n    return "]


def test_a_hole_that_stays_empty_keeps_its_mark(install, file, capsysbinary):
    install(infill=holed("", "a"))

    assert run(["infill", str(file(HOLED)), "--hole"]) == 0
    captured = capsysbinary.readouterr()
    assert captured.out.decode() == "def f(a):\n    x = …\n    return a\n"
    assert b"1 of 2 holes was filled" in captured.err


def test_holes_of_standard_input_have_a_mark_and_a_name(install, monkeypatch, capsysbinary):
    model = install(infill=holed("a + 1", "x"))
    text = HOLED.replace("…", "???")
    stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
    monkeypatch.setattr("sys.stdin", stdin)

    command = ["infill", "-", "--hole", "--mark", "???", "--name", "f.py", "--json"]
    assert run(command) == 0
    report = json.loads(capsysbinary.readouterr().out)
    assert report["candidates"][0]["holes"] == ["a + 1", "x"]
    assert report["text"] == "a + 1\n    return x"
    [job] = model.jobs
    assert (job.path, job.language) == ("f.py", "python")


@pytest.mark.parametrize("text", ["a + 1", None])
def test_a_byte_order_mark_stays(install, file, capsysbinary, text):
    install(infill=holed(text, "x") if text else Infill((), 0))
    path = file(HOLED)
    path.write_text(HOLED, "utf-8-sig")

    assert run(["infill", str(path), "--hole"]) == 0
    printed = capsysbinary.readouterr().out.decode()
    filled = HOLED.replace("…", "a + 1", 1).replace("…", "x")
    assert printed == "\ufeff" + (filled if text else HOLED)


def test_without_a_text_a_pipe_keeps_what_came_in(install, file, capsysbinary):
    full = Reason(ReasonCode.CANVAS_FULL, "the canvas is full")
    install(infill=Infill((), 0, reason=full))

    assert run(["infill", str(file(HOLED)), "--hole"]) == 0
    captured = capsysbinary.readouterr()
    assert captured.out.decode() == HOLED
    assert b"the canvas is full" in captured.err


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("x = 1\n", ["--hole"], ReasonCode.NO_HOLES),
        ("… " * 17, ["--hole"], ReasonCode.TOO_MANY_HOLES),
        (HOLED, ["--hole", "--to", "2:1"], ReasonCode.INVALID_ARGUMENT),
        (HOLED, ["--hole", "--mark", " "], ReasonCode.INVALID_ARGUMENT),
        (HOLED, ["--hole", "--instruction", "x"], ReasonCode.INVALID_ARGUMENT),
        (HOLED, ["--mark", "?"], ReasonCode.INVALID_ARGUMENT),
        (HOLED, ["--name", "a.py"], ReasonCode.INVALID_ARGUMENT),
        ('key = "ghp_0123456789abcdefghij0123456789ab…f"\n', ["--hole"], ReasonCode.SECRET),
    ],
)
def test_holes_that_cannot_be_filled_are_refused(failure, install, file, text, options, code):
    model = install(infill=holed("a", "x"))

    assert failure("infill", str(file(text)), *options).code is code
    assert model.jobs == []
