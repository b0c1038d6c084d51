"""Builds a DiffusionGemma whose experts and linears stay in 4 bits, shared by both halves.

The class builds an encoder and a decoder that are meant to share their weights. Here they
share the modules themselves, so that there is only one packed buffer. Norms and routers are not
quantized, and the embedding only where memory is short, to int8.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from transformers import DiffusionGemmaConfig

from dg_lsp.models.family import TensorLayout
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.int8_embedding import Int8Embedding, Int8Output, Int8Rows
from dg_lsp.models.nf4.format import BLOCK, Nf4
from dg_lsp.models.packed_layers import PACKED_EXPERTS, PackedStack, packed_linear
from dg_lsp.models.w4a16.format import Int4

EMBEDDING = "model.decoder.embed_tokens.weight"
"""Own name of the embedding, which is also the output layer."""


def tensor_layout(config: DiffusionGemmaConfig) -> TensorLayout:
    """Which tensors a checkpoint of this shape has."""
    model = skeleton(config)
    ignored = re.compile("|".join(model._keys_to_ignore_on_load_unexpected))
    return TensorLayout(
        shapes=expected_shapes(model),
        own_name=lambda name: own_name(model, name),
        is_ignored=lambda name: ignored.search(name) is not None,
        is_packed=is_packed,
        is_bulk=lambda name: "experts." in name,
        embedding=EMBEDDING,
    )


def skeleton(config: DiffusionGemmaConfig) -> TextDiffusionGemma:
    """The model without any weights in memory."""
    with torch.device("meta"):
        # A copy, because the choice of experts implementation is written into it.
        model: TextDiffusionGemma = TextDiffusionGemma(copy.deepcopy(config)).eval()
    return model


def own_name(model: TextDiffusionGemma, name: str) -> str:
    """The name under which a tensor is kept: the decoder's, if both halves share it."""
    tied: dict[str, str] = model.all_tied_weights_keys
    while name in tied:
        name = tied[name]
    return name


def expected_shapes(model: TextDiffusionGemma) -> dict[str, tuple[int, ...]]:
    """Every tensor that makes up the model, once."""
    return {own_name(model, name): tuple(t.shape) for name, t in model.state_dict().items()}


def is_packed(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is kept in NF4: experts, attention, dense and conditioning products."""
    if shape[-1] % BLOCK:
        return False
    if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
        return True
    inside = (".self_attn.", ".mlp.", ".self_conditioning.")
    return len(shape) == 2 and any(part in name for part in inside)


def assemble(
    model: TextDiffusionGemma,
    weights: Iterable[tuple[str, Tensor | Nf4 | Int4 | Int8Rows]],
    device: torch.device,
    dtype: torch.dtype,
) -> TextDiffusionGemma:
    """Put weights, by `own_name`, into a skeleton, and share them between the halves."""
    for name, weight in weights:
        owner_name, _, attribute = name.rpartition(".")
        owner = model.get_submodule(owner_name)
        if isinstance(weight, Int8Rows):
            embedding = Int8Embedding(weight, owner.scalar_embed_scale)
            model.set_submodule(owner_name, embedding)
            model.lm_head = Int8Output(embedding)
        elif isinstance(weight, Tensor):
            _set_tensor(owner, attribute, weight.to(device, dtype))
        elif attribute == "weight":
            holder_name, _, child = owner_name.rpartition(".")
            setattr(model.get_submodule(holder_name), child, packed_linear(weight, dtype))
        else:
            delattr(owner, attribute)
            setattr(owner, attribute, PackedStack(weight))
    _share(model)
    _fill_buffers(model, device)
    left = [name for name, tensor in _all_tensors(model) if tensor.device.type == "meta"]
    if left:
        raise ValueError(f"tensors without values: {len(left)}, the first is {left[0]}")
    model.set_experts_implementation(PACKED_EXPERTS)
    return model


def _set_tensor(owner: nn.Module, name: str, tensor: Tensor) -> None:
    if name in owner._parameters:
        tensor = nn.Parameter(tensor, requires_grad=False)
        # `_fill_buffers` initializes whole modules; this keeps the class from initializing
        # again.
        tensor._is_hf_initialized = True  # type: ignore[attr-defined]
    setattr(owner, name, tensor)


def _share(model: TextDiffusionGemma) -> None:
    """Let both halves hold the same modules; the output layer is the embedding's parameter."""
    for name in model.all_tied_weights_keys:
        source, attribute = own_name(model, name).rpartition(".")[::2]
        target = name.rpartition(".")[0]
        original = model.get_submodule(source)
        if target == "lm_head":
            if isinstance(original, Int8Embedding):
                continue
            setattr(model.lm_head, attribute, getattr(original, attribute))
        else:
            holder, _, child = target.rpartition(".")
            setattr(model.get_submodule(holder), child, original)


def _fill_buffers(model: TextDiffusionGemma, device: torch.device) -> None:
    """Compute what no checkpoint contains: rotary frequencies and the embedding's scale."""
    for module in model.modules():
        hollow = [n for n, b in module._buffers.items() if b is not None and b.is_meta]
        if not any(name in module._non_persistent_buffers_set for name in hollow):
            continue
        for name in hollow:
            buffer = module._buffers[name]
            assert buffer is not None
            module._buffers[name] = torch.empty_like(buffer, device=device)
        model._init_weights(module)


def _all_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()
