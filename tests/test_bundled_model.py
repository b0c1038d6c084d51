"""The main job as a user meets it: the real command, the bundled model, a real file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dg_lsp.cli import run
from dg_lsp.config import MIN_CONFIDENCE
from dg_lsp.models.store import BUNDLED_DIRECTORY

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "docs" / "demo" / "inventory.py"
PLACE = f"{DEMO}:23:30"
COPIES = [ROOT / "vscode-extension/media/sample", ROOT / "editors/neovim/sample"]


@pytest.fixture
def dg_lsp(capfdbinary) -> Callable[..., tuple[int, bytes, bytes]]:
    """The command in this process, as one of its own loads torch for seconds each time."""

    def call(*arguments: str) -> tuple[int, bytes, bytes]:
        capfdbinary.readouterr()
        return (run([*arguments]), *capfdbinary.readouterr())

    return call


def test_the_same_command_twice_gives_the_same_bytes(dg_lsp):
    before = DEMO.read_bytes()
    command = [sys.executable, "-m", "dg_lsp", "infill", PLACE]
    alone = subprocess.run(command, capture_output=True, timeout=100)
    there = (alone.returncode, alone.stdout, alone.stderr)

    assert there == dg_lsp("infill", PLACE)
    assert there == (0, alone.stdout, b"")
    assert alone.stdout.decode().strip() == "self.reserved.get(name, 0) + count", (
        "the demo is a new user's first sight"
    )
    assert DEMO.read_bytes() == before


def test_json_tells_what_a_program_needs(dg_lsp):
    status, printed, _ = dg_lsp("infill", PLACE, "-n", "3", "--json")
    report = json.loads(printed)

    assert status == 0
    assert report["model"] == "bundled"
    assert 1 <= len(report["candidates"]) <= 3
    assert report["text"] == report["candidates"][0]["text"] != ""
    texts = [candidate["text"] for candidate in report["candidates"]]
    assert len(set(texts)) == len(texts)
    assert all(0 < candidate["confidence"] <= 1 for candidate in report["candidates"])
    assert report["steps"] >= 1
    assert {"encode", "denoise", "rank", "total"} <= report["timings_ms"].keys()
    place = {"line": 23, "column": 30}
    assert report["edit"] == {"start": place, "end": place, "new_text": report["text"]}


def test_a_selection_is_written_anew(dg_lsp):
    status, printed, _ = dg_lsp("infill", f"{DEMO}:19:9", "--to", "19:59", "--json")
    report = json.loads(printed)

    assert status == 0
    assert report["text"]
    assert "\n" not in report["text"].rstrip("\n")


def test_the_demo_is_shown_at_the_default_settings(dg_lsp):
    _, printed, _ = dg_lsp("infill", PLACE, "--json")

    assert json.loads(printed)["candidates"][0]["confidence"] > 2 * MIN_CONFIDENCE


@pytest.mark.parametrize("folder", COPIES, ids=["VS Code", "Neovim"])
def test_the_sample_of_an_editor_is_the_demo(folder):
    assert (folder / DEMO.name).read_bytes() == DEMO.read_bytes()


def test_the_span_sharpens_on_a_real_terminal(python_on_a_terminal):
    status, drawn, said = python_on_a_terminal(
        "-m", "dg_lsp", "infill", PLACE, COLORTERM="truecolor", COLUMNS="100"
    )

    assert (status, said) == (0, b"")
    assert b"step 1 of" in drawn
    assert b"only for trying" in drawn
    # The colours of unsure and of sure characters.
    assert b"38;2;" in drawn


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["infill", f"{DEMO}:99:1"], b"line 99 is outside the file"),
        (["infill", f"{DEMO}:1:1", "--model", "/nowhere"], b"'/nowhere' does not exist"),
        (["infill", f"{DEMO}:1:1", "--device", "cuda:99"], b"device 'cuda:99'"),
        (
            ["infill", f"{DEMO}:1:1", "--to", "1:9", "--instruction", "shorter"],
            b"cannot follow instructions",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(dg_lsp, arguments, says):
    status, printed, said = dg_lsp(*arguments)

    assert (status, printed) == (2, b"")
    assert says in said
    assert said.count(b"\n") == 1


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "1:1"),
        (b"x = ", "1:5"),
        (b"print()", "1:1"),
        (b"def f(a):\r\n\treturn \r\n", "2:9"),
        ("s = '🙂e\u0301圆'\nt = \n".encode(), "2:5"),
        (b"x = 1\n" * 2000, "1000:1"),
    ],
    ids=["empty", "at the end", "at the start", "crlf and tabs", "emoji", "long"],
)
def test_any_place_of_any_file_is_answered(dg_lsp, tmp_path, content, place):
    path = tmp_path / "sample.py"
    path.write_bytes(content)
    status, printed, said = dg_lsp("infill", f"{path}:{place}", "--json", "--max-tokens", "8")

    assert (status, said) == (0, b"")
    report = json.loads(printed)
    assert report["text"] or report["reason"]
    assert path.read_bytes() == content


def test_the_bundled_model_is_small_and_says_what_it_is():
    size = sum(path.stat().st_size for path in BUNDLED_DIRECTORY.iterdir())
    card = (BUNDLED_DIRECTORY / "README.md").read_text(encoding="utf-8")

    assert size <= 16 * 2**20
    for heading in ("## Data", "## Recipe", "## How well it infills"):
        assert heading in card
    assert "Not measured yet" not in card
