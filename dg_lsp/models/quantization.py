"""A DiffusionGemma whose experts and linears stay in NF4, with one copy for both its halves.

The class builds an encoder and a decoder that are meant to share their weights; here they
share the modules themselves, so that there is one packed buffer and nothing to keep in step.
Embeddings, norms and routers stay as they are. Knows nothing of files.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from transformers import DiffusionGemmaConfig
from transformers.integrations.moe import ExpertsInterface

from dg_lsp.models import kernels
from dg_lsp.models.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.kernels import reference
from dg_lsp.models.nf4 import (
    BLOCK,
    Nf4,
    bitsandbytes,
    from_bitsandbytes,
    has_bitsandbytes,
    to_bitsandbytes,
)

PACKED_EXPERTS = "nf4_grouped"
KERNEL_ACTIVATION = "gelu_pytorch_tanh"
ROWS_OF_BITSANDBYTES = 16
"""Up to so many rows bitsandbytes multiplies without decoding the matrix to memory first, on
every GPU that it has a kernel for; with more rows only on some."""


class PackedStack(nn.Module):
    """The matrices of a layer's experts in NF4, in place of the parameter."""

    packed: Tensor
    absmax: Tensor
    nested_absmax: Tensor
    table: Tensor
    offset: Tensor

    def __init__(self, weight: Nf4) -> None:
        super().__init__()
        self.shape = weight.shape
        names = ("packed", "absmax", "nested_absmax", "table", "offset")
        for name, tensor in zip(names, weight.tensors(), strict=True):
            self.register_buffer(name, tensor)

    @property
    def nf4(self) -> Nf4:
        return Nf4(
            self.packed, self.absmax, self.nested_absmax, self.table, self.offset, self.shape
        )


def packed_experts_forward(
    self: nn.Module, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor
) -> Tensor:
    """The experts interface over two `PackedStack`s.

    Shapes: `hidden_states` (rows, hidden), `top_k_index` and `top_k_weights` (rows, k);
    returns (rows, hidden).
    """
    gate_up: Nf4 = self.gate_up_proj.nf4  # type: ignore[union-attr, assignment]
    down: Nf4 = self.down_proj.nf4  # type: ignore[union-attr, assignment]
    activation = self.config.hidden_activation  # type: ignore[union-attr]
    if kernels.available_on(hidden_states.device) and activation == KERNEL_ACTIVATION:
        from dg_lsp.models.kernels import nf4

        return nf4.grouped_experts(hidden_states, top_k_index, top_k_weights, gate_up, down)
    return reference.grouped_experts(
        hidden_states,
        top_k_index,
        top_k_weights,
        gate_up,
        down,
        self.act_fn,  # type: ignore[arg-type]
    )


ExpertsInterface.register(PACKED_EXPERTS, packed_experts_forward)


class PackedMatrix(PackedStack):
    """A linear over one matrix in NF4, where bitsandbytes is not installed."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        if kernels.available_on(x.device):
            from dg_lsp.models.kernels import nf4

            return nf4.linear(flat, self.nf4).view(*x.shape[:-1], -1)
        return reference.linear(flat, self.nf4).view(*x.shape[:-1], -1)


def packed_linear(weight: Nf4, dtype: torch.dtype) -> nn.Module:
    """bitsandbytes' Linear4bit, with our product where that one would decode to memory."""
    if not has_bitsandbytes():
        return PackedMatrix(weight)
    outputs, inputs = weight.shape
    linear: nn.Module = _linear_class()(
        inputs, outputs, bias=False, quant_type="nf4", device="meta"
    )
    state = to_bitsandbytes(weight, dtype)
    linear.weight = bitsandbytes().nn.Params4bit(
        weight.packed[:, None],
        requires_grad=False,
        quant_state=state,
        quant_type="nf4",
        bnb_quantized=True,
        module=linear,
    )
    linear.quant_state = state
    # It would rewrite the buffer in a layout of its own at the first call, and round scales.
    linear.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
    return linear


@functools.cache
def _linear_class() -> type[nn.Module]:
    """Defined late, as bitsandbytes is only imported where something is packed."""

    class PackedLinear(bitsandbytes().nn.Linear4bit):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            rows = x.numel() // x.shape[-1]
            if rows <= ROWS_OF_BITSANDBYTES or not kernels.available_on(x.device):
                product: Tensor = super().forward(x)
                return product
            from dg_lsp.models.kernels import nf4

            flat = x.reshape(rows, x.shape[-1])
            packed = from_bitsandbytes(self.weight, self.weight.quant_state)
            return nf4.linear(flat, packed).view(*x.shape[:-1], -1)

    return PackedLinear


def skeleton(config: DiffusionGemmaConfig) -> TextDiffusionGemma:
    """The model without any weights in memory."""
    with torch.device("meta"):
        # A configuration of its own: which experts run is written into it.
        model: TextDiffusionGemma = TextDiffusionGemma(copy.deepcopy(config)).eval()
    return model


def own_name(model: TextDiffusionGemma, name: str) -> str:
    """The name under which a tensor is kept: the decoder's, for what both halves share."""
    tied: dict[str, str] = model.all_tied_weights_keys
    while name in tied:
        name = tied[name]
    return name


def expected_shapes(model: TextDiffusionGemma) -> dict[str, tuple[int, ...]]:
    """Every tensor that makes up the model, once."""
    return {own_name(model, name): tuple(t.shape) for name, t in model.state_dict().items()}


def parameters_of(config: DiffusionGemmaConfig) -> int:
    """How many parameters the text model has."""
    shapes = expected_shapes(skeleton(config)).values()
    return sum(torch.Size(shape).numel() for shape in shapes)


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
    weights: Iterable[tuple[str, Tensor | Nf4]],
    device: torch.device,
    dtype: torch.dtype,
) -> TextDiffusionGemma:
    """Put weights into a skeleton, each under its `own_name`, and share them between halves."""
    for name, weight in weights:
        owner_name, _, attribute = name.rpartition(".")
        owner = model.get_submodule(owner_name)
        if isinstance(weight, Tensor):
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
        raise ValueError(f"{len(left)} tensors have no values, the first is {left[0]}")
    model.set_experts_implementation(PACKED_EXPERTS)
    return model


def _set_tensor(owner: nn.Module, name: str, tensor: Tensor) -> None:
    if name in owner._parameters:
        tensor = nn.Parameter(tensor, requires_grad=False)
        # `_fill_buffers` initializes whole modules; this keeps the class from drawing anew.
        tensor._is_hf_initialized = True  # type: ignore[attr-defined]
    setattr(owner, name, tensor)


def _share(model: TextDiffusionGemma) -> None:
    """Let both halves hold the same modules; the output layer is the embedding's parameter."""
    for name in model.all_tied_weights_keys:
        source, attribute = own_name(model, name).rpartition(".")[::2]
        target = name.rpartition(".")[0]
        original = model.get_submodule(source)
        if target == "lm_head":
            setattr(model.lm_head, attribute, getattr(original, attribute))
        else:
            holder, _, child = target.rpartition(".")
            setattr(model.get_submodule(holder), child, original)


def _fill_buffers(model: TextDiffusionGemma, device: torch.device) -> None:
    """Compute what no checkpoint holds: rotary frequencies and the embedding's scale."""
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
