"""A masked run trains every weight, can be cut off, and ends in a checkpoint of Qwen2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM

from dg_lsp.models.loading import load
from dg_lsp.training import run as training_run
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.export import read_metadata, training_of
from dg_lsp.training.masked.shape import EOS, EXPAND, MASK, TOKENS
from dg_lsp.training.masked.trainer import MaskedTrainer
from dg_lsp.training.run import Progress, Recipe, Training

TEXT = "def area(self, radius):\n    return 3.14 * radius ** 2  # naïve, 圆 🙂\n"
TINY = Recipe(steps=2, cooldown=2, warmup=2, batch=4, save_every=1)
FILES = [SourceFile("stdlib/shapes.py", TEXT * 3, "stdlib")]


@pytest.fixture(autouse=True)
def _same_dtype_in_every_run(monkeypatch) -> None:
    monkeypatch.setattr(training_run, "faster_dtype", lambda: torch.float32)


def run(codec, state: Path, stop_at: int = 99) -> tuple[MaskedTrainer, list[Progress]]:
    running = MaskedTrainer(FILES, codec, TINY, state)
    running.resume()
    reports: list[Progress] = []
    running.run(reports.append, lambda: running.step >= stop_at)
    return running, reports


def test_a_run_that_is_cut_off_ends_as_if_it_were_not(tiny_codec, tmp_path):
    untrained = MaskedTrainer(FILES, tiny_codec, TINY, tmp_path / "none")
    expect, reports = run(tiny_codec, tmp_path / "whole")
    first = run(tiny_codec, tmp_path / "cut", stop_at=1)[1]
    resumed, second = run(tiny_codec, tmp_path / "cut")

    assert [(one.step, one.decoder_loss) for one in first + second] == [
        (one.step, one.decoder_loss) for one in reports
    ]
    others = dict(resumed.model.named_parameters())
    before = dict(untrained.model.named_parameters())
    for name, parameter in expect.model.named_parameters():
        assert torch.isfinite(parameter).all(), name
        assert not torch.equal(parameter, before[name]), name
        assert torch.equal(parameter, others[name]), name


def test_an_export_is_a_qwen2_checkpoint_with_the_ids_of_its_masks(
    tiny_codec, tiny_tokenizer, tmp_path
):
    trainer = MaskedTrainer(FILES, tiny_codec, TINY, tmp_path)
    path, out = tmp_path / "tokenizer.json", tmp_path / "out"
    tiny_tokenizer.save(str(path))
    trainer.export(path, Training(steps=7, tokens=1000), out, trainer.metadata)

    config = json.loads((out / "config.json").read_text())
    assert config["model_type"] == "qwen2"
    assert config["mask_token_id"] == MASK
    assert config["expand_token_id"] == EXPAND
    assert config["delete_token_id"] == EOS
    assert training_of(read_metadata(out)) == Training(steps=7, tokens=1000)

    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    assert tokenizer.token_to_id("<|mask|>") == MASK
    assert tokenizer.token_to_id("<|expand|>") == EXPAND
    assert tokenizer.encode(TEXT).ids == tiny_codec.encode(TEXT)

    loaded = Qwen2ForCausalLM.from_pretrained(out, dtype=torch.float32)
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, trainer.optimizer.masters[name].half().float()), name

    fresh = MaskedTrainer(FILES, tiny_codec, TINY, tmp_path / "fresh")
    fresh.start_from(fresh.read_weights(out))
    assert torch.equal(fresh.model.lm_head.weight, loaded.lm_head.weight)

    engine = load(str(out), "cpu")
    assert engine.config.tokens == TOKENS
    assert engine.settings.masked.window == MaskedTrainer.metadata["masked"]["window"]
    assert engine.codec.encode(TEXT) == tiny_codec.encode(TEXT)
