"""What is added adds up, documents are as long as was asked, and what goes wrong is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dg_lsp.benchmark import editor, overhead
from dg_lsp.benchmark.client import Answer, ClientError
from dg_lsp.benchmark.editor import Editor, Serving
from dg_lsp.benchmark.overhead import BUILDING_MS, Plan, _sample, document_of, measure
from dg_lsp.server.suggest.in_flight import BUILDING_S

SCRIPTED = str(Path(__file__).parent.parent / "e2e" / "serve_scripted.py")


@pytest.mark.parametrize("num_bytes", [2_000, 20_000, 120_000, 2_000_000])
def test_documents_are_whole_lines_of_about_that_size(num_bytes):
    text = document_of(num_bytes)

    assert num_bytes * 0.95 < len(text) <= num_bytes
    assert text.endswith("\n")
    assert text == document_of(num_bytes)


def test_the_parts_of_a_wait_add_up():
    trace = {"total_ms": 112.0, "engine_ms": 90.0, "timings_ms": {"socket": 3.0, "queue": 7.0}}
    sample = _sample(10.0, Answer({"result": []}, 10.115), trace)

    assert (sample.engine, sample.socket, sample.queue, sample.front_end) == (90, 3, 7, 12)
    assert sample.pipe == pytest.approx(3.0)
    assert sample.added == pytest.approx(25.0)


@pytest.mark.parametrize(("related_ms", "added_ms"), [(12.0, 7.0), (40.0, 17.0)])
def test_what_is_looked_up_within_the_pause_delays_nobody(related_ms, added_ms):
    times = {"debounce": 170.0, "related": related_ms, "socket": 4.0}
    total_ms = 100.0 + sum(times.values())
    trace = {"total_ms": total_ms, "engine_ms": 100.0, "timings_ms": times}
    sample = _sample(1.0, Answer({}, 1.0 + (total_ms + 3.0) / 1e3), trace)

    assert BUILDING_MS == BUILDING_S * 1e3
    assert sample.added == pytest.approx(added_ms)


@pytest.fixture
def scripted(monkeypatch):
    """Servers follow a script in place of the real command."""
    monkeypatch.setattr(editor, "COMMAND", (sys.executable, SCRIPTED))
    return Serving({})


async def test_a_server_that_ends_early_is_an_error(scripted):
    there = await Editor.start(scripted, {}, {})
    there._process.kill()
    with pytest.raises(ClientError, match="disconnected"):
        await there.trace()
    await there.close()


async def test_an_error_of_the_server_is_an_error_here(scripted):
    there = await Editor.start(scripted, {}, {})
    answer = await there.ask("no/suchMethod", {})
    with pytest.raises(ClientError, match="-32601"):
        _ = answer.result
    await there.close()


async def test_a_model_that_is_never_asked_is_an_error(scripted, monkeypatch):
    # The script's engine tells no times, so that nothing could be measured.
    monkeypatch.setattr(overhead, "MAX_TRIES", 2)
    with pytest.raises(ClientError, match=r"\b2\b.*\bmodel\b"):
        await measure(Plan([2_000], 1), scripted, lambda what: None)
