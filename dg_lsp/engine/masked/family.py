"""A masked model's family: masks, both sides of the canvas, its own ranking."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from dg_lsp.config import EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.family import Family
from dg_lsp.engine.masked.corruption import MaskedCorruption
from dg_lsp.engine.masked.layout import BothSidesLayout, Conversation
from dg_lsp.engine.masked.length import MaskedLengths
from dg_lsp.engine.masked.ranking import PathRanker
from dg_lsp.engine.masked.rules import MaskTokens


def masked_family(
    settings: EngineSettings,
    denoiser: Denoiser,
    codec: Codec,
    tokens: MaskTokens,
    *,
    opening: Sequence[int] = (),
    closing: Sequence[int] = (),
    conversation: Conversation | None = None,
) -> Family:
    """The strategies of a model with a mask token, with the given settings.

    Every document begins with the ids `opening`, and `closing` follows its end.
    `conversation` puts a user's message into the template of a model that follows
    instructions.
    """
    masked = settings.masked
    corrupt = functools.partial(
        MaskedCorruption, masked, tokens, codec, denoiser.canvas_length, denoiser.device
    )
    return Family(
        layout=BothSidesLayout(
            settings.prompt, codec, tuple(opening), tuple(closing), conversation
        ),
        corrupt=corrupt,
        lengths=MaskedLengths(masked, can_delete=tokens.delete is not None),
        ranker=PathRanker(masked, denoiser, codec, tokens, settings.length.token_reward_nats),
        seed_strength=masked.seed_strength,
    )
