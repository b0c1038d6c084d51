"""The model card says what the model was made from and how well it does."""

from __future__ import annotations

from dg_lsp.training.card import RunFigures, model_card, with_measurements
from dg_lsp.training.corpus import Source
from dg_lsp.training.masked.trainer import MaskedTrainer
from dg_lsp.training.run import Description, Recipe, Training
from dg_lsp.training.uniform import UniformTrainer


def card(description: Description = UniformTrainer.description, **recipe: float) -> str:
    figures = RunFigures(
        parameters=6_280_000,
        training=Training(steps=6850, tokens=31_000_000, hours=2.04),
        steps_before=2650,
        machine="2 cores of x86_64",
        encoder_loss=2.5,
        decoder_loss=2.25,
    )
    sources = [
        Source("torch", "2.13.0", "BSD-3-Clause", 900, 12_000_000),
        Source("npm semver", "7.8.6", "ISC", 21, 84_000),
    ]
    made = Recipe(steps=4000, cooldown=200, peak=0.4, **recipe)
    return model_card(description, figures, made, sources)


def test_the_card_tells_data_licence_recipe_and_losses():
    text = card()

    assert "| torch | 2.13.0 | BSD-3-Clause | 900 | 12.00 |" in text
    assert "--steps 4000 --cooldown 200 --batch 16 --peak 0.4` from the weights of 2650" in text
    for figure in ("6.3 M", "6850", "31.0 M", "2.0 on 2 cores", "2.500 nats", "2.250 nats"):
        assert figure in text
    assert "Less than 0.1 M characters each: npm semver 7.8.6 (ISC)." in text
    assert "9% typescript" in text
    assert "Not measured yet" in text


def test_the_card_tells_of_rows_that_start_from_seeds():
    assert "--seeded-share 0.25`" in card(seeded_share=0.25)
    assert "25% of the examples" in card(seeded_share=0.25)
    assert "--seeded-share" not in card()


def test_the_card_of_a_masked_model_tells_its_objective():
    text = card(MaskedTrainer.description)

    assert "--objective masked`" in text
    assert "Qwen2ForCausalLM" in text
    assert "| held-out loss, causal | 2.500 nats" in text
    assert "| held-out loss, masked | 2.250 nats" in text
    assert "DiffusionGemma" not in text


def test_measurements_replace_the_ones_before_and_nothing_else():
    once = with_measurements(card(), "| first |")
    twice = with_measurements(once, "| second |\n")

    assert "| first |" not in twice
    assert twice.endswith("## How well it infills\n\n| second |\n")
    assert twice.partition("## How")[0] == card().partition("## How")[0]
