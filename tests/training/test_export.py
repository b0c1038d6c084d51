"""What training writes is a checkpoint like any other, and says what went into it."""

from __future__ import annotations

import torch

from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.loading import BUNDLED_DIRECTORY, load
from dg_lsp.training.export import METADATA, SAMPLER, export, read_metadata, training_of
from dg_lsp.training.run import Training


def test_an_export_loads_and_says_what_went_into_it(
    tiny_config, tiny_tokenizer, tmp_path_factory
):
    tmp_path = tmp_path_factory.mktemp("export")
    tokenizer = tmp_path / "made.json"
    tiny_tokenizer.save(str(tokenizer))
    model = TextDiffusionGemma(tiny_config)
    masters = {name: one.detach().float() for name, one in model.named_parameters()}
    training = Training(steps=7, tokens=1000, hours=0.5)
    export(masters, tiny_config, tokenizer, training, tmp_path / "out")

    loaded = load(str(tmp_path / "out"), "cpu")
    for name, parameter in loaded.denoiser.model.named_parameters():
        assert torch.equal(parameter, masters[name].half().float()), name
    assert loaded.info.follows_instructions is METADATA["follows_instructions"]
    assert loaded.settings.sampler == SAMPLER
    assert loaded.settings.prompt.prefix_tokens == METADATA["prompt"]["prefix_tokens"]
    assert training_of(read_metadata(tmp_path / "out")) == training

    # What was fitted for a model also holds for the one that continues from it.
    begun = {**METADATA, "seeds": {"prior_nats": -9.0}, "training": {"steps": 1}}
    more = Training(steps=9)
    export(masters, tiny_config, tokenizer, more, tmp_path / "out", begun)
    continued = load(str(tmp_path / "out"), "cpu")
    assert continued.settings.seeds.prior_nats == -9.0
    assert training_of(read_metadata(tmp_path / "out")) == more


def test_the_bundled_model_says_what_went_into_it():
    assert training_of(read_metadata(BUNDLED_DIRECTORY)).tokens > 10_000_000
