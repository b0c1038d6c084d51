"""`python -m dg_lsp.training`: trains a small model on the sources on this machine."""

from __future__ import annotations

import dataclasses
import enum
import json
import platform
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import torch
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from tokenizers import Tokenizer

from dg_lsp.models.store import BUNDLED_DIRECTORY
from dg_lsp.models.tokenizer import FileCodec
from dg_lsp.training import corpus
from dg_lsp.training.card import RunFigures, model_card
from dg_lsp.training.export import read_metadata, training_of
from dg_lsp.training.masked.trainer import MaskedTrainer
from dg_lsp.training.packages import gather_packages
from dg_lsp.training.run import Progress as StepProgress
from dg_lsp.training.run import Recipe, Trainer, Training
from dg_lsp.training.shape import VOCABULARY
from dg_lsp.training.tokenizer import train_tokenizer
from dg_lsp.training.uniform import UniformTrainer

DEFAULT = Recipe()
STATE = Path(platformdirs.user_cache_dir("dg-lsp")) / "training"


class Objective(enum.Enum):
    """What a model is trained for; each has its own shape, and its own saved state."""

    UNIFORM = "uniform"
    MASKED = "masked"


def main(
    objective: Annotated[
        Objective,
        typer.Option(help="The bundled model's, or masked diffusion on Qwen2's shape."),
    ] = Objective.UNIFORM,
    state: Annotated[
        Path | None, typer.Option(help="Where the run saves its state, and its corpus.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps before the cool-down.")] = DEFAULT.steps,
    cooldown: Annotated[int, typer.Option(help="Steps of the cool-down.")] = DEFAULT.cooldown,
    batch: Annotated[int, typer.Option(help="Examples per step.")] = DEFAULT.batch,
    peak: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Share of the learning rates; below 1 with --init."),
    ] = DEFAULT.peak,
    seeded_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of examples that start from a seed, not noise."),
    ] = DEFAULT.seeded_share,
    init: Annotated[
        Path | None, typer.Option(help="A finished model to start from, with its tokenizer.")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="A node_modules folder or Neovim's runtime, for more languages."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the finished model: by default in place of the bundled one, "
            "or for a masked model beside its state."
        ),
    ] = None,
) -> None:
    """Train a small model, or continue its training; Ctrl-C saves and stops.

    If --steps equals the steps of the saved state, only the cool-down is run.
    """
    console = Console()
    is_masked = objective is Objective.MASKED
    state = state or (STATE / "masked" if is_masked else STATE)
    out = out or (state / "model" if is_masked else BUNDLED_DIRECTORY)
    gathered = _gather_once(state / "corpus.json", also or [])
    characters = sum(source.characters for source in gathered.sources)
    console.print(
        f"{len(gathered.training)} files, {characters / 1e6:.1f} M characters, "
        f"{len(gathered.sources)} sources"
    )
    path = state / "tokenizer.json"
    if not path.is_file():
        state.mkdir(parents=True, exist_ok=True)
        if is_masked:
            # The same tokens as the bundled model, with which it is compared.
            shutil.copyfile(BUNDLED_DIRECTORY / "tokenizer.json", path)
        elif init is not None:
            shutil.copyfile(init / "tokenizer.json", path)
        else:
            texts = (file.text for file in gathered.training)
            train_tokenizer(texts, VOCABULARY).save(str(path))
    codec = FileCodec(Tokenizer.from_file(str(path)))

    recipe = Recipe(
        steps=steps, cooldown=cooldown, batch=batch, peak=peak, seeded_share=seeded_share
    )
    make = MaskedTrainer if is_masked else UniformTrainer
    trainer: Trainer = make(gathered.training, codec, recipe, state)
    trainer.resume()
    if init is not None and trainer.step == 0:
        trainer.start_from(trainer.read_weights(init))
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    names = trainer.description
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn(f"{names.encoder} {{task.fields[encoder]:.3f}}"),
        TextColumn(f"{names.decoder} {{task.fields[decoder]:.3f}}"),
        TextColumn("{task.fields[speed]:.0f} tokens/s"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(
            "",
            total=steps + cooldown,
            completed=trainer.step,
            encoder=0.0,
            decoder=0.0,
            speed=0.0,
        )
        average = (0.0, 0.0)

        def report(now: StepProgress) -> None:
            nonlocal average
            share = 1.0 if average == (0.0, 0.0) else 0.02
            average = (
                average[0] + share * (now.encoder_loss - average[0]),
                average[1] + share * (now.decoder_loss - average[1]),
            )
            bar.update(
                task,
                completed=now.step,
                encoder=average[0],
                decoder=average[1],
                speed=now.tokens_per_s,
            )
            if now.step % 50 == 0:
                bar.console.print(
                    f"step {now.step}  {names.encoder} {average[0]:.3f}  "
                    f"{names.decoder} {average[1]:.3f}  "
                    f"{now.tokens_per_s:.0f} tokens/s  {trainer.seconds / 3600:.2f} h"
                )

        trainer.run(report, lambda: stopped)
    if trainer.finished:
        metadata = trainer.metadata if init is None else read_metadata(init)
        _export(trainer, metadata, gathered, path, out)
        console.print(f"written to {out}")


def _export(
    trainer: Trainer,
    metadata: Mapping[str, Any],
    gathered: corpus.Corpus,
    tokenizer: Path,
    out: Path,
) -> None:
    """Write the checkpoint and its card; the evaluation adds its figures later."""
    before = training_of(metadata)
    training = Training(
        steps=before.steps + trainer.step,
        tokens=before.tokens + trainer.step * trainer.tokens_per_step,
        hours=round(before.hours + trainer.seconds / 3600, 2),
    )
    trainer.export(tokenizer, training, out, metadata)
    encoder_loss, decoder_loss = trainer.held_out_losses(gathered.held_out, batches=12)
    figures = RunFigures(
        parameters=sum(master.numel() for master in trainer.optimizer.masters.values()),
        training=training,
        steps_before=before.steps,
        machine=f"{torch.get_num_threads()} cores of {platform.machine()}"
        if trainer.device.type == "cpu"
        else torch.cuda.get_device_name(trainer.device),
        encoder_loss=encoder_loss,
        decoder_loss=decoder_loss,
    )
    card = model_card(trainer.description, figures, trainer.recipe, gathered.sources)
    (out / "README.md").write_text(card, encoding="utf-8")


def _gather_once(path: Path, also: Sequence[Path]) -> corpus.Corpus:
    """The corpus of this run, fixed at the start, so that later installations do not matter."""
    if path.is_file():
        raw = json.loads(path.read_text(encoding="utf-8"))
        return corpus.Corpus(
            training=tuple(corpus.SourceFile(**file) for file in raw["training"]),
            held_out=tuple(corpus.SourceFile(**file) for file in raw["held_out"]),
            sources=tuple(corpus.Source(**source) for source in raw["sources"]),
            refused=tuple((name, reason) for name, reason in raw["refused"]),
        )
    gathered = corpus.gather()
    files, sources = gather_packages(also)
    gathered = dataclasses.replace(
        gathered,
        training=(*gathered.training, *files),
        sources=(*gathered.sources, *sources),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(gathered)), encoding="utf-8")
    return gathered


if __name__ == "__main__":
    typer.run(main)
