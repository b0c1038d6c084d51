"""Writes the bundled model's card from the data of the training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.training.corpus import HELD_OUT_MODULES, Source
from dg_lsp.training.examples import LANGUAGES
from dg_lsp.training.packages import NEOVIM
from dg_lsp.training.run import Description, Recipe, Training


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a finished run measured."""

    parameters: int
    training: Training
    """Of this run and those before it."""
    steps_before: int
    """Of the runs whose weights this one began with."""
    machine: str
    encoder_loss: float
    decoder_loss: float
    """Both on held-out files, nats per token."""


LARGE = 100_000
"""Sources with at least this many characters have their own line."""
MEASURED = "## How well it infills\n"
"""The heading under which the evaluation writes."""


def with_measurements(card: str, measured: str) -> str:
    """A card with other text under its last heading."""
    kept, _, _ = card.partition(MEASURED)
    return f"{kept}{MEASURED}\n{measured.strip()}\n"


def model_card(
    description: Description, figures: RunFigures, recipe: Recipe, sources: Sequence[Source]
) -> str:
    """The card in Markdown, still without how well the model infills."""
    large = [source for source in sources if source.characters >= LARGE]
    rows = "\n".join(
        f"| {source.distribution} | {source.version} | {source.licence} | {source.files} | "
        f"{source.characters / 1e6:.2f} |"
        for source in large
    )
    small = "; ".join(
        f"{source.distribution} {source.version} ({source.licence})"
        for source in sources
        if source.characters < LARGE
    )
    others = ""
    if any(source.distribution.startswith(("npm ", NEOVIM)) for source in sources):
        shares = ", ".join(f"{share:.0%} {name}" for name, share in LANGUAGES.items())
        others = f"Of all examples {shares}, from what the editors' parts install; the rest Python.\n"
    begun = ""
    if figures.steps_before:
        begun = f" from the weights of {figures.steps_before} steps before"
    options, seeded = description.options, ""
    if recipe.seeded_share:
        options += f" --seeded-share {recipe.seeded_share:g}"
        seeded = f"In {recipe.seeded_share:.0%} of the examples of this run, the canvas starts from a text found elsewhere in the file, which the model learns to correct.\n"
    card = f"""# {description.title}

A {figures.parameters / 1e6:.1f} M parameter {description.model}, with a code tokenizer of its own.
It is here so that dg-lsp runs, is tested and can be tried with no GPU, no download and no account.
It is a small model that has read a little code: expect short, local completions, and expect many of them to be wrong.
It follows no instructions.
Licence: Apache-2.0, as the rest of the project.

## Data

Files of Python's standard library and of permissively licensed packages that the project installs; tests, generated files, tables and near-duplicates are left out.
{others}Held out whole, and never trained on: `pip`, `pytest`, and of the standard library {", ".join(HELD_OUT_MODULES)}.

| source | version | licence | files | M characters |
| --- | --- | --- | --- | --- |
{rows}

Less than {LARGE / 1e6:g} M characters each: {small or "none"}.

## Recipe

`python -m dg_lsp.training --steps {recipe.steps} --cooldown {recipe.cooldown} --batch {recipe.batch} --peak {recipe.peak:g}{options}`{begun}, seed {recipe.seed}.
{description.losses}
{seeded}Matrices are updated by Muon, the rest by Adam, over float32 masters; the last {recipe.cooldown} steps cool down linearly.

| | |
| --- | --- |
| steps | {figures.training.steps} |
| tokens seen | {figures.training.tokens / 1e6:.1f} M |
| hours | {figures.training.hours:.1f} on {figures.machine} |
| held-out loss, {description.encoder} | {figures.encoder_loss:.3f} nats per token |
| held-out loss, {description.decoder} | {figures.decoder_loss:.3f} nats per token |

"""
    return with_measurements(card, "Not measured yet: `dg-lsp eval spans --card`.")
