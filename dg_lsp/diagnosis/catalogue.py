"""The catalogue: models that can be downloaded, the most capable first.

The published figures are their sources' own; none was measured with dg-lsp. The sizes of the
Qwen2 models are computed from the shapes of Qwen2.5, which they are trained from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Available:
    """A model that can be downloaded."""

    name: str
    """Its name after installation."""
    repository: str
    about: str
    parameters: int
    licence: str
    licence_url: str
    download_bytes: int
    kept_bytes: int
    """Size in 4 bits."""
    disk_bytes: int
    """Disk space needed meanwhile; where it is packed, for the packed model and two shards."""
    vram_bytes: int
    is_packed: bool
    """Whether `dg-lsp pull` packs it to 4 bits."""
    short_name: str
    """What `dg-lsp pull` also takes."""
    published: tuple[str, ...] = ()
    """Figures published elsewhere, each with its source."""


def _seven_billion(
    name: str,
    repository: str,
    about: str,
    licence: str,
    vram_bytes: int,
    short_name: str,
    published: tuple[str, ...] = (),
) -> Available:
    """A model in the shape of Qwen2.5-7B."""
    return Available(
        name=name,
        repository=repository,
        about=about,
        parameters=7_615_616_512,
        licence=licence,
        licence_url=f"https://huggingface.co/{repository}",
        download_bytes=15_231_300_000,
        kept_bytes=5_550_000_000,
        disk_bytes=16_000_000_000,
        vram_bytes=vram_bytes,
        is_packed=True,
        short_name=short_name,
        published=published,
    )


AVAILABLE = (
    Available(
        name="diffusiongemma-26b-a4b-it-awq-int4",
        repository="cyankiwi/diffusiongemma-26B-A4B-it-AWQ-INT4",
        about="DiffusionGemma 26B in int4: needs no packing, but a larger GPU",
        parameters=26_000_000_000,
        licence="shown and asked for before the download",
        licence_url="https://huggingface.co/cyankiwi/diffusiongemma-26B-A4B-it-AWQ-INT4",
        download_bytes=17_000_000_000,
        kept_bytes=17_000_000_000,
        disk_bytes=18_000_000_000,
        vram_bytes=20_000_000_000,
        is_packed=False,
        short_name="diffusiongemma-int4",
    ),
    Available(
        name="diffusiongemma-26b-a4b-it",
        repository="google/diffusiongemma-26B-A4B-it",
        about="DiffusionGemma 26B: many languages, follows instructions",
        parameters=26_000_000_000,
        licence="Google's terms; shown and asked for before the download",
        licence_url="https://huggingface.co/google/diffusiongemma-26B-A4B-it",
        download_bytes=52_000_000_000,
        kept_bytes=15_000_000_000,
        disk_bytes=25_000_000_000,
        vram_bytes=18_000_000_000,
        is_packed=True,
        short_name="diffusiongemma",
    ),
    _seven_billion(
        name="dreamon-v0-7b",
        repository="Dream-org/DreamOn-v0-7B",
        about="DreamOn 7B: infills spans of unknown length",
        licence="apache-2.0",
        vram_bytes=8_000_000_000,
        short_name="dreamon",
        published=("HumanEval-Infilling single-line: 90.8 (arXiv 2602.01326)",),
    ),
    _seven_billion(
        name="dream-coder-v0-base-7b",
        repository="Dream-org/Dream-Coder-v0-Base-7B",
        about="Dream-Coder 7B: infills code",
        licence="apache-2.0",
        vram_bytes=9_000_000_000,
        short_name="dream-coder",
        published=(
            "HumanEval-Infilling, fixed length: 55.3 (README of Open-dLLM; variant not named)",
        ),
    ),
    _seven_billion(
        name="dream-coder-v0-instruct-7b",
        repository="Dream-org/Dream-Coder-v0-Instruct-7B",
        about="Dream-Coder 7B Instruct: trained to chat",
        licence="apache-2.0",
        vram_bytes=9_000_000_000,
        short_name="dream-coder-instruct",
    ),
    _seven_billion(
        name="diffucoder-7b-base",
        repository="apple/DiffuCoder-7B-Base",
        about="DiffuCoder 7B: infills code; restricted licence",
        licence="apple-amlr: shown and asked for before the download",
        vram_bytes=9_000_000_000,
        short_name="diffucoder",
        published=(
            "HumanEval-Infilling, fixed length: 54.8 (README of Open-dLLM; variant not named)",
        ),
    ),
    Available(
        name="open-dcoder-0.5b",
        repository="fredzzp/open-dcoder-0.5B",
        about="Open-dCoder 0.5B: small enough for a CPU",
        parameters=494_032_768,
        licence="read from its card and asked for before the download",
        licence_url="https://huggingface.co/fredzzp/open-dcoder-0.5B",
        download_bytes=988_100_000,
        kept_bytes=460_000_000,
        disk_bytes=1_500_000_000,
        vram_bytes=3_000_000_000,
        is_packed=True,
        short_name="open-dcoder",
        published=(
            "HumanEval-Infilling, fixed length: 32.5; length given: 77.4 (README of Open-dLLM)",
        ),
    ),
)


def repository_of(name: str) -> str:
    """The repository that a short name stands for; anything else is a repository itself."""
    found = (model.repository for model in AVAILABLE if name.lower() == model.short_name)
    return next(found, name)
