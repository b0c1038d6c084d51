"""`dg-lsp trace` as a user runs it, and what reaches it from tools that use the engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from dg_lsp.cli import run
from dg_lsp.diagnosis.journal import Journal, read_traces, trace_file
from dg_lsp.reason import ReasonCode

SUGGESTED = {
    "time": 1_700_000_000.5,
    "client": "Neovim 0.12.4",
    "method": "textDocument/inlineCompletion",
    "trigger": "automatic",
    "file": "a.py",
    "language": "python",
    "position": [1, 11],
    "outcome": "suggested",
    "reason": None,
    "how": "a new job",
    "suggestions": [{"chars": 5, "confidence": 0.9, "source": "open file", "corrected": True}],
    "seen": {"prefix_chars": 26, "suffix_chars": 1, "prompt_tokens": 31, "seeds": 2},
    "candidates": [{"chars": 5, "confidence": 0.9, "score": -1.5}],
    "steps": 4,
    "model": "bundled",
    "timings_ms": {"mask": 1.0, "socket": 2.0, "denoise": 90.0, "finish": 0.01},
    "engine_ms": 90.0,
    "total_ms": 95.0,
    "text": {"prefix": "def add(a, b):\n    return ", "snippets": [["b.py", "x = \x1b[2J"]]},
}
REFUSED = {
    "outcome": "refused",
    "file": ".env",
    "reason": "excluded: looks like an environment file",
}


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DG_LSP_STATE_DIR", str(tmp_path))
    return tmp_path


def keep(directory: Path, *records: dict) -> None:
    journal = Journal(directory)
    for record in records:
        journal.add(record)
    journal.close(10)


def test_each_request_with_what_became_of_it(state, capsys):
    keep(state, SUGGESTED, REFUSED)
    assert run(["trace"]) == 0
    shown = capsys.readouterr().out

    first, times, seen, wrote, suggested, _, refused, because, _ = shown.splitlines()
    assert first[12:] == (
        "  suggested  a.py:2:12  python, inlineCompletion, automatic, Neovim 0.12.4"
    )
    assert times.strip() == (
        "95.0 ms from a new job: mask 1.0 · socket 2.0 · denoise 90.0 · rest 2.0"
    )
    assert re.findall(r"\d+", seen) == ["26", "1", "2", "31", "4"]
    assert re.findall(r"[\d.]+", wrote) == ["5", "0.9"]
    assert re.findall(r"[\d.]+|open file|corrected", suggested) == [
        *("5", "0.9", "open file", "corrected")
    ]
    assert refused.endswith("refused  .env  ")
    assert REFUSED["reason"] in because
    assert "def add" not in shown


def test_the_text_is_shown_where_it_was_kept_and_does_nothing_to_the_terminal(state, capsys):
    keep(state, SUGGESTED)
    assert run(["trace", "--text"]) == 0
    shown = capsys.readouterr().out

    assert "│     return \n" in shown
    assert "│ x = ␛[2J\n" in shown


def test_where_no_text_was_kept_it_says_how_to_have_it(state, capsys):
    keep(state, REFUSED)
    assert run(["trace", "--text"]) == 0

    assert 'set "dgLsp.trace" to "text"' in capsys.readouterr().err


def test_for_programs_one_object_a_line_without_text_unless_asked(state, capsys):
    keep(state, *[REFUSED] * 3, SUGGESTED)
    assert run(["trace", "--json", "-n", "2"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    bare = {name: value for name, value in SUGGESTED.items() if name != "text"}
    assert told == [REFUSED, bare]

    run(["trace", "--json", "--text", "-n", "1"])
    assert json.loads(capsys.readouterr().out) == SUGGESTED


def test_nothing_yet(state, failure):
    reason = failure("trace", status=1)
    assert reason.code is ReasonCode.NOTHING_TRACED
    assert str(trace_file(state)) in reason.message


def test_a_file_that_cannot_be_read_is_one_line(state, failure):
    trace_file(state).mkdir()
    assert failure("trace").code is ReasonCode.BAD_FILE


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"time": "x", "position": [None], "timings_ms": [], "seen": 3, "suggestions": 7},
        {"timings_ms": {"a": "b", "c": -1}, "total_ms": None, "text": [], "candidates": [1]},
        {"suggestions": [{"source": [1], "corrected": "x"}, {"source": "moon"}]},
        {"file": "\x1b[2J\n", "reason": "a\nb", "outcome": None, "client": {}},
    ],
)
@pytest.mark.parametrize("options", [[], ["--text"], ["--json"]])
def test_records_of_another_version_are_shown_as_far_as_they_go(state, capsys, record, options):
    keep(state, record)
    assert run(["trace", *options]) == 0
    assert "\x1b[2J" not in capsys.readouterr().out


def test_following(state):
    keep(state, REFUSED)
    with subprocess.Popen(
        [sys.executable, "-m", "dg_lsp", "trace", "--follow", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == REFUSED
        # Kept until it is seen: the follower may be about to look where the file ends.
        seen = threading.Event()

        def go_on() -> None:
            number = 0
            while not seen.wait(0.05):
                keep(state, {"n": (number := number + 1)})

        writer = threading.Thread(target=go_on)
        writer.start()
        try:
            told = json.loads(process.stdout.readline())
        finally:
            seen.set()
            writer.join()
            process.terminate()

    assert told["n"] >= 1


def test_on_a_terminal_the_stages_are_drawn(state, python_on_a_terminal):
    keep(state, SUGGESTED)
    status, drawn, said = python_on_a_terminal("-m", "dg_lsp", "trace")

    assert (status, said) == (0, b"")
    assert drawn.count("━".encode()) == 48


SCRIPTED = """
from dg_lsp.cli import compose, main
from dg_lsp.job import Candidate, Infill, ModelInfo, OpenedModel
from dg_lsp.fed_job import FedJob

class Scripted:
    def submit(self, job):
        handle = FedJob(job)
        times = {"queue": 1.0, "denoise": 5.0, "total": 6.0}
        infill = Infill((Candidate("a + b", 0.9, -0.1),), 3, times, model="m")
        handle.finish(infill)
        return handle
    async def close(self): pass

compose.open_infiller = lambda *asked: OpenedModel(Scripted(), ModelInfo("m", "cpu", 9, 9), len)
main()
"""


def test_a_tool_that_uses_the_engine_alone_leaves_a_trace(state, tmp_path):
    options = ["engine", "run", "--listen", "127.0.0.1:0", "--insecure"]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPTED, *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DG_LSP_LOG_DIR": str(tmp_path / "log")},
    ) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        request = urllib.request.Request(
            f"{address}/infill",
            data=json.dumps({"input_prefix": "return ", "input_suffix": "\n"}).encode(),
            headers={"user-agent": "llama.vim"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert json.loads(answer.read())["content"] == "a + b"
        finally:
            process.terminate()

    [trace] = read_traces(state, 9)
    assert (trace["method"], trace["client"]) == ("/infill", "llama.vim")
    assert (trace["outcome"], trace["engine_ms"]) == ("suggested", 6.0)
    assert trace["timings_ms"] == {"queue": 1.0, "denoise": 5.0}
    assert trace["seen"]["prefix_chars"] == 7
    assert "return" not in json.dumps(trace)
