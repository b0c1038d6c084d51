"""What the endpoints answer, apart from jobs, drafts and texts."""

from __future__ import annotations

from dataclasses import dataclass, field

from dg_lsp import __version__
from dg_lsp.reason import ReasonCode


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request was refused or failed."""

    code: ReasonCode
    message: str
    """One line for people."""
    type: str
    """What clients of OpenAI and llama.cpp read."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Every answer to a request that was refused or failed."""

    error: Failure


@dataclass(frozen=True, slots=True)
class Health:
    """Whether jobs can be sent."""

    state: str
    """Of the model: unloaded or ready."""
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class ListedModel:
    """The loaded model."""

    id: str
    object: str = "model"
    owned_by: str = "dg-lsp"


@dataclass(frozen=True, slots=True)
class ModelList:
    """The loaded model, or none."""

    data: tuple[ListedModel, ...]
    object: str = "list"


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How much text the model sees."""

    n_ctx: int
    """In tokens, on both sides of the span."""
    id: int = 0
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Modalities:
    """What the model reads beside text."""

    vision: bool = False
    audio: bool = False


@dataclass(frozen=True, slots=True)
class Props:
    """What llama.cpp's server says of itself, as far as it applies."""

    default_generation_settings: GenerationSettings
    model_path: str
    model_alias: str
    total_slots: int = 1
    chat_template: str = ""
    modalities: Modalities = Modalities()
    build_info: str = f"dg-lsp {__version__}"
    is_sleeping: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One of llama.cpp's slots; there is one, as jobs share what the model has read."""

    n_ctx: int
    is_processing: bool
    id: int = 0
    speculative: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer to a cancellation."""

    cancelled: bool
    """Whether the job was still open."""


@dataclass(frozen=True, slots=True)
class Loading:
    """The answer to a request to load the model."""

    state: str


@dataclass(frozen=True, slots=True)
class Unloaded:
    """The answer to a request to unload the model."""

    unloaded: bool
    """False while jobs are open."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The answer to a request to stop the engine."""

    stopping: bool = True
