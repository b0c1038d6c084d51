"""Access to model features that not every family has, for figures that need them."""

from __future__ import annotations

from typing import cast

from dg_lsp.engine.denoiser import CausalDenoiser
from dg_lsp.evaluation import EvaluationError
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.loading import LoadedModel


def causal_of(model: LoadedModel) -> CausalDenoiser:
    """The model's denoiser; raises `EvaluationError` if it has no causal encoder."""
    if not callable(getattr(model.denoiser, "score", None)):
        raise EvaluationError(
            f"{model.info.name} has no causal encoder, which this figure needs"
        )
    return cast(CausalDenoiser, model.denoiser)


def reference_of(model: LoadedModel) -> TextDiffusionGemma:
    """The transformers class; raises `EvaluationError` if the model is not a DiffusionGemma."""
    found = getattr(model.denoiser, "model", None)
    if not isinstance(found, TextDiffusionGemma):
        raise EvaluationError(
            f"{model.info.name} is not a DiffusionGemma, which this figure needs"
        )
    return found
