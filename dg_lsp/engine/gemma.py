"""DiffusionGemma's family: uniform-state noise, a conversation, a race, a causal encoder."""

from __future__ import annotations

import functools

from dg_lsp.config import EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.conversation import ConversationLayout
from dg_lsp.engine.denoiser import CausalDenoiser
from dg_lsp.engine.family import Family
from dg_lsp.engine.ranking import CausalRanker
from dg_lsp.engine.span_length import LengthRace
from dg_lsp.engine.uniform import UniformCorruption


def gemma_family(settings: EngineSettings, denoiser: CausalDenoiser, codec: Codec) -> Family:
    """DiffusionGemma's strategies, with the given settings, for one model."""
    return Family(
        layout=ConversationLayout(settings.prompt, codec),
        corrupt=functools.partial(UniformCorruption, settings.sampler, denoiser.device),
        lengths=LengthRace(settings.length),
        ranker=CausalRanker(denoiser, codec, settings.length.token_reward_nats),
    )
