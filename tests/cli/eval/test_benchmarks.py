"""`dg-lsp eval` on files of one's own, from the command line to what it prints."""

from __future__ import annotations

import json

import pytest

from dg_lsp.cli import run
from dg_lsp.evaluation.sandbox import Isolation, Sandbox, SandboxError, find_sandbox

TASK = {
    "task_id": "SingleLineInfilling/HumanEval/0/L0",
    "entry_point": "doubled",
    "prompt": "def doubled(n):\n",
    "suffix": "    return result\n",
    "canonical_solution": "    result = 2 * n\n",
    "test": "def check(doubled):\n    assert doubled(4) == 8\n",
}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [TASK, {**TASK, "task_id": "SingleLineInfilling/HumanEval/1/L0"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["DiffusionGemma", "masked"])
def quick_checkpoint(request, tmp_path):
    """A tiny checkpoint of each family, with few steps to make."""
    is_masked = request.param == "masked"
    made = request.getfixturevalue("masked_checkpoint" if is_masked else "tiny_checkpoint")
    directory = tmp_path / "quick"
    directory.mkdir()
    for file in made.iterdir():
        (directory / file.name).symlink_to(file)
    name, fewer = "generation_config.json", '{"max_denoising_steps": 2}'
    if is_masked:
        masked = {"sure_probability": 0.0, "start_masks": [4], "window": 6}
        name, fewer = "dg_lsp.json", json.dumps({"prompt": {"style": "bare"}, "masked": masked})
    (directory / name).unlink(missing_ok=True)
    (directory / name).write_text(fewer)
    return directory


def test_canonical_solutions_pass_without_a_model(data, capsys) -> None:
    command = ["eval", "humaneval-infilling", "--data", str(data), "--canonical", "--json"]

    assert run([*command, "--allow-execution"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["pass_at_1"], report["exact_match"], report["n"]) == (1.0, 1.0, 2)
    isolation = find_sandbox(allow_limits_only=True).isolation
    assert report["sandbox"] == isolation.name.lower()
    assert "2 of the 1033 problems" in err
    assert f"sandbox: {isolation.value}" in err


def test_figures_of_a_model_and_a_log_to_go_on_with(
    data, quick_checkpoint, tmp_path, capsys
) -> None:
    log = tmp_path / "log"
    command = ["eval", "humaneval-infilling", "--data", str(data), "--max-tokens", "4"]
    command += ["--model", str(quick_checkpoint), "--log", str(log), "--allow-execution"]

    assert run([*command, "--limit", "1"]) == 0
    table = capsys.readouterr().out
    assert table.startswith("| spans | n | pass@1 | exact match |")
    assert "| SingleLineInfilling | 1 |" in table
    assert run([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert "1 infills, about" in err
    assert (report["n"], len(report["problems"])) == (2, 2)
    assert {
        "pass_at_1",
        "exact_match",
        "edit_similarity",
        "abstention_rate",
        "steps",
        "milliseconds",
        "tokens_per_s",
        "interval_95",
    } <= report.keys()
    assert run([*command, "--min-confidence", "0.5"]) == 2
    assert "of another run" in capsys.readouterr().err


def test_lines_of_three_languages(quick_checkpoint, tmp_path, capsys) -> None:
    path = tmp_path / "lines.jsonl"
    row = {"name": "a", "prompt": "a = 1\n", "suffix": "\n", "canonical_solution": "b = a"}
    path.write_text(
        "".join(json.dumps({**row, "language": name}) + "\n" for name in ("js", "java", "py"))
    )
    command = ["eval", "santacoder-fim", "--data", str(path), "--max-tokens", "4"]

    assert run([*command, "--model", str(quick_checkpoint), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [group["group"] for group in report["groups"]] == ["java", "js", "py", "all"]
    assert "pass_at_1" not in report


def test_spans_of_a_repository(quick_checkpoint, tmp_path, capsys) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "shop.py").write_text("def total(prices):\n    return sum(prices)\n" * 3)
    (folder / ".gitignore").write_text("made.py\n")
    (folder / "made.py").write_text("made = total(made)\n")
    command = ["eval", "repo", str(folder), "--per-kind", "1", "--max-tokens", "4"]
    command += ["--model", str(quick_checkpoint)]

    assert run(command) == 0
    out, err = capsys.readouterr()
    assert "source files: 1; left out: 1 no code, 1 excluded" in err
    assert "infills, about" in err
    assert err.index("infills, about") < err.index("infilling")
    for kind in ("identifier", "inside a token", "call arguments", "line", "block"):
        assert f"| python: {kind} | 1 |" in out
    assert "| parses |" in out
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore",
        "made.py",
        "shop.py",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["humaneval-infilling", "--data", "none.jsonl"], "none.jsonl cannot be read"),
        (["humaneval-infilling", "--data", __file__], "is not JSON"),
        (["santacoder-fim", "--data", __file__], "is not JSON"),
        (["repo", __file__], "is not a directory"),
        (["repo", "{empty}"], "has no source file to cut from"),
        (["spans", "--only", "magic"], "'magic' is not a method"),
        (["quiet", "--model", "{empty}"], "config.json"),
        (
            ["spans", "--model", "{masked}", "--only", "transformers generate()"],
            "'transformers generate()' is no method for",
        ),
        (["lengths", "--model", "{masked}", "--per-kind", "1"], "has no causal encoder"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(
    arguments, says, tmp_path, masked_checkpoint, capsys
) -> None:
    places = {"empty": tmp_path, "masked": masked_checkpoint}
    command = ["eval", *(one.format(**places) for one in arguments)]

    assert run(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_without_a_sandbox_code_is_run_only_with_leave(data, monkeypatch, capsys) -> None:
    def limits_only(self: Sandbox, program: str) -> object:
        if self.isolation is Isolation.NAMESPACES:
            raise SandboxError("no namespaces here")
        return run_as_it_is(self, program)

    run_as_it_is = Sandbox.run
    monkeypatch.setattr(Sandbox, "run", limits_only)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    command = ["eval", "humaneval-infilling", "--data", str(data), "--canonical"]

    assert run(command) == 2
    assert "--allow-execution" in capsys.readouterr().err
    assert run([*command, "--allow-execution"]) == 0
    out, err = capsys.readouterr()
    assert "sandbox: limits only" in err
    assert "100.0%" in out
    assert run([*command, "--no-execution"]) == 0
    assert "pass@1" not in capsys.readouterr().out


def test_departures_of_a_model_that_suggests_nothing(quick_checkpoint, capsys) -> None:
    command = ["eval", "departures", "--model", str(quick_checkpoint), "--per-kind", "1"]

    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {"departures": 0, "same_text": 0, "starts": []}
