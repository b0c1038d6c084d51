"""How each kind of server is asked for an infill, and how its answer is read."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dg_lsp.job import InfillJob
from dg_lsp.service.backend.prompt import chat_prompt, span_of, stops_at
from dg_lsp.service.fields import Json


class Kind(enum.Enum):
    """Kinds of servers; the values are written before the scheme of an address."""

    VLLM = "vllm"
    """`vllm serve` with DiffusionGemma: a prompt in words, because nothing can be pinned."""
    OPENAI = "openai"
    """Any server with `/v1/completions` and a `suffix`."""
    LLAMA = "llama"
    """llama.cpp's `/infill`."""
    OLLAMA = "ollama"
    MISTRAL = "mistral"
    MERCURY = "mercury"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer."""

    choice: int = 0
    text: str = ""
    is_cut_short: bool = False
    """Whether the text ended because it was long enough, and not because it was complete."""
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """The dialect of one kind."""

    path: str
    write: Callable[[InfillJob, str], Json]
    """The request for a job and a model."""
    read: Callable[[Mapping[str, Any]], list[Piece]]
    """The pieces in one object of the answer."""
    models_path: str = "/v1/models"
    finish: Callable[[str, str], str] = lambda text, suffix: text
    """The span in a text, given the suffix."""
    many: bool = False
    """Whether it writes several alternatives at once."""
    follows_instructions: bool = False


def split_kind(address: str) -> tuple[Kind | None, str]:
    """`vllm+https://host` as its kind and the rest; without a kind, it is a dg-lsp engine."""
    kind, plus, rest = address.partition("+")
    if plus and urlsplit(rest).scheme in ("http", "https"):
        try:
            return Kind(kind), rest
        except ValueError:
            pass
    return None, address


def _vllm(job: InfillJob, model: str) -> Json:
    return {
        "model": model,
        "prompt": chat_prompt(job),
        "max_tokens": job.max_tokens,
        "n": job.candidates,
        "seed": job.seed,
        "stop": stops_at(job),
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _openai(job: InfillJob, model: str) -> Json:
    return {
        "model": model,
        "prompt": job.prefix,
        "suffix": job.suffix,
        "max_tokens": job.max_tokens,
        "n": job.candidates,
        "seed": job.seed,
        "temperature": 0 if job.candidates == 1 else 0.7,
        "stream": True,
    }


def _fim(job: InfillJob, model: str) -> Json:
    return {
        "model": model,
        "prompt": job.prefix,
        "suffix": job.suffix,
        "max_tokens": job.max_tokens,
        "temperature": 0,
        "stream": True,
    }


def _llama(job: InfillJob, model: str) -> Json:
    extra = [{"filename": one.path, "text": one.text} for one in job.snippets]
    limit = {} if job.deadline_s is None else {"t_max_predict_ms": round(1e3 * job.deadline_s)}
    return {
        "input_prefix": job.prefix,
        "input_suffix": job.suffix,
        "input_extra": extra,
        "prompt": "",
        "n_predict": job.max_tokens,
        "seed": job.seed,
        "temperature": 0,
        "cache_prompt": True,
        "stream": True,
        **limit,
    }


def _ollama(job: InfillJob, model: str) -> Json:
    options = {"num_predict": job.max_tokens, "seed": job.seed, "temperature": 0}
    return {
        "model": model,
        "prompt": job.prefix,
        "suffix": job.suffix,
        "stream": True,
        "options": options,
    }


def _read_choices(chunk: Mapping[str, Any]) -> list[Piece]:
    tokens = int((chunk.get("usage") or {}).get("prompt_tokens") or 0)
    pieces = [Piece(prompt_tokens=tokens)] if tokens else []
    for choice in chunk.get("choices") or ():
        said = choice.get("delta") or choice.get("message") or {}
        text = choice.get("text") or said.get("content") or ""
        is_cut = choice.get("finish_reason") == "length"
        pieces.append(Piece(int(choice.get("index") or 0), str(text), is_cut))
    return pieces


def _read_llama(chunk: Mapping[str, Any]) -> list[Piece]:
    is_cut = chunk.get("stop_type") == "limit"
    tokens = int(chunk.get("tokens_evaluated") or 0)
    return [Piece(0, str(chunk.get("content") or ""), is_cut, tokens)]


def _read_ollama(chunk: Mapping[str, Any]) -> list[Piece]:
    is_cut = chunk.get("done_reason") == "length"
    tokens = int(chunk.get("prompt_eval_count") or 0)
    return [Piece(0, str(chunk.get("response") or ""), is_cut, tokens)]


FORMS = {
    Kind.VLLM: Form(
        "/v1/completions",
        _vllm,
        _read_choices,
        finish=span_of,
        many=True,
        follows_instructions=True,
    ),
    Kind.OPENAI: Form("/v1/completions", _openai, _read_choices, many=True),
    Kind.LLAMA: Form("/infill", _llama, _read_llama),
    Kind.OLLAMA: Form("/api/generate", _ollama, _read_ollama, models_path="/api/tags"),
    Kind.MISTRAL: Form("/v1/fim/completions", _fim, _read_choices),
    Kind.MERCURY: Form("/v1/fim/completions", _fim, _read_choices),
}
