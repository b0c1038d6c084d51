"""The entry of Qwen2 with a mask token for `registry.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from dg_lsp.config import CacheSettings, EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.family import Family
from dg_lsp.engine.masked import masked_family
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.cpu_linear import CpuWeights, packed_bytes
from dg_lsp.models.family import Dimensions, Instructions, ModelFamily, TensorLayout
from dg_lsp.models.formats import WeightFormat
from dg_lsp.models.nf4.manifest import is_packed_checkpoint
from dg_lsp.models.qwen2.config import MaskedQwen2Config, read_config
from dg_lsp.models.qwen2.conversation import ChatMl
from dg_lsp.models.qwen2.denoiser import LENGTHS_AT_ONCE, Qwen2Denoiser
from dg_lsp.models.qwen2.ladder import settle
from dg_lsp.models.qwen2.sampling import ROWS_AT_ONCE
from dg_lsp.models.qwen2.tokenizer import read_qwen2_codec
from dg_lsp.models.qwen2.weights import (
    cpu_weights,
    load_packed,
    load_weights,
    skeleton,
    tensor_layout,
)
from dg_lsp.models.tokenizer import FileCodec
from dg_lsp.reason import ReasonCode

BYTES = 2
"""Of a value of the cache."""


class MaskedQwen2:
    """Implements `models.family.ModelFamily`."""

    name = "masked Qwen2"
    is_plain = True

    def parse_config(self, directory: Path) -> MaskedQwen2Config:
        return read_config(directory)

    def instructions(self, config: MaskedQwen2Config) -> Instructions:
        return config.instructions

    def dimensions(self, config: MaskedQwen2Config) -> Dimensions:
        return Dimensions(
            config.network.vocab_size,
            config.canvas_tokens,
            config.context_tokens,
            config.network.num_hidden_layers,
        )

    def tensors(self, config: MaskedQwen2Config) -> TensorLayout:
        return tensor_layout(config.network)

    def read_codec(self, directory: Path, config: MaskedQwen2Config) -> FileCodec:
        return read_qwen2_codec(directory, config)

    def weight_bytes(
        self, directory: Path, config: MaskedQwen2Config, dtype: torch.dtype
    ) -> int:
        shape = skeleton(config.network)
        if dtype is torch.float32:
            return packed_bytes(shape, cpu_weights(directory))
        return tensor_layout(config.network).parameters * dtype.itemsize

    def cache_bytes(self, config: MaskedQwen2Config, tokens: int) -> int:
        network = config.network
        width = network.hidden_size // network.num_attention_heads
        kept = network.num_key_value_heads * width * network.num_hidden_layers
        return int(2 * BYTES * kept * tokens)

    def working_bytes(self, config: MaskedQwen2Config) -> int:
        """Logits of some rows, a full forward pass, and keys for canvases of several lengths.

        A full pass holds a mask of the context against itself.
        """
        network, context = config.network, min(config.context_tokens, 8192)
        logits = 3 * 4 * ROWS_AT_ONCE * network.vocab_size
        widths = 8 * network.hidden_size + 3 * network.intermediate_size
        more = self.cache_bytes(config, LENGTHS_AT_ONCE * 1024)
        return int(logits + BYTES * context * widths + context * context + more)

    def load(
        self,
        directory: Path,
        config: MaskedQwen2Config,
        device: torch.device,
        dtype: torch.dtype,
        cache: CacheSettings,
        report: Callable[[float], None],
        weights: WeightFormat,
        *,
        int8_embedding: bool,
    ) -> Qwen2Denoiser:
        assert not int8_embedding, "the layout names no embedding"
        if weights.groups:
            raise CheckpointError(
                f"{directory} has its weights in {weights.name}, which is read only for "
                "DiffusionGemma; use a checkpoint in bfloat16",
                ReasonCode.UNKNOWN_FORMAT,
            )
        if is_packed_checkpoint(directory):
            model = load_packed(directory, config.network, device, dtype, report)
        else:
            is_cpu = device.type == "cpu"
            products = cpu_weights(directory) if is_cpu else CpuWeights.FLOAT32
            model = load_weights(directory, config.network, device, dtype, report, products)
        return settle(model, config, cache)

    def strategies(
        self,
        config: MaskedQwen2Config,
        settings: EngineSettings,
        denoiser: Denoiser,
        codec: Codec,
    ) -> Family:
        return masked_family(
            settings,
            denoiser,
            codec,
            config.tokens,
            opening=config.opening,
            closing=config.closing,
            conversation=None if config.turns is None else ChatMl(codec, config.turns),
        )


FAMILY: ModelFamily = MaskedQwen2()
