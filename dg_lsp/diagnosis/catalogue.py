"""The catalogue: models that can be downloaded, the most capable first.

The published figures are their sources' own; none was measured with dg-lsp. Names of
repositories, sizes of downloads and licences are those that public sources give; where nothing
is known, "read from its card" stands for the licence. The other sizes follow from the shapes
and from the plan of the memory, and a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTEXT_TOKENS = 2048
"""The context that `Form.memory_bytes` has room for."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a model is kept and run on one kind of machine."""

    kept_bytes: int
    disk_bytes: int
    """Needed meanwhile: where it is packed, for the packed model and two shards."""
    memory_bytes: int
    """Memory of the GPU, or of the machine if it runs on a CPU or on a Mac's GPU."""
    is_packed: bool
    """Whether `dg-lsp pull` packs it to 4 bits."""


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
    short_name: str
    """What `dg-lsp pull` also takes."""
    gpu: Form
    """On an NVIDIA GPU."""
    plain: Form | None = None
    """In 16 bits, on a Mac's GPU or, if it is small, on a CPU; `None` if it needs kernels."""
    published: tuple[str, ...] = ()
    """Figures published elsewhere, each with its source."""

    @property
    def title(self) -> str:
        return self.about.partition(":")[0]


def _seven_billion(
    name: str,
    repository: str,
    about: str,
    licence: str,
    short_name: str,
    *,
    more_memory_bytes: int = 0,
    published: tuple[str, ...] = (),
) -> Available:
    """A model in the shape of Qwen2.5-7B, with the working memory of DreamOn and more."""
    download_bytes = 15_235_000_000
    return Available(
        name=name,
        repository=repository,
        about=about,
        parameters=7_615_616_512,
        licence=licence,
        licence_url=f"https://huggingface.co/{repository}",
        download_bytes=download_bytes,
        short_name=short_name,
        gpu=Form(5_600_000_000, 16_000_000_000, 8_000_000_000 + more_memory_bytes, True),
        plain=Form(download_bytes, 15_300_000_000, 16_500_000_000 + more_memory_bytes, False),
        published=published,
    )


AVAILABLE = (
    Available(
        name="diffusiongemma-26b-a4b-it-awq-int4",
        repository="cyankiwi/diffusiongemma-26B-A4B-it-AWQ-INT4",
        about="DiffusionGemma 26B in int4: needs no packing, but a larger GPU",
        parameters=25_250_986_812,
        licence="read from its card",
        licence_url="https://huggingface.co/cyankiwi/diffusiongemma-26B-A4B-it-AWQ-INT4",
        download_bytes=17_200_000_000,
        short_name="diffusiongemma-int4",
        gpu=Form(17_200_000_000, 18_000_000_000, 20_000_000_000, False),
    ),
    Available(
        name="diffusiongemma-26b-a4b-it",
        repository="google/diffusiongemma-26B-A4B-it",
        about="DiffusionGemma 26B: many languages, follows instructions",
        parameters=25_250_986_812,
        licence="apache-2.0",
        licence_url="https://huggingface.co/google/diffusiongemma-26B-A4B-it",
        download_bytes=52_000_000_000,
        short_name="diffusiongemma",
        gpu=Form(15_000_000_000, 25_000_000_000, 18_000_000_000, True),
    ),
    _seven_billion(
        name="dreamon-v0-7b",
        repository="Dream-org/DreamOn-v0-7B",
        about="DreamOn 7B: infills spans of unknown length",
        licence="apache-2.0",
        short_name="dreamon",
        published=("HumanEval-Infilling single-line: 90.8 (arXiv 2602.01326)",),
    ),
    _seven_billion(
        name="dream-coder-v0-base-7b",
        repository="Dream-org/Dream-Coder-v0-Base-7B",
        about="Dream-Coder 7B: infills code",
        licence="apache-2.0",
        short_name="dream-coder",
        more_memory_bytes=1_000_000_000,
        published=(
            "HumanEval-Infilling, fixed length: 55.3 (README of Open-dLLM; variant not named)",
        ),
    ),
    _seven_billion(
        name="dream-coder-v0-instruct-7b",
        repository="Dream-org/Dream-Coder-v0-Instruct-7B",
        about="Dream-Coder 7B Instruct: trained to chat",
        licence="apache-2.0",
        short_name="dream-coder-instruct",
        more_memory_bytes=1_000_000_000,
    ),
    _seven_billion(
        name="diffucoder-7b-base",
        repository="apple/DiffuCoder-7B-Base",
        about="DiffuCoder 7B: infills code; restricted licence",
        licence="apple-amlr",
        short_name="diffucoder",
        more_memory_bytes=1_000_000_000,
        published=(
            "HumanEval-Infilling, fixed length: 54.8 (README of Open-dLLM; variant not named)",
        ),
    ),
    Available(
        name="open-dcoder-0.5b",
        repository="fredzzp/open-dcoder-0.5B",
        about="Open-dCoder 0.5B: small enough for a CPU",
        parameters=494_032_768,
        licence="read from its card",
        licence_url="https://huggingface.co/fredzzp/open-dcoder-0.5B",
        download_bytes=988_100_000,
        short_name="open-dcoder",
        gpu=Form(460_000_000, 1_500_000_000, 2_300_000_000, True),
        plain=Form(988_100_000, 1_000_000_000, 2_700_000_000, False),
        published=(
            "HumanEval-Infilling, fixed length: 32.5; length given: 77.4 (README of Open-dLLM)",
        ),
    ),
)


def repository_of(name: str) -> str:
    """The repository that a short name stands for; anything else is a repository itself."""
    found = (model.repository for model in AVAILABLE if name.lower() == model.short_name)
    return next(found, name)
