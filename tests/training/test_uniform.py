"""The training run: its losses are the engine's, and it can be cut off and taken up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.step import head_of
from dg_lsp.training import run as training_run
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.examples import IGNORED
from dg_lsp.training.run import Progress, Recipe
from dg_lsp.training.uniform import UniformTrainer

TEXT = "def area(self, radius):\n    return 3.14 * radius ** 2  # naïve, 圆 🙂\n"
TINY = Recipe(steps=2, cooldown=2, warmup=2, batch=1, save_every=1)


@pytest.fixture(autouse=True)
def _same_dtype_in_every_run(monkeypatch) -> None:
    monkeypatch.setattr(training_run, "faster_dtype", lambda: torch.float32)


def trainer(codec, state: Path, numbers: Recipe = TINY) -> UniformTrainer:
    files = [SourceFile("stdlib/shapes.py", TEXT * 3, "stdlib")]
    return UniformTrainer(files, codec, numbers, state, compile_layers=False)


def run(codec, state: Path, stop_at: int = 99) -> tuple[UniformTrainer, list[Progress]]:
    """Take up the run in `state` and go on, to the end or until `stop_at`."""
    running = trainer(codec, state)
    running.resume()
    reports: list[Progress] = []
    running.run(reports.append, lambda: running.step >= stop_at)
    return running, reports


@pytest.fixture(scope="module")
def uninterrupted(tiny_codec, tmp_path_factory) -> tuple[UniformTrainer, list[Progress]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "faster_dtype", lambda: torch.float32)
        return run(tiny_codec, tmp_path_factory.mktemp("state"))


def weights(of: UniformTrainer) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in of.model.named_parameters()}


def test_training_changes_every_weight(tiny_codec, tmp_path, uninterrupted):
    trained, reports = uninterrupted
    untrained = weights(trainer(tiny_codec, tmp_path))

    assert [report.step for report in reports] == [1, 2, 3, 4]
    for report in reports:
        assert 0 < report.encoder_loss < 20
        assert 0 < report.decoder_loss < 20
        assert report.tokens_per_s > 0
    for name, parameter in weights(trained).items():
        assert torch.isfinite(parameter).all(), name
        assert not torch.equal(parameter, untrained[name]), name


def test_rows_that_start_from_seeds_train_it_too(tiny_codec, tmp_path):
    seeded = trainer(tiny_codec, tmp_path, replace(TINY, seeded_share=1.0))
    ordinary = trainer(tiny_codec, tmp_path / "ordinary")
    reports: list[Progress] = []
    seeded.run(reports.append, lambda: seeded.step >= 2)
    ordinary.run(lambda _: None, lambda: ordinary.step >= 2)

    assert [report.step for report in reports] == [1, 2]
    assert all(0 < report.decoder_loss < 20 for report in reports)
    for name, parameter in weights(seeded).items():
        assert torch.isfinite(parameter).all(), name
    assert not torch.equal(seeded.model.lm_head.weight, ordinary.model.lm_head.weight)


@pytest.mark.parametrize("cut_at", [1, 3], ids=["while constant", "while cooling down"])
def test_a_run_that_is_cut_off_ends_as_if_it_were_not(
    tiny_codec, tmp_path, uninterrupted, cut_at
):
    expect, reports = uninterrupted
    _, before = run(tiny_codec, tmp_path, stop_at=cut_at)
    resumed, after = run(tiny_codec, tmp_path)

    def losses(some: list[Progress]) -> list[tuple[int, float, float]]:
        return [(one.step, one.encoder_loss, one.decoder_loss) for one in some]

    assert losses(before + after) == losses(reports)
    for name, parameter in weights(expect).items():
        assert torch.equal(parameter, weights(resumed)[name]), name
    assert resumed.seconds > 0


def test_a_run_that_is_over_makes_no_further_step(tiny_codec, tmp_path):
    short = Recipe(steps=1, cooldown=1, warmup=1, batch=1)
    first = trainer(tiny_codec, tmp_path, short)
    first.step = 2
    first.save()
    again = trainer(tiny_codec, tmp_path, short)
    again.resume()
    again.run(lambda _: pytest.fail("a step was made"), lambda: False)

    assert again.step == 2


def test_a_run_cannot_be_made_shorter_than_it_is(tiny_codec, tmp_path):
    long = trainer(tiny_codec, tmp_path, Recipe(steps=50, cooldown=1, batch=1))
    long.step = 40
    long.save()

    with pytest.raises(ValueError, match=r"\b40\b.*\b30\b"):
        trainer(tiny_codec, tmp_path, Recipe(steps=30, cooldown=1, batch=1)).resume()


def test_the_cool_down_of_another_run_is_not_taken_up(tiny_codec, tmp_path):
    cooled = trainer(tiny_codec, tmp_path, Recipe(steps=10, cooldown=5, batch=1))
    cooled.step = 10
    cooled.save()
    cooled.step = 12
    cooled.save()
    longer = trainer(tiny_codec, tmp_path, Recipe(steps=20, cooldown=5, batch=1))
    longer.resume()

    assert longer.step == 10


@pytest.mark.parametrize("conditioned", [False, True], ids=["first-step", "later-step"])
@torch.no_grad()
def test_losses_are_those_of_the_engine_s_denoiser(tiny_codec, tmp_path, conditioned):
    made = trainer(tiny_codec, tmp_path)
    batch = made._maker.batch(5, 2)
    temperature = 0.6
    encoder_loss, decoder_loss = made.losses(batch, conditioned, temperature)

    denoiser = GemmaDenoiser(made.model)
    head, embedding = head_of(made.model), made.model.model.decoder.embed_tokens
    log_likelihood, tokens, weighted, weight = 0.0, 0, 0.0, 0.0
    for row in range(2):
        length = int((batch.labels[row] != IGNORED).sum()) + 1
        ids = batch.ids[row, :length].tolist()
        log_likelihood += float(denoiser.score(denoiser.encode(ids[:1]), [ids[1:]])[0].sum())
        tokens += length - 1
        for index in range(made.shape.canvases):
            count = int((batch.targets[row, index] != IGNORED).sum())
            encoded = denoiser.encode(ids[: batch.cuts[row, index]])
            canvas = torch.from_numpy(batch.canvas[row, index, :count])
            logits = head.logits(denoiser.hidden(encoded, canvas, [count], None))
            if conditioned:
                soft = (logits / temperature).softmax(-1) @ embedding.weight
                pinned = torch.from_numpy(batch.pinned[row, index, :count])[:, None]
                soft = torch.where(pinned, embedding(canvas), soft * embedding.embed_scale)
                logits = head.logits(denoiser.hidden(encoded, canvas, [count], soft))
            target = torch.from_numpy(batch.targets[row, index, :count])
            each = torch.nn.functional.cross_entropy(logits, target, reduction="none")
            own = torch.from_numpy(batch.weights[row, index, :count])
            weighted += float((each * own).sum())
            weight += float(own.sum())

    assert float(encoder_loss) == pytest.approx(-log_likelihood / tokens, abs=1e-4)
    assert float(decoder_loss) == pytest.approx(weighted / weight, abs=1e-4)


def test_the_schedule_warms_up_stays_and_cools_down(tiny_codec, tmp_path):
    made = trainer(tiny_codec, tmp_path, Recipe(steps=6, cooldown=4, warmup=3, batch=1))
    scales = []
    for made.step in range(10):
        scales.append(made._schedule())

    expect = np.array([1 / 3, 2 / 3, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert np.allclose(scales, expect)

    made.recipe = replace(made.recipe, peak=0.4)
    for made.step in range(10):
        assert made._schedule() == pytest.approx(0.4 * expect[made.step])


def test_a_finished_model_is_a_start(tiny_codec, tmp_path, uninterrupted):
    finished, _ = uninterrupted
    other = trainer(tiny_codec, tmp_path)
    other.start_from(finished.optimizer.masters)

    for name, parameter in weights(finished).items():
        assert torch.equal(parameter, weights(other)[name]), name
