"""What not every model can be asked, for figures that need it."""

from __future__ import annotations

from typing import cast

from dg_lsp.engine.denoiser import CausalDenoiser
from dg_lsp.evaluation import EvaluationError
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.loading import LoadedModel


def causal_of(model: LoadedModel) -> CausalDenoiser:
    """The model's denoiser where it has a causal encoder; else `EvaluationError`."""
    if not callable(getattr(model.denoiser, "score", None)):
        raise EvaluationError(
            f"{model.info.name} has no causal encoder, which this figure is about"
        )
    return cast(CausalDenoiser, model.denoiser)


def reference_of(model: LoadedModel) -> TextDiffusionGemma:
    """The transformers class of a DiffusionGemma; else `EvaluationError`."""
    found = getattr(model.denoiser, "model", None)
    if not isinstance(found, TextDiffusionGemma):
        raise EvaluationError(
            f"{model.info.name} is no DiffusionGemma, which this figure is about"
        )
    return found
