"""DiffusionGemma's entry for `registry.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import DiffusionGemmaConfig

from dg_lsp.config import CacheSettings, EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import CausalDenoiser
from dg_lsp.engine.family import Family
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.models.family import Dimensions, Instructions, ModelFamily, TensorLayout
from dg_lsp.models.formats import WeightFormat
from dg_lsp.models.gemma import footprint
from dg_lsp.models.gemma.config import read_config
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.ladder import settle
from dg_lsp.models.gemma.quantization import tensor_layout
from dg_lsp.models.gemma.weights import load_int4, load_packed, load_weights
from dg_lsp.models.nf4.manifest import is_packed_checkpoint
from dg_lsp.models.tokenizer import FileCodec, read_codec


class DiffusionGemma:
    """Implements `models.family.ModelFamily`."""

    name = "DiffusionGemma"
    is_plain = False

    def parse_config(self, directory: Path) -> DiffusionGemmaConfig:
        return read_config(directory)

    def instructions(self, config: DiffusionGemmaConfig) -> Instructions:
        return Instructions(is_tuned=True)

    def dimensions(self, config: DiffusionGemmaConfig) -> Dimensions:
        text = config.text_config
        return Dimensions(
            text.vocab_size,
            config.canvas_length,
            text.max_position_embeddings,
            text.num_hidden_layers,
        )

    def read_codec(self, directory: Path, config: DiffusionGemmaConfig) -> FileCodec:
        return read_codec(directory, config.text_config.vocab_size)

    def tensors(self, config: DiffusionGemmaConfig) -> TensorLayout:
        return tensor_layout(config)

    def weight_bytes(
        self, directory: Path, config: DiffusionGemmaConfig, dtype: torch.dtype
    ) -> int:
        return tensor_layout(config).parameters * dtype.itemsize

    def cache_bytes(self, config: DiffusionGemmaConfig, tokens: int) -> int:
        return footprint.cache_bytes(config, tokens)

    def working_bytes(self, config: DiffusionGemmaConfig) -> int:
        return footprint.working_bytes(config)

    def load(
        self,
        directory: Path,
        config: DiffusionGemmaConfig,
        device: torch.device,
        dtype: torch.dtype,
        cache: CacheSettings,
        report: Callable[[float], None],
        weights: WeightFormat,
        *,
        int8_embedding: bool,
    ) -> GemmaDenoiser:
        if weights.groups:
            model = load_int4(
                directory, config, weights.groups, device, dtype, report, int8_embedding
            )
        elif is_packed_checkpoint(directory):
            model = load_packed(directory, config, device, dtype, report, int8_embedding)
        else:
            model = load_weights(directory, config, device, dtype, report)
        return settle(model, cache)

    def strategies(
        self,
        config: DiffusionGemmaConfig,
        settings: EngineSettings,
        denoiser: CausalDenoiser,
        codec: Codec,
    ) -> Family:
        return gemma_family(settings, denoiser, codec)


FAMILY: ModelFamily = DiffusionGemma()
