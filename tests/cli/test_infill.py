"""`dg-lsp infill` from the command line to what it prints, with a scripted infiller."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from dg_lsp.cli import run
from dg_lsp.document.position import offset_at
from dg_lsp.document.retrying import MOST_TRIES
from dg_lsp.job import (
    EXTRA_CANDIDATES,
    Candidate,
    Draft,
    Infill,
    InfillJob,
    JobResult,
    JobState,
    ModelInfo,
    OpenedModel,
)
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import Reason, ReasonCode

SAMPLE = "def add(a, b):\n    return \n\n\nprint(add(1, 2))\n"


@dataclass
class Scripted:
    """An infiller, and the handle of its one job, that follow a script."""

    infill: Infill
    given: Sequence[Draft] = ()
    state: JobState = JobState.DONE
    jobs: list[InfillJob] = field(default_factory=list)
    opened_with: list[tuple[str | None, str | None]] = field(default_factory=list)
    closed: int = 0
    cancelled: int = 0

    def submit(self, job: InfillJob) -> Scripted:
        self.jobs.append(job)
        return self

    async def close(self) -> None:
        self.closed += 1

    async def drafts(self) -> AsyncIterator[Draft]:
        for draft in self.given:
            await asyncio.sleep(0)
            yield draft

    async def result(self) -> JobResult:
        return JobResult(self.state, self.infill)

    def cancel(self) -> None:
        self.cancelled += 1


def candidate(text: str, score: float = -0.5) -> Candidate:
    return Candidate(text, 0.75, score, (0.75,) * len(text))


def infill_of(*texts: str, reason: Reason | None = None) -> Infill:
    candidates = tuple(candidate(text, -0.1 * rank) for rank, text in enumerate(texts))
    return Infill(candidates, 7, {"queue": 0.25, "total": 12.5}, reason, "bundled")


Install = Callable[..., Scripted]
Failure = Callable[..., Reason]
UNSURE = Reason(ReasonCode.LOW_CONFIDENCE, "not sure enough")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    def put(*texts: str, follows_instructions: bool = True, **script: object) -> Scripted:
        scripted = Scripted(**{"infill": infill_of(*texts)} | script)  # type: ignore[arg-type]

        def open_infiller(
            model: str | None, device: str | None, vram: str | None = None
        ) -> OpenedModel:
            scripted.opened_with.append((model, device))
            info = ModelInfo("bundled", "cpu", 3000, 1000, follows_instructions)
            return OpenedModel(scripted, info, len)

        monkeypatch.setattr("dg_lsp.cli.compose.open_infiller", open_infiller)
        return scripted

    return put


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "sample.py"
    path.write_bytes(SAMPLE.encode())
    return path


def report_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert run(["infill", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    report = json.loads(captured.out)
    assert isinstance(report, dict)
    return report


# What is refused.


ARGUMENT, POSITION, FILE = (
    ReasonCode.INVALID_ARGUMENT,
    ReasonCode.BAD_POSITION,
    ReasonCode.BAD_FILE,
)


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["{file}"], ARGUMENT, "sample.py"),
        (["{file}:3"], ARGUMENT, "sample.py:3"),
        ([":3:4"], ARGUMENT, "':3:4'"),
        (["{file}::4"], ARGUMENT, "''"),
        (["{file}:3:"], ARGUMENT, "''"),
        (["{file}:x:4"], ARGUMENT, "'x'"),
        (["{file}:3:x"], ARGUMENT, "'x'"),
        (["{file}:0:1"], ARGUMENT, "0"),
        (["{file}:1:0"], ARGUMENT, "0"),
        (["{file}:-1:1"], ARGUMENT, "'-1'"),
        (["{file}:1:+2"], ARGUMENT, "'+2'"),
        (["{file}:1:²"], ARGUMENT, "'²'"),
        (["{file}:1:" + "9" * 5000], ARGUMENT, "99"),
        (["{file}:99:1"], POSITION, "99"),
        (["{file}:1:99"], POSITION, "99"),
        (["{file}:999999999:999999999"], POSITION, "999999999"),
        (["{dir}/absent.py:1:1"], FILE, "absent.py"),
        (["{dir}:1:1"], FILE, "{dir}"),
        (["{file}/below.py:1:1"], FILE, "below.py"),
        (["{dir}/a\0b:1:1"], FILE, "a\\x00b"),
        (["{file}:2:5", "--to", "2:4"], ARGUMENT, "2:4"),
        (["{file}:2:5", "--to", "1:9"], ARGUMENT, "1:9"),
        (["{file}:2:5", "--to", "2"], ARGUMENT, "'2'"),
        (["{file}:2:5", "--to", "2:x"], ARGUMENT, "'x'"),
        (["{file}:2:5", "--to", "2:5:6"], ARGUMENT, "'5:6'"),
        (["{file}:2:5", "--to", "0:5"], ARGUMENT, "0:5"),
        (["{file}:2:5", "--to", "2:99"], POSITION, "99"),
        (["{file}:2:5", "--instruction", "shorter"], ARGUMENT, "--to"),
        (["{file}:2:5", "--to", "2:5", "--instruction", "shorter"], ARGUMENT, "--instruction"),
        (["{file}:2:1", "--to", "2:5", "--instruction", "shorter"], ARGUMENT, "--instruction"),
        (["{file}:2:5", "--strength", "0.5"], ARGUMENT, "--to"),
        (["{file}:2:5", "--to", "2:9", "--strength", "0"], ARGUMENT, "0.0"),
        (["{file}:2:5", "--to", "2:9", "--strength", "1.5"], ARGUMENT, "1.5"),
        (["{file}:2:5", "--to", "2:9", "--strength", "nan"], ARGUMENT, "nan"),
        (["{file}:2:5", "-n", "0"], ARGUMENT, "0"),
        (["{file}:2:5", "-n", "33"], ARGUMENT, "33"),
        (["{file}:2:5", "--candidates", "many"], ARGUMENT, "--candidates"),
        (["{file}:2:5", "--max-tokens", "0"], ARGUMENT, "0"),
        (["{file}:2:5", "--max-tokens", "5000000000"], ARGUMENT, "5000000000"),
        (["{file}:2:5", "--seed", "-1"], ARGUMENT, "--seed"),
        (["{file}:2:5", "--seeds", "1"], ARGUMENT, "--seeds"),
        ([], ARGUMENT, "FILE:LINE:COLUMN"),
    ],
)
def test_refuses_in_one_line(
    arguments: list[str],
    code: ReasonCode,
    names: str,
    source: Path,
    install: Install,
    failure: Failure,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripted = install("a + b")
    filled = [part.format(file=source, dir=source.parent) for part in arguments]

    assert run(["infill", *filled]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dg-lsp: ")
    assert captured.err.count("\n") == 1
    reason = failure("infill", *filled)
    assert reason.code is code
    assert names.format(dir=source.parent) in reason.message
    assert scripted.opened_with == []
    assert source.read_bytes() == SAMPLE.encode()


@pytest.mark.parametrize("content", [b"\x7fELF\0\0\0", b"a = '\xff'\n"])
def test_refuses_what_is_not_source(content: bytes, tmp_path: Path, failure: Failure) -> None:
    path = tmp_path / "odd.py"
    path.write_bytes(content)

    assert failure("infill", f"{path}:1:1").code is ReasonCode.BAD_FILE
    assert path.read_bytes() == content


def test_refuses_a_model_that_cannot_be_had(
    source: Path, monkeypatch: pytest.MonkeyPatch, failure: Failure
) -> None:
    def open_infiller(
        model: str | None, device: str | None, vram: str | None = None
    ) -> OpenedModel:
        raise CheckpointError(f"there is no model {model!r} on {device!r}", ReasonCode.NO_MODEL)

    monkeypatch.setattr("dg_lsp.cli.compose.open_infiller", open_infiller)

    reason = failure("infill", f"{source}:2:12", "--model", "none", "--device", "tpu")

    assert reason == Reason(ReasonCode.NO_MODEL, "there is no model 'none' on 'tpu'")


# What is asked of the engine.


def test_asks_for_what_the_options_say(
    source: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted = install("a + b")
    options = "--to 2:11 -n 3 --seed 5 --max-tokens 40 --strength 0.25 --model m --device cpu"

    status = run(["infill", f"{source}:2:5", *options.split(), "--instruction", "shorter"])

    assert status == 0
    assert scripted.opened_with == [("m", "cpu")]
    assert scripted.closed == 1
    assert scripted.jobs == [
        InfillJob(
            prefix="def add(a, b):\n    ",
            suffix=" \n\n\nprint(add(1, 2))\n",
            path=str(source),
            language="python",
            replaced="return",
            instruction="shorter",
            strength=0.25,
            candidates=3,
            extra_candidates=EXTRA_CANDIDATES,
            max_tokens=40,
            may_be_empty=False,
            seed=5,
        )
    ]


@pytest.mark.parametrize("end", [[], ["--to", "2:12"]])
def test_an_empty_selection_is_a_cursor(end: list[str], source: Path, install: Install) -> None:
    scripted = install("a + b")

    assert run(["infill", f"{source}:2:12", *end]) == 0

    assert scripted.jobs[0].replaced is None


@pytest.mark.parametrize("name", ["a:b.py", "a:1:2", "C:\\x.py", "sp ace.py"])
def test_reads_the_place_from_the_right(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    install: Install,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("x = \n")
    scripted = install("1")

    assert run(["infill", f"{name}:1:5"]) == 0

    assert (scripted.jobs[0].path, scripted.jobs[0].prefix) == (name, "x = ")


def test_a_selection_that_is_too_long_is_refused_as_in_the_editors(
    tmp_path: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.txt"
    path.write_text("line of text\n" * 2000)
    scripted = install("word")

    assert run(["infill", f"{path}:11:1", "--to", "1900:1"]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert scripted.jobs == []
    last = re.search(r"select lines 11 to (\d+),", said.err)
    assert last is not None
    assert run(["infill", f"{path}:11:1", "--to", f"{int(last[1]) + 1}:1"]) == 0


@pytest.mark.parametrize(
    ("text", "selection", "options", "code"),
    [
        (f'key = "AKIA{"Q3EGRTZ7PLW2XUVB"}"\nx = 1\n', ("1:1", "3:1"), [], "secret"),
        (f'key = "AKIA{"Q3EGRTZ7PLW2XUVB"}"\nx = 1\n', ("1:12", "1:12"), [], "secret"),
        ("line of text\n" * 2000, ("11:1", "1900:1"), [], "too-long"),
        ("x = 1\n", ("1:1", "1:6"), ["--instruction", "shorter"], "no-instructions"),
    ],
)
def test_what_an_editor_is_refused_is_refused_with_the_same_code(
    text: str,
    selection: tuple[str, str],
    options: list[str],
    code: str,
    source: Path,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source.write_text(text)
    scripted = install("a", follows_instructions=False)
    start, end = selection

    status = run(["infill", f"{source}:{start}", "--to", end, *options, "--json"])

    assert (status, scripted.jobs) == (2, [])
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["code"] == code
    assert captured.err == f"dg-lsp: {error['message']}\n"


def test_cuts_the_text_to_the_budget(tmp_path: Path, install: Install) -> None:
    path = tmp_path / "long.txt"
    path.write_text("line of text\n" * 2000)
    scripted = install("word")

    assert run(["infill", f"{path}:1000:1"]) == 0

    job = scripted.jobs[0]
    assert 0 < len(job.prefix) <= 3000
    assert 0 < len(job.suffix) <= 1000


# What is printed into a pipe.


@pytest.mark.parametrize(
    ("text", "printed"),
    [("a + b", "a + b\n"), ("a\n    b\n", "a\n    b\n"), ("é日🎉", "é日🎉\n")],
)
def test_prints_the_best_candidate_alone(
    text: str,
    printed: str,
    tmp_path: Path,
    install: Install,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("x = ")
    drafts = [Draft("?", (0.1,), 1, 8)]
    install(infill=Infill((candidate("second", -2), candidate(text, -1)), 7), given=drafts)

    assert run(["infill", f"{path}:1:5", "-n", "2"]) == 0

    captured = capsysbinary.readouterr()
    assert captured.out == printed.encode()
    assert captured.err == b""
    assert path.read_text() == "x = "


@pytest.mark.parametrize(
    ("infill", "code"),
    [
        (infill_of(reason=UNSURE), ReasonCode.LOW_CONFIDENCE),
        (infill_of(""), ReasonCode.BLANK),
    ],
)
def test_says_why_nothing_is_offered(
    infill: Infill,
    code: ReasonCode,
    source: Path,
    install: Install,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(infill=infill)

    assert run(["infill", f"{source}:2:12"]) == 0

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1

    report = report_of(capsys, f"{source}:2:12")
    assert (report["text"], report["candidates"], report["edit"]) == (None, [], None)
    assert report["reason_code"] == code.value
    assert str(report["reason"]) in captured.err


def test_a_failed_job_is_an_error(
    source: Path, install: Install, failure: Failure, capsys: pytest.CaptureFixture[str]
) -> None:
    no_room = Reason(ReasonCode.OUT_OF_MEMORY, "no room")
    scripted = install(infill=infill_of(reason=no_room), state=JobState.FAILED)

    assert run(["infill", f"{source}:2:12"]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "dg-lsp: no room\n"
    assert failure("infill", f"{source}:2:12", status=1) == no_room
    assert scripted.closed == 2


def test_an_interrupted_job_is_cancelled_and_closed(
    source: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Scripted):
        async def result(self) -> JobResult:
            raise KeyboardInterrupt

    scripted = install("a + b")
    scripted.__class__ = Interrupted

    assert run(["infill", f"{source}:2:12"]) == 130

    assert (scripted.cancelled, scripted.closed) == (1, 1)
    assert capsys.readouterr() == ("", "")


# The JSON report and its edit.


def test_reports_in_json(
    source: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("a + b", "b + a", "a + b", "")

    report = report_of(capsys, f"{source}:2:12", "--candidates", "2")

    assert report == {
        "text": "a + b",
        "candidates": [
            {"text": "a + b", "confidence": 0.75, "source": "model", "corrected": False},
            {"text": "b + a", "confidence": 0.75, "source": "model", "corrected": False},
        ],
        "steps": 7,
        "timings_ms": {"queue": 0.25, "total": 12.5},
        "model": "bundled",
        "edit": {
            "start": {"line": 2, "column": 12},
            "end": {"line": 2, "column": 12},
            "new_text": "a + b",
        },
        "reason": None,
        "reason_code": None,
        "warning": None,
    }


def test_reports_what_a_candidate_was_found_as(
    source: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text("def f(a):\n    return a + 1\n\ndef f(a):\n    return \n")
    found = [dataclasses.replace(candidate(text), seed=0) for text in ("a + 1", "a + 2")]
    scripted = install(infill=Infill(tuple(found), 7))

    report = report_of(capsys, f"{source}:5:12", "-n", "2")

    assert scripted.jobs[0].seeds[0].text == "a + 1"
    shown = [(one["text"], one["source"], one["corrected"]) for one in report["candidates"]]
    assert shown == [("a + 1", "document", False), ("a + 2", "document", True)]


def test_no_mask_is_printed_with_the_reason_in_json(
    source: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text(f'key = "AKIA{"Q3EGRTZ7PLW2XUVB"}"\nx = 1\n')
    install("#********")

    report = report_of(capsys, f"{source}:2:1", "--to", "2:6")

    assert (report["text"], report["reason_code"]) == (None, "secret")


def test_names_the_opened_model_where_the_infill_names_none(
    source: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(infill=Infill((candidate("a + b"),), 7))

    assert report_of(capsys, f"{source}:2:12")["model"] == "bundled"


def test_a_rewrite_that_changes_nothing_is_no_offer(
    source: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    old = source.read_text().splitlines()[1]
    install(old)

    report = report_of(capsys, f"{source}:2:1", "--to", f"2:{len(old) + 1}")

    assert (report["text"], report["edit"]) == (None, None)
    assert report["reason_code"] == "already-there"


@pytest.mark.parametrize(
    ("text", "place", "to", "new"),
    [
        ("", "1:1", None, "x = 1"),
        ("x = ", "1:5", None, "1"),
        ("x = 1", "1:1", None, "import os\n"),
        ("x = 1\n", "2:1", None, "y = 2"),
        ("a\r\nb = \r\nc\r\n", "2:5", None, "[\n    1,\n]"),
        ("a\rb = \rc", "2:5", None, "1"),
        ("if x:\n\treturn \n", "2:9", None, "x"),
        ("s = '🎉e\u0301' + \n", "1:12", None, "'👩‍👩‍👧'"),
        ("value = old_name + 1\n", "1:9", "1:17", "old_size"),
        ("f(\n    a,\n    b,\n)\n", "2:5", "3:7", "a,\n    c,"),
        ("a = 1\r\nb = 2\r\nc = 3\r\n", "1:5", "3:6", "1\nb = 5\nc = 3"),
    ],
)
def test_the_edit_puts_the_infill_in_place(
    text: str,
    place: str,
    to: str | None,
    new: str,
    tmp_path: Path,
    install: Install,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "edited.py"
    path.write_bytes(text.encode())
    install(new)

    report = report_of(capsys, f"{path}:{place}", *(["--to", to] if to else []))

    edit = report["edit"]
    assert isinstance(edit, dict)
    start, end = (
        offset_at(text, edit[side]["line"], edit[side]["column"]) for side in ("start", "end")
    )
    span_start, span_end = (
        offset_at(text, *(int(part) for part in one.split(":"))) for one in (place, to or place)
    )
    newline = "\r\n" if "\r\n" in text else "\r" if "\r" in text else "\n"
    expected = text[:span_start] + new.replace("\n", newline) + text[span_end:]
    assert text[:start] + edit["new_text"] + text[end:] == expected
    # Smallest: neither end of what is replaced stays the same.
    assert start == end or text[start:end][:1] != edit["new_text"][:1]
    assert path.read_bytes() == text.encode()


@pytest.mark.parametrize(
    ("text", "place", "to", "written", "seen", "after"),
    [
        (
            "a = 1\r\nb = 2\r\nc = 3\r\n",
            "2:1",
            "3:1",
            "returns",
            ("a = 1\r\n", "b = 2", "\r\nc = 3\r\n"),
            "a = 1\r\nreturns\r\nc = 3\r\n",
        ),
        (
            "def f(x):\n    y = x + 1\n    print(y)\n    return y\n",
            "3:1",
            "4:1",
            "y += 1",
            ("def f(x):\n    y = x + 1\n    ", "print(y)", "\n    return y\n"),
            "def f(x):\n    y = x + 1\n    y += 1\n    return y\n",
        ),
        (
            "def add(a, b):\n\ttotal = a + b\n\treturn total\n\nprint(add(1, 2))\n",
            "2:1",
            "4:1",
            "if a:\n        return b\n    return a + b",
            ("def add(a, b):\n\t", "total = a + b\n\treturn total", "\n\nprint(add(1, 2))\n"),
            "def add(a, b):\n\tif a:\n\t\treturn b\n\treturn a + b\n\nprint(add(1, 2))\n",
        ),
    ],
)
def test_a_rewrite_keeps_the_ends_of_its_selection(
    text: str,
    place: str,
    to: str,
    written: str,
    seen: tuple[str, str, str],
    after: str,
    tmp_path: Path,
    install: Install,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "lines.py"
    path.write_bytes(text.encode())
    scripted = install(written)

    report = report_of(capsys, f"{path}:{place}", "--to", to)

    [job] = scripted.jobs
    assert (job.prefix, job.replaced, job.suffix) == seen
    start, end = (offset_at(text, *map(int, one.split(":"))) for one in (place, to))
    assert text[:start] + str(report["text"]) + text[end:] == after


def test_a_rewrite_that_breaks_the_code_is_tried_again_and_then_carries_a_warning(
    tmp_path: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lines.py"
    path.write_text("best = None\nfor n in (1, 2):\n    best = n\nprint(best)\n")
    scripted = install("best = None for number in numbers(num")

    report = report_of(capsys, f"{path}:1:1", "--to", "4:1", "--seed", "4")

    assert len({job.seed for job in scripted.jobs}) == len(scripted.jobs) == MOST_TRIES
    assert scripted.closed == 1
    assert report["text"] == "best = None for number in numbers(num\n"
    assert report["warning"]
    assert run(["infill", f"{path}:1:1", "--to", "4:1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == report["text"]
    assert captured.err == f"dg-lsp: warning: {report['warning']}\n"


def test_a_line_of_five_megabytes_is_quick(
    tmp_path: Path,
    install: Install,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "minified.js"
    path.write_text("f(1);" * 1_000_000)
    install("g(2);", given=[Draft("g(2);", (0.5,) * 5, 1, 8)])
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True)
    monkeypatch.setattr("dg_lsp.cli.infill._terminal", lambda: terminal)

    started = time.monotonic()
    edit = report_of(capsys, f"{path}:1:2500001")["edit"]
    assert run(["infill", f"{path}:1:2500001"]) == 0
    elapsed_s = time.monotonic() - started

    assert isinstance(edit, dict)
    assert edit["start"] == {"line": 1, "column": 2500001}
    assert elapsed_s < 5


# On a terminal.


def test_draws_the_span_in_its_place(
    source: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = [Draft("a b", (0.1, 0.2, 0.3), step, 8) for step in range(1, 4)]
    install("a + b", "b + a", given=drafts)
    terminal = Console(file=io.StringIO(), record=True, width=80, force_terminal=True)
    monkeypatch.setattr("dg_lsp.cli.infill._terminal", lambda: terminal)

    assert run(["infill", f"{source}:2:12", "-n", "2"]) == 0

    drawn = terminal.export_text()
    assert "step 1 of 8 · confidence 20%" in drawn
    assert "2 ▌     return a b" in drawn
    final = drawn[drawn.rindex("def add") :].splitlines()
    assert final == [
        "def add(a, b):",
        "2 ▌     return a + b",
        "3 │ ",
        "4 │ ",
        "5 │ print(add(1, 2))",
        "confidence 75%",
        "candidate 2 · confidence 75%",
        "  ▌ b + a",
        "7 steps · queue 0 ms · total 12 ms",
        "model bundled",
        "The bundled model is only for trying things out.",
        "If you have a GPU with 18 GB, dg-lsp pull downloads a better one.",
    ]
    assert source.read_bytes() == SAMPLE.encode()


def test_says_on_the_terminal_why_nothing_is_offered(
    source: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(infill=infill_of(reason=UNSURE))
    terminal = Console(file=io.StringIO(), record=True, width=80, force_terminal=True)
    monkeypatch.setattr("dg_lsp.cli.infill._terminal", lambda: terminal)

    assert run(["infill", f"{source}:2:12"]) == 0

    assert "no suggestion: not sure enough" in terminal.export_text()


@pytest.mark.parametrize("text", ["", "\r\n", "\t\t日本\r\nx", "e\u0301🎉\u202e\x1b[2J"])
@pytest.mark.parametrize("width", [1, 12, 80])
def test_draws_any_file_on_any_terminal(
    text: str,
    width: int,
    tmp_path: Path,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(text.encode())
    install("日\n\tx", given=[Draft("🎉\t\n", (0.0, 0.5, 1.0), 1, 8)])
    terminal = Console(file=io.StringIO(), width=width, height=5, force_terminal=True)
    monkeypatch.setattr("dg_lsp.cli.infill._terminal", lambda: terminal)

    assert run(["infill", f"{path}:1:1"]) == 0


def test_secrets_are_not_shown_to_the_model(source: Path, install: Install) -> None:
    key = "AKIA" + "Q3EGRTZ7PLW2XUVB"
    source.write_text(f'key = "{key}"\nother = \nlast = "{key}"\n')
    scripted = install("a + b")

    assert run(["infill", f"{source}:2:9"]) == 0

    [job] = scripted.jobs
    assert key not in job.prefix + job.suffix
    assert "*" * len(key) in job.prefix
    assert "*" * len(key) in job.suffix


@pytest.mark.parametrize(
    ("start", "rest"), [("1:1", ["--to", "3:1"]), ("1:8", ["--to", "1:12"]), ("1:12", [])]
)
def test_a_secret_is_neither_filled_nor_rewritten(
    start: str,
    rest: list[str],
    source: Path,
    install: Install,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source.write_text(f'key = "AKIA{"Q3EGRTZ7PLW2XUVB"}"\nother = \n')
    scripted = install("a + b")

    assert run(["infill", f"{source}:{start}", *rest]) == 2

    assert scripted.jobs == []
    assert "Q3EG" not in capsys.readouterr().err
