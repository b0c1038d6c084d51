"""Where the time of an infill goes, of a scripted model."""

from __future__ import annotations

import re

from dg_lsp.benchmark.infills import time_infills
from dg_lsp.config import EngineSettings, LengthSettings, PromptSettings, PromptStyle
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import ModelInfo
from dg_lsp.models.gemma.family import FAMILY
from dg_lsp.models.loading import LoadedModel
from dg_lsp.models.scripted import ScriptedDenoiser

SPAN = TrueSpan("shapes.py", "def area(radius):\n    return ", " ** 2\n", "3 * radius", "rest")


def test_the_forward_pass_of_any_model_is_told_apart_from_the_rest(tiny_codec):
    settings = EngineSettings(
        prompt=PromptSettings(style=PromptStyle.BARE, right_anchor_tokens=8),
        length=LengthSettings(lengths=(2, 4, 7)),
    )
    denoiser = ScriptedDenoiser(tiny_codec, SPAN.prefix + SPAN.text + SPAN.suffix)
    model = LoadedModel(
        ModelInfo("own", "cpu", 9, 9), FAMILY, denoiser, tiny_codec, settings, None
    )  # type: ignore[arg-type]
    table = time_infills(model, [SPAN, SPAN])

    shares = {name: float(share) for name, share in re.findall(r"  (\w[^%]*?) +(\S+)%", table)}
    assert shares["denoise"] > 0
    assert shares["steps, all but the forward"] > 0
    assert 0 < float(re.findall(r"outside the model's forward: ([\d.]+)%", table)[0]) < 100
