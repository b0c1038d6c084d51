"""Puts the tensors of a checkpoint, packed or not, into transformers' own Qwen2 class."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from dg_lsp.models.checkpoint import CheckpointError, list_shards, one_line
from dg_lsp.models.cpu_linear import CpuWeights, fastest_exact, pack_linears, packed
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.nf4.format import BLOCK, Nf4
from dg_lsp.models.nf4.packed import read_packed
from dg_lsp.models.packed_layers import packed_linear

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
ATTENTION = "sdpa"
HALVES = ("BF16", "F16")


def tensor_layout(config: Qwen2Config) -> TensorLayout:
    """Which tensors a checkpoint of this shape has."""
    is_tied = bool(config.tie_word_embeddings)

    def own_name(name: str) -> str:
        return EMBEDDING if is_tied and name == HEAD else name

    shapes = {own_name(n): tuple(t.shape) for n, t in skeleton(config).state_dict().items()}
    return TensorLayout(
        shapes=shapes,
        own_name=own_name,
        # Older exports list the rotary frequencies, which follow from the configuration.
        is_ignored=lambda name: name.endswith("rotary_emb.inv_freq"),
        is_packed=is_packed,
        is_bulk=is_packed_name,
    )


def is_packed_name(name: str) -> bool:
    return name.endswith(".weight") and (".self_attn." in name or ".mlp." in name)


def is_packed(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is kept in NF4: the products of attention and of the dense layers."""
    return is_packed_name(name) and len(shape) == 2 and shape[1] % BLOCK == 0


def skeleton(config: Qwen2Config) -> Qwen2ForCausalLM:
    """The model without any weights in memory."""
    own = copy.deepcopy(config)
    own._attn_implementation = ATTENTION
    with torch.device("meta"):
        model: Qwen2ForCausalLM = Qwen2ForCausalLM(own).eval()
    return model


def load_weights(
    directory: Path,
    config: Qwen2Config,
    device: torch.device,
    dtype: torch.dtype,
    report: Callable[[float], None] = lambda share: None,
    products: CpuWeights = CpuWeights.FLOAT32,
) -> Qwen2ForCausalLM:
    """The model of a checkpoint that is not packed; raises `CheckpointError`.

    `products` says how a CPU keeps the weights of its products.
    """
    tensors = _read(directory, tensor_layout(config), device, dtype, report)
    return assemble(skeleton(config), tensors, device, dtype, products)


def cpu_weights(directory: Path) -> CpuWeights:
    """How a CPU keeps the weights of a checkpoint's products: as exactly as they are stored."""
    return fastest_exact() if is_stored_in_16_bits(directory) else CpuWeights.FLOAT32


def is_stored_in_16_bits(directory: Path) -> bool:
    """Whether no tensor of a checkpoint that is not packed has more bits."""
    for path in list_shards(directory):
        with safe_open(path, framework="pt") as file:
            if any(file.get_slice(name).get_dtype() not in HALVES for name in file.keys()):  # noqa: SIM118
                return False
    return True


def load_packed(
    directory: Path,
    config: Qwen2Config,
    device: torch.device,
    dtype: torch.dtype,
    report: Callable[[float], None] = lambda share: None,
) -> Qwen2ForCausalLM:
    """The model of a packed checkpoint; `dtype` is for weights that are not packed."""
    tensors = read_packed(directory, tensor_layout(config), device, report)
    return assemble(skeleton(config), tensors.items(), device, dtype)


def assemble(
    model: Qwen2ForCausalLM,
    weights: Iterable[tuple[str, Tensor | Nf4]],
    device: torch.device,
    dtype: torch.dtype,
    products: CpuWeights = CpuWeights.FLOAT32,
) -> Qwen2ForCausalLM:
    """Put weights, by their own names, into a skeleton.

    Products are packed as soon as their weights are there, so that no more than one of them is
    in memory twice.
    """
    for name, weight in weights:
        owner_name, _, attribute = name.rpartition(".")
        owner = model.get_submodule(owner_name)
        if isinstance(weight, Tensor):
            value = nn.Parameter(weight.to(device, dtype), requires_grad=False)
            setattr(owner, attribute, value)
            if products is CpuWeights.FLOAT32 or type(owner) is not nn.Linear:
                continue
            if any(parameter.is_meta for parameter in owner.parameters()):
                continue
            replacement: nn.Module = packed(owner, products)
        else:
            replacement = packed_linear(weight, dtype)
            if owner.bias is not None:
                replacement = Biased(replacement, owner.bias)
        holder_name, _, child = owner_name.rpartition(".")
        setattr(model.get_submodule(holder_name), child, replacement)
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    pack_linears(model, products)
    rotary = model.model.rotary_emb
    with torch.device("cpu"):
        model.model.rotary_emb = type(rotary)(model.config).to(device)
    return model


class Biased(nn.Module):
    """A linear in 4 bits and the bias of the layer that it replaces."""

    def __init__(self, linear: nn.Module, bias: Tensor) -> None:
        super().__init__()
        self.linear = linear
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x) + self.bias
        return y


def _read(
    directory: Path,
    layout: TensorLayout,
    device: torch.device,
    dtype: torch.dtype,
    report: Callable[[float], None],
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the layout, once; raises `CheckpointError` for those that are wrong."""
    missing = dict(layout.shapes)
    shards = list_shards(directory)
    total = layout.parameters
    done = 0
    for path in shards:
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                names = list(file.keys())
                for stored in names:
                    name = layout.own_name(stored)
                    if layout.is_ignored(stored) or (
                        name in layout.shapes and name not in missing
                    ):
                        continue
                    shape = tuple(file.get_slice(stored).get_shape())
                    expected = missing.pop(name, None)
                    if shape != expected:
                        raise _incomplete(directory, stored, expected, shape)
                    done += torch.Size(shape).numel()
                    yield name, file.get_tensor(stored).to(dtype)
                    report(done / total)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} could not be read: {one_line(error)}") from error
    if missing:
        raise CheckpointError(
            f"{directory} lacks {len(missing)} tensors, such as {next(iter(missing))}; "
            "it is not a complete Qwen2 checkpoint"
        )


def _incomplete(
    directory: Path, name: str, expected: tuple[int, ...] | None, found: tuple[int, ...]
) -> CheckpointError:
    what = (
        f"a tensor {name} that Qwen2 does not have"
        if expected is None
        else f"{name} in the shape {found} instead of {expected}"
    )
    return CheckpointError(f"{directory} has {what}; it is not a complete Qwen2 checkpoint")
