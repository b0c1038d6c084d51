"""The benchmark of masked diffusion beside llama.cpp, which is replaced by a fake here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from transformers import Qwen2ForCausalLM

from dg_lsp.benchmark.peers import llama, measuring, run
from dg_lsp.benchmark.peers.diffusion import (
    CachedContext,
    FullForward,
    Network,
    canvas_of,
    commit_surest,
)
from dg_lsp.benchmark.peers.gguf_file import gguf_name
from dg_lsp.benchmark.peers.measuring import BASE, SCENARIOS, Scenario, measure
from dg_lsp.benchmark.peers.report import as_text, to_json
from dg_lsp.benchmark.peers.run import run_peers
from dg_lsp.benchmark.peers.weights import shape, write_checkpoint
from dg_lsp.models.cpu_linear import CpuWeights

SMALL = shape(layers=2, hidden=128, vocabulary=1024)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("peers")
    write_checkpoint(directory, SMALL)
    return directory


class FakeWriter:
    """Stands for `gguf.GGUFWriter`."""

    written: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, path: Path, architecture: str) -> None:
        self.path = path
        self.facts: dict[str, Any] = {"architecture": architecture}
        self.tensors: dict[str, tuple[tuple[int, ...], str | None]] = {}

    def __getattr__(self, name: str) -> Any:
        assert name.startswith("add_")
        return lambda value: self.facts.update({name.removeprefix("add_"): value})

    def add_tensor(self, name: str, values: np.ndarray, raw_dtype: str | None = None) -> None:
        self.tensors[name] = values.shape, raw_dtype

    def write_header_to_file(self) -> None:
        self.path.write_bytes(b"GGUF")

    def write_kv_data_to_file(self) -> None:
        pass

    def write_tensors_to_file(self) -> None:
        self.written.append({**self.facts, "tensors": self.tensors})

    def close(self) -> None:
        pass


class FakeLlama:
    """Stands for `llama_cpp.Llama`."""

    def __init__(self, path: str, **options: Any) -> None:
        assert Path(path).read_bytes() == b"GGUF"
        self.n_tokens = 0
        self.limit = options["n_ctx"]
        self.threads = options["n_threads"], options["n_threads_batch"]

    def reset(self) -> None:
        self.n_tokens = 0

    def eval(self, ids: list[int]) -> None:
        self.n_tokens += len(ids)
        assert self.n_tokens <= self.limit

    def sample(self, temp: float) -> int:
        assert temp == 0
        return 5


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    gguf = ModuleType("gguf")
    kinds = {"F16": "F16", "Q8_0": "Q8_0"}
    gguf.__dict__.update(
        GGUFWriter=FakeWriter,
        LlamaFileType={f"MOSTLY_{kind}": kind for kind in kinds},
        GGMLQuantizationType=kinds,
        quantize=lambda values, kind: values,
    )
    llama_cpp = ModuleType("llama_cpp")
    llama_cpp.__dict__.update(Llama=FakeLlama, __version__="0.0")
    monkeypatch.setitem(sys.modules, "gguf", gguf)
    monkeypatch.setitem(sys.modules, "llama_cpp", llama_cpp)
    monkeypatch.setattr(FakeWriter, "written", [])


def test_a_whole_run_has_a_row_for_each_method_and_scenario(fakes: None) -> None:
    scenarios = [Scenario(16, 4), Scenario(24, 4)]
    told: list[str] = []
    outcome = run_peers(
        SMALL, scenarios, rounds=1, threads=1, with_llama=True, told=told.append
    )
    rows = {(row.method, row.weights, row.context) for row in outcome.rows}
    diffusion = [("official way", "float32"), ("cached loop", "float32")] + [
        (method, weights)
        for method in ("exact loop", "cached loop")
        for weights in ("float16", "int8")
    ]
    peers = [("llama.cpp", kind) for kind in ("F16", "Q8_0")]
    assert rows == {(*one, context) for one in diffusion + peers for context in (16, 24)}
    assert all(row.pass_ms > 0 for row in outcome.rows)
    read = {row.method for row in outcome.rows if row.read_ms}
    assert read == {"cached loop", "llama.cpp"}
    assert outcome.machine["threads"] == 1
    assert outcome.machine["versions"]["llama-cpp-python"] == "0.0"
    assert to_json(outcome)["rows"][0]["infill_ms"].keys() == {1}
    assert told[-1].startswith("round 1 of 1")


def test_llama_gets_the_weights_of_the_same_model(fakes: None) -> None:
    run_peers(SMALL, [Scenario(8, 2)], rounds=1, threads=1, with_llama=True, told=len)
    half, small = FakeWriter.written
    assert half["architecture"] == "qwen2"
    assert (half["block_count"], half["head_count"], half["head_count_kv"]) == (2, 2, 2)
    assert half["feed_forward_length"] == SMALL.intermediate_size
    assert half["vocab_size"] == 1024
    assert half["tensors"]["token_embd.weight"] == ((1024, 128), "F16")
    assert small["tensors"]["blk.1.ffn_down.weight"] == ((128, SMALL.intermediate_size), "Q8_0")
    assert small["tensors"]["blk.0.attn_q.bias"] == ((128,), None)
    assert len(small["tensors"]) == 2 + 2 * 12


@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.0.mlp.gate_proj"])
def test_a_tensor_of_another_model_has_no_name_in_llama(name: str) -> None:
    with pytest.raises(ValueError, match="not a tensor of a Qwen2 model"):
        gguf_name(name)


def test_the_shape_is_that_of_open_dcoder() -> None:
    config = shape()
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (
        *(896, 24, 4864),
    )
    assert (config.num_attention_heads, config.num_key_value_heads) == (14, 2)
    assert (config.vocab_size, config.tie_word_embeddings) == (151_936, True)


def test_the_network_sees_both_sides_and_predicts_the_next_row(checkpoint: Path) -> None:
    network = Network(checkpoint, CpuWeights.FLOAT32)
    scenario = Scenario(16, 4)
    ids = network.start(scenario)
    plain = Qwen2ForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    with torch.inference_mode():
        found = network.logits(network.hidden(ids))
        seen = torch.ones(1, 1, 20, 20, dtype=torch.bool)
        expected = plain(ids[None], attention_mask=seen).logits[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        ids[-1] += 1
        assert not torch.allclose(network.logits(network.hidden(ids))[0], expected[0])


def test_a_cached_pass_equals_a_full_one_while_nothing_is_committed(checkpoint: Path) -> None:
    network = Network(checkpoint, CpuWeights.FLOAT32)
    scenario = Scenario(16, 4)
    cached = CachedContext("cached", network)
    cached.read(scenario)
    ids, canvas = network.start(scenario), canvas_of(scenario)
    first = canvas.start - 1
    with torch.inference_mode():
        full = network.hidden(ids)[first : canvas.stop]
        step = network.hidden(ids[first : canvas.stop], first, cached._cache)
    torch.testing.assert_close(step, full, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [CachedContext, FullForward])
def test_a_method_can_write_again_after_reading_once(checkpoint: Path, method: Any) -> None:
    network = Network(checkpoint, CpuWeights.FLOAT32)
    scenario = Scenario(16, 4)
    options = {"all_logits": True} if method is FullForward else {}
    tried = method("one", network, **options)
    tried.read(scenario)
    for _ in range(2):
        tried.write(scenario, 2)


def test_the_surest_masks_are_committed() -> None:
    ids = torch.tensor([9, 3, 9, 9])
    logits = torch.tensor([[0.0, 1.0], [0.0, 50.0], [20.0, 0.0], [0.0, 0.0]])
    commit_surest(ids, logits, 9, 1)
    assert ids.tolist() == [9, 3, 0, 9]
    commit_surest(ids, logits, 9, 8)
    assert ids.tolist() == [1, 3, 0, 0]


class Steady:
    """A method that takes a fixed time on a clock of its own."""

    name, weights, reads_once, commits = "steady", "none", True, (1, 4)

    def __init__(self, clock: SimpleNamespace) -> None:
        self.clock = clock

    def passes(self, scenario: Scenario) -> int:
        return 2

    def read(self, scenario: Scenario) -> None:
        self.clock.now += 0.1

    def write(self, scenario: Scenario, passes: int) -> None:
        self.clock.now += 0.01 * passes


def test_an_infill_takes_as_many_passes_as_its_tokens_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    (row,) = measure([Steady(clock)], [Scenario(512, 30)], 3, len)
    assert row.read_ms == pytest.approx(100)
    assert row.infill_ms == pytest.approx({1: 300, 4: 80})
    assert row.cold_ms(4) == pytest.approx(180)


def test_the_report_compares_the_cached_loop_with_its_peers() -> None:
    def row(method: str, read_ms: float, infill_ms: dict[int, float]) -> measuring.Row:
        return measuring.Row(method, "w", BASE.context, BASE.span, read_ms, 1.0, infill_ms)

    rows = [
        row(run.OFFICIAL, 0, {1: 9000}),
        row(run.CACHED, 1000, {1: 2000, 4: 500}),
        row(llama.LLAMA, 2000, {1: 1000}),
    ]
    machine = dict(cpu="a CPU", cores=2, threads=2, rounds=3, versions={"torch": "2"})
    machine |= dict(load_before=[0.5, 0, 0], load_after=[1.5, 0, 0])
    text = as_text(run.Outcome(rows, 494_000_000, machine))
    assert "| w | 1 | 3.00 / 4.50 | 1.00 / 0.50 |" in text
    assert "| w | 4 | 6.00 / 18.00 | 2.00 / 2.00 |" in text
    assert "load 0.5 before and 1.5 after" in text
    assert "| cached loop | w | 1000 | 1.0 | 2000 / 500 | 3000 / 1500 |" in text


def test_the_scenarios_grow_in_one_direction_each() -> None:
    assert {one.context for one in SCENARIOS if one.span == 32} == {128, 512, 1024}
    assert {one.span for one in SCENARIOS if one.context == 512} == {8, 32, 64}
    assert BASE.prefix == 384
