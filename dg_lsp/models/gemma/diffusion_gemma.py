"""The transformers class without its vision tower."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion

from dg_lsp.models.gemma import experts

experts.register()


class TextDiffusionGemma(DiffusionGemmaForBlockDiffusion):  # type: ignore[misc]
    """`DiffusionGemmaForBlockDiffusion` for text: the vision tower is dropped.

    The class always builds the tower, whose position table alone is larger than a small
    model. A checkpoint's weights for the tower are ignored.
    """

    # transformers decides this by reading the source of this module.
    _can_set_experts_implementation_cached_value: ClassVar[bool] = True
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"vision_tower",
        r"embed_vision",
    ]

    def __init__(self, config: DiffusionGemmaConfig) -> None:
        super().__init__(config)
        del self.model.encoder.vision_tower
        del self.model.encoder.embed_vision


# The smallest vision configuration that the config class accepts; none of it is kept.
NO_VISION: dict[str, Any] = {
    "model_type": "gemma4_vision",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
