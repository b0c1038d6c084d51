"""Weights that are not those of before are noticed."""

from __future__ import annotations

import json
import math
import os
import shutil

import pytest
import torch

from dg_lsp.models import likelihood
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.loading import load
from dg_lsp.models.store import BUNDLED_DIRECTORY
from dg_lsp.reason import ReasonCode
from tests.full_disk import disk_to_fill

VOCABULARY = 320
PLAUSIBLE = 2.0


def test_the_first_good_load_is_what_later_ones_are_compared_with(tmp_path):
    likelihood.check(tmp_path, PLAUSIBLE, VOCABULARY, may_store=True)
    for change in (0.0, 0.4, -0.4):
        likelihood.check(tmp_path, PLAUSIBLE + change, VOCABULARY, may_store=True)
    for change in (0.6, -0.6):
        with pytest.raises(CheckpointError) as raised:
            likelihood.check(tmp_path, PLAUSIBLE + change, VOCABULARY, may_store=True)
        assert raised.value.code is ReasonCode.WRONG_WEIGHTS
        assert likelihood.FILE in str(raised.value)


def test_a_checkpoint_may_ship_the_figure(tmp_path):
    shipped = tmp_path / "dg_lsp.json"
    shipped.write_text(json.dumps({"prompt": {}, likelihood.KEY: PLAUSIBLE}))
    likelihood.check(tmp_path, PLAUSIBLE + 0.4, VOCABULARY, may_store=True)
    with pytest.raises(CheckpointError, match=shipped.name) as raised:
        likelihood.check(tmp_path, PLAUSIBLE + 0.6, VOCABULARY, may_store=True)

    assert raised.value.code is ReasonCode.WRONG_WEIGHTS
    # It is not written down a second time.
    assert [each.name for each in tmp_path.iterdir()] == [shipped.name]


def test_nothing_is_stored_where_it_is_not_wanted_or_implausible(tmp_path):
    likelihood.check(tmp_path, PLAUSIBLE, VOCABULARY, may_store=False)
    likelihood.check(tmp_path, math.log(VOCABULARY), VOCABULARY, may_store=True)
    likelihood.check(tmp_path / "absent", PLAUSIBLE, VOCABULARY, may_store=True)

    assert not list(tmp_path.iterdir())


def test_weights_that_give_no_numbers(tmp_path):
    with pytest.raises(CheckpointError) as raised:
        likelihood.check(tmp_path, math.nan, VOCABULARY, may_store=True)
    assert raised.value.code is ReasonCode.WRONG_WEIGHTS


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
def test_a_full_disk_does_not_spoil_the_model(tmp_path):
    with disk_to_fill(tmp_path) as (disk, fill, free):
        fill()
        likelihood.check(disk, PLAUSIBLE, VOCABULARY, may_store=True)
        free()
        # The next load reads nothing that is half written.
        likelihood.check(disk, PLAUSIBLE, VOCABULARY, may_store=True)
        assert (disk / likelihood.FILE).stat().st_size > 0


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"nats_per_token": "2"}'])
def test_a_file_that_cannot_be_read_is_named(tmp_path, text):
    (tmp_path / likelihood.FILE).write_text(text)
    with pytest.raises(CheckpointError, match=likelihood.FILE):
        likelihood.check(tmp_path, PLAUSIBLE, VOCABULARY, may_store=True)


def test_a_model_of_the_store_whose_weights_are_swapped(store, monkeypatch):
    directory = store / "mine"
    shutil.copytree(BUNDLED_DIRECTORY, directory)
    # As a model that does not ship the figure.
    metadata = json.loads((directory / "dg_lsp.json").read_text())
    shipped = metadata.pop(likelihood.KEY)
    (directory / "dg_lsp.json").write_text(json.dumps(metadata))
    load(str(directory), "cpu")
    stored = json.loads((directory / likelihood.FILE).read_text())["nats_per_token"]
    assert stored == pytest.approx(shipped, abs=0.1)
    load(str(directory), "cpu")

    surprise = GemmaDenoiser.surprise

    def with_other_rows(denoiser, ids):
        weight = denoiser.model.lm_head.weight.data
        weight.copy_(weight.roll(1, 0))
        return surprise(denoiser, ids)

    monkeypatch.setattr(GemmaDenoiser, "surprise", with_other_rows)
    with pytest.raises(CheckpointError) as raised:
        load(str(directory), "cpu")
    assert raised.value.code is ReasonCode.WRONG_WEIGHTS


def test_the_surprise_is_the_mean_over_the_tokens(tiny_model):
    denoiser = GemmaDenoiser(tiny_model)
    ids = [5, 9, 200, 31]
    [each] = denoiser.score(denoiser.encode(ids[:1]), [ids[1:]])

    assert denoiser.surprise(ids) == pytest.approx(-each.mean().item())
    assert torch.isfinite(each).all()
