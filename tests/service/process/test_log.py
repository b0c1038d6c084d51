"""Log lines: JSON, rotating, no source, and no harm when they cannot be written."""

from __future__ import annotations

import json
import logging

import pytest

from dg_lsp.service.process import log
from dg_lsp.service.process.log import open_log


@pytest.fixture
def logged(tmp_path):
    """Logs to a file; returns its path."""
    handler = open_log(tmp_path / "logs" / "engine.log")
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield tmp_path / "logs" / "engine.log"
    root.setLevel(level)
    root.removeHandler(handler)
    handler.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("error", "expect"),
    [
        (RuntimeError("CUDA out of memory"), "CUDA out of memory"),
        (ValueError("cannot encode 'source'"), None),
    ],
)
def test_messages_that_may_quote_the_source_are_left_out(logged, error, expect):
    try:
        raise error
    except (RuntimeError, ValueError):
        logging.getLogger("dg_lsp.test").exception("a job failed")
    [line] = lines(logged)

    assert (line["error"], line.get("reason")) == (type(error).__name__, expect)
    assert "test_log.py" in line["frames"][-1]


def test_files_rotate(logged, monkeypatch):
    [handler] = [one for one in logging.getLogger().handlers if hasattr(one, "maxBytes")]
    monkeypatch.setattr(handler, "maxBytes", 200)
    for _ in range(30):
        logging.getLogger("dg_lsp.test").info("a line of some length")

    assert len([*logged.parent.iterdir()]) == 1 + log.KEPT_FILES


def test_logging_goes_on_when_the_disk_has_room_again(logged, tmp_path, capsys):
    logged.symlink_to("/dev/full")
    logging.getLogger("dg_lsp.test").info("lost")
    logged.unlink()
    logging.getLogger("dg_lsp.test").info("kept")

    assert [line["event"] for line in lines(logged)] == ["kept"]
    assert capsys.readouterr() == ("", "")
