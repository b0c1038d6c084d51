"""Names the format of a checkpoint's weights, from its `config.json` and its list of files.

Needs no tensor library, and no weights: `dg-lsp pull` asks before it downloads any. Two formats
are read: 16 bits, which `nf4/` packs, and int4 in compressed-tensors' layout, which `w4a16/`
reads as it is. Any other is named, together with what to pull instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import Reason, ReasonCode

ORIGINAL = "google/diffusiongemma-26B-A4B-it"
READY_MADE = "cyankiwi/diffusiongemma-26B-A4B-it-AWQ-INT4"
"""DiffusionGemma in int4 with groups of 32, and dense products in bfloat16."""
GROUPS = (32, 64, 128)
"""Numbers of neighbouring int4 weights that may share a scale."""
INSTEAD = (
    f"pull {READY_MADE} (int4), {ORIGINAL} (bfloat16, packed on this machine), or another "
    "checkpoint in one of these two formats"
)

METHODS = {
    "modelopt": "NVIDIA ModelOpt",
    "gptq": "GPTQ",
    "awq": "AWQ as AutoAWQ writes it",
    "auto-round": "AutoRound",
    "bitsandbytes": "bitsandbytes",
    "fp8": "FP8",
    "fbgemm_fp8": "FP8",
    "mxfp4": "MXFP4",
    "torchao": "torchao",
    "hqq": "HQQ",
    "quark": "AMD Quark",
}
"""Names of the `quant_method`s that are not read."""
COMPRESSED = {
    "nvfp4-pack-quantized": "NVFP4",
    "mxfp4-pack-quantized": "MXFP4",
    "float-quantized": "FP8",
    "int-quantized": "INT8",
    "naive-quantized": "8 bits",
    "marlin-24": "2:4 sparse int4",
}
"""Names of the `format`s of compressed-tensors that are not read."""
FILES = {".gguf": "GGUF", ".npz": "MLX", ".bin": "PyTorch pickles", ".pth": "PyTorch pickles"}
"""Names of formats by the ending of their files, for a checkpoint without safetensors."""


class FormatError(CheckpointError):
    """A format that is not read; the message says what to pull instead."""

    code = ReasonCode.UNKNOWN_FORMAT

    def __init__(self, message: str, label: str = "unknown") -> None:
        super().__init__(message)
        self.label = label
        """The name of the format."""


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """A format that is read."""

    name: str
    """As `dg-lsp models` shows it."""
    groups: tuple[int, ...] = ()
    """Of int4: how many weights share a scale, the values that occur."""


BFLOAT16 = WeightFormat("bfloat16")


@dataclass(frozen=True, slots=True)
class Published:
    """What a checkpoint takes, before any of its weights are here."""

    format: str
    download_bytes: int
    """Files of the weights."""
    needs_packing: bool
    """If not, it is kept as it is: as large on disk and in memory as its download, less what
    the text model does not use."""
    reason: Reason | None
    """Why it cannot be read."""


def published(files: Mapping[str, int], config: Mapping[str, Any], where: str) -> Published:
    """What a repository or folder holds.

    `files` are the sizes by name, `config` is the content of its `config.json`, empty if there
    is none.
    """
    ending = ".safetensors"
    try:
        if not any(name.endswith(ending) for name in files):
            raise unread_files(files, where)
        found = weight_format(config, where, files)
    except FormatError as error:
        endings = (ending, *FILES)
        size = sum(size for name, size in files.items() if name.endswith(endings))
        return Published(error.label, size, False, error.reason)
    size = sum(size for name, size in files.items() if name.endswith(ending))
    return Published(found.name, size, not found.groups, None)


def weight_format(
    config: Mapping[str, Any], where: str, files: Mapping[str, int] | None = None
) -> WeightFormat:
    """The format that a `config.json` declares; raises `FormatError` if it is not read."""
    declared = config.get("quantization_config") or config.get("compression_config")
    if declared is None and "quantization" in config:
        raise _unread(where, "MLX")
    if declared is None and "hf_quant_config.json" in (files or ()):
        raise _unread(where, METHODS["modelopt"])
    if declared is None:
        return BFLOAT16
    if not isinstance(declared, Mapping):
        raise CheckpointError(
            f"{where}: quantization_config is {declared!r}, not an object; "
            "download the checkpoint again"
        )
    method = declared.get("quant_method", "compressed-tensors")
    if method != "compressed-tensors":
        algorithm = declared.get("quant_algo") or declared.get("bits")
        detail = f" ({algorithm})" if isinstance(algorithm, str) else ""
        raise _unread(where, f"{METHODS.get(str(method), repr(method))}{detail}")
    return WeightFormat("int4", tuple(sorted({*_groups(declared, where)})))


def unread_files(files: Mapping[str, int], where: str) -> FormatError:
    """The refusal of a checkpoint without safetensors."""
    for ending, label in FILES.items():
        if any(name.endswith(ending) for name in files):
            return _unread(where, label)
    return FormatError(f"{where} has no .safetensors files; {INSTEAD}")


def _groups(declared: Mapping[str, Any], where: str) -> Iterator[int]:
    """The group sizes of compressed-tensors' `config_groups`, each of which must be int4."""
    sparsity = declared.get("sparsity_config")
    if isinstance(sparsity, Mapping) and sparsity.get("format", "dense") != "dense":
        raise _unread(where, f"compressed-tensors {sparsity['format']}")
    groups = declared.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise CheckpointError(
            f"{where}: quantization_config has no config_groups; download the checkpoint again"
        )
    for name, group in groups.items():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if not isinstance(weights, Mapping):
            raise CheckpointError(
                f"{where}: config_groups has no weights in {name!r}; "
                "download the checkpoint again"
            )
        layout = group.get("format") or declared.get("format")
        if layout != "pack-quantized":
            label = COMPRESSED.get(str(layout), repr(layout))
            raise _unread(where, f"compressed-tensors {label}")
        fault = _fault(weights, group.get("input_activations"))
        if fault is not None:
            raise _unread(where, f"compressed-tensors {fault}")
        yield int(weights["group_size"])


def _fault(weights: Mapping[str, Any], activations: object) -> str | None:
    """What about packed integers is not read."""
    bits, order = weights.get("num_bits"), weights.get("actorder")
    if weights.get("type", "int") != "int" or bits != 4:
        return f"{weights.get('type', 'int')}{bits}"
    if activations:
        return "int4 with quantized activations"
    if not weights.get("symmetric", True):
        return "int4 with zero points (asymmetric)"
    if weights.get("strategy") != "group":
        return f"int4 with a scale per {weights.get('strategy')}"
    if order in (True, "group", "dynamic"):
        return "int4 in activation order"
    if weights.get("group_size") not in GROUPS:
        return f"int4 in groups of {weights.get('group_size')} (32, 64 or 128 are read)"
    return None


def _unread(where: str, label: str) -> FormatError:
    return FormatError(
        f"{where} holds weights in {label}, which dg-lsp does not read; {INSTEAD}", label
    )
