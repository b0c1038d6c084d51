"""The whole measurement at a tiny shape on the CPU: every part of it is there and plausible."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from dg_lsp import cli
from dg_lsp.benchmark.gpu import fidelity, weights
from dg_lsp.benchmark.gpu.report import as_text
from dg_lsp.benchmark.gpu.run import ENGINE, FULL, GENERATE, INT4_ENGINE, PACKED, PARAMETRIZED
from dg_lsp.models.gemma.shapes import tiny_shape

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """What a run leaves behind."""
    directory = tmp_path_factory.mktemp("bench")
    status = cli.run(["bench", "gpu", "--shape", "tiny", "--device", "cpu", "--rounds", "1",
                      "--out", str(directory)])  # fmt: skip
    assert status == 0
    return directory


def test_every_part_is_measured(left):
    report = json.loads((left / "bench-gpu.json").read_text())

    assert report["weights"] == "random"
    assert {step["what"] for step in report["steps"]} == {
        ENGINE, INT4_ENGINE, PACKED, PARAMETRIZED, FULL, GENERATE
    }  # fmt: skip
    for step in report["steps"]:
        assert step["ms"] > 0
        assert step["times_floor"] == pytest.approx(step["ms"] / step["floor_ms"])
    for canvas in report["canvases"]:
        assert canvas["tokens_per_s"] == pytest.approx(canvas["tokens"] / canvas["ms"] * 1e3)
    assert [part["rows"] for part in report["parts"]] == [8, 32]
    assert all(part["experts_ms"] > 0 < part["selection_ms"] for part in report["parts"])
    assert report["line"]["steps"] == 4
    assert [set(prompt["tail_ms"]) for prompt in report["prompts"]] == [{"1", "16"}] * 2
    assert report["kernel"]["relative_error"] < 1e-2
    assert report["kernel"]["bits_per_parameter"] <= 4.2
    assert report["hardware"]["bandwidth"] > 0
    assert len(report["cosines"]) == 4 + 1
    # Each layer by itself; through all of them errors grow, with random weights.
    assert all(0.9 < cosine < 1 for cosine in report["cosines"][:-1])
    assert 0 < report["cosines"][-1] < 1
    assert [start["notes"] for start in report["starts"]] == [[], []]
    assert all(start["self_test_s"] >= 0 <= start["warm_up_s"] for start in report["starts"])
    assert report["skipped"] == []


def test_tables_and_plot_are_left_beside_it(left):
    report = json.loads((left / "bench-gpu.json").read_text())
    text = (left / "bench-gpu.md").read_text()

    assert text == as_text(report)
    assert "random weights" in text.replace("\n", " ")
    assert f"| {ENGINE} | 8 | 64 | " in text
    assert (left / "bench-gpu.png").read_bytes().startswith(b"\x89PNG")


def test_a_quick_run_measures_our_engine_and_generate(capsys):
    assert cli.run(["bench", "gpu", "--shape", "tiny", "--device", "cpu", "--rounds", "1",
                    "--quick", "--json"]) == 0  # fmt: skip
    report = json.loads(capsys.readouterr().out)

    assert {step["what"] for step in report["steps"]} == {ENGINE, INT4_ENGINE, GENERATE}
    assert "cosines" not in report
    assert as_text(report)


def test_the_real_shape_is_refused_on_a_cpu(capsys):
    assert cli.run(["bench", "gpu", "--device", "cpu"]) == cli.EXIT_REFUSED

    assert "18 GB" in capsys.readouterr().err


def test_an_unknown_shape_is_refused(capsys):
    assert cli.run(["bench", "gpu", "--shape", "huge"]) == cli.EXIT_REFUSED

    assert "shape 'huge' is unknown; use real or tiny" in capsys.readouterr().err


def test_it_needs_little_of_what_the_package_depends_on():
    script = """
import sys
for name in ("bitsandbytes", "typer", "rich", "psutil", "platformdirs", "matplotlib",
             "httpx", "pygls", "starlette"):
    sys.modules[name] = None
import dg_lsp.benchmark.gpu.__main__
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert ended.stderr == ""


@torch.inference_mode()
def test_random_models_of_all_kinds_predict_something_finite():
    config = tiny_shape()
    models = {
        "packed": weights.packed_model(config, CPU),
        "int4": weights.packed_model(config, CPU, weights.random_int4),
        "full": weights.full_model(config, CPU),
        "parametrized": weights.parametrize(weights.packed_model(config, CPU)),
    }
    ids = torch.randint(4, 500, (1, 20))
    for name, model in models.items():
        logits = model(input_ids=ids, decoder_input_ids=ids).logits
        assert torch.isfinite(logits).all(), name
        assert logits.std() > 0, name


@torch.inference_mode()
def test_a_parametrized_model_is_the_packed_one():
    torch.manual_seed(0)
    model = weights.packed_model(tiny_shape(), CPU)
    ids = torch.randint(4, 500, (1, 20))
    ours = model(input_ids=ids, decoder_input_ids=ids).logits
    theirs = weights.parametrize(model)(input_ids=ids, decoder_input_ids=ids).logits

    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_cosines_of_a_model_with_itself_are_one():
    model = weights.full_model(tiny_shape(), CPU)

    assert fidelity.layer_cosines(model, model, 8) == pytest.approx([1.0] * 5)
