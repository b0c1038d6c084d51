"""What a model can't do, and what the user is told instead."""

from __future__ import annotations

from dg_lsp.server.link.engine_link import ModelFacts


def follows_no_instructions(model: ModelFacts) -> str:
    """What the user is told."""
    return f"the {model.name} model follows no instructions"
