"""Requests as llama.cpp's server, OpenAI's completions and Mistral's FIM endpoint have them.

Clients send dozens of sampling options that mean nothing to a diffusion model, so unknown
fields are ignored here; the fields that are used are checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from dg_lsp.job import (
    MAX_CANDIDATES,
    MAX_TOKENS,
    InfillJob,
    Limits,
    Name,
    Snippet,
)
from dg_lsp.service.fields import ONE_OR_SEVERAL, Json, SchemaError, decode
from dg_lsp.service.http.finishing import Finishing, job_to_finish

MIN_DEADLINE_S = 0.05
"""Clients send 1 ms to warm a cache; a job needs time for at least one step."""

_DEFAULT = InfillJob("", "")
PREFIX_MARK, SUFFIX_MARK, MIDDLE_MARK = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
"""The infill format of Qwen's models, which Zed uses for its prompts."""


@dataclass(frozen=True, slots=True)
class FormRequest:
    """A request of either API."""

    job: InfillJob
    stops: tuple[str, ...]
    """The text is cut before the first of these."""
    streams: bool
    response_fields: tuple[str, ...] = ()
    """llama.cpp: only these, under their whole path as the name."""
    wants_usage: bool = False
    """OpenAI: a last chunk with the token counts."""
    wants_nothing: bool = False
    """llama.cpp: the client only warms the cache."""
    finishing: Finishing | None = None


@dataclass(frozen=True, slots=True)
class ExtraInput:
    """A part of another file."""

    text: str
    filename: Name = ""


@dataclass(frozen=True, slots=True)
class _Common:
    """Fields of both APIs; `null` means the default everywhere."""

    prompt: str = ""
    stop: Annotated[tuple[str, ...], Limits(most=256), ONE_OR_SEVERAL] = ()
    """The text is cut before the first of these."""
    stream: bool = False
    seed: Annotated[int, Limits(-1, 2**63)] = 0
    """-1 asks others for a random seed; here the same request has the same answer."""
    finish: bool = False
    language: str = ""

    @property
    def finishing(self) -> Finishing | None:
        return Finishing(self.language) if self.finish else None

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple(one for one in self.stop if one)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaRequest(_Common):
    """`POST /infill`, as llama.vim and llama.vscode send it."""

    input_prefix: str
    input_suffix: str
    input_extra: Annotated[tuple[ExtraInput, ...], Limits(most=256)] = ()
    n_predict: Annotated[int, Limits(-(2**31), MAX_TOKENS)] = -1
    """A negative budget means no limit."""
    t_max_predict_ms: Annotated[float, Limits(-math.inf)] = 0.0
    response_fields: Annotated[tuple[Name, ...], Limits(most=256)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest(_Common):
    """`POST /v1/completions`, with a suffix or with both sides marked in the prompt."""

    suffix: str = ""
    n: Annotated[int, Limits(1, MAX_CANDIDATES)] = 1
    max_tokens: Annotated[int, Limits(1, MAX_TOKENS)] = _DEFAULT.max_tokens
    echo: bool = False
    """Only false is understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FimRequest(CompletionRequest):
    """`POST /v1/fim/completions`, as clients of Mistral send it."""

    random_seed: Annotated[int, Limits(-1, 2**63)] = 0
    """Mistral's name for `seed`."""


def read_llama(value: Json) -> FormRequest:
    said = {**value}
    if "n_predict" not in value and "max_tokens" in said:
        said["n_predict"] = said["max_tokens"]
    # An empty table of Lua is an object.
    if said.get("input_extra") == {}:
        del said["input_extra"]
    asked = decode(LlamaRequest, said, strict=False, nulls=True)
    limit_ms = asked.t_max_predict_ms
    job = InfillJob(
        prefix=asked.input_prefix + asked.prompt,
        suffix=asked.input_suffix,
        snippets=tuple(Snippet(one.filename, one.text) for one in asked.input_extra),
        max_tokens=asked.n_predict if asked.n_predict > 0 else _DEFAULT.max_tokens,
        deadline_s=max(limit_ms / 1e3, MIN_DEADLINE_S) if limit_ms > 0 else None,
        seed=_our_seed(asked.seed),
    )
    return FormRequest(
        job_to_finish(job, asked.finishing),
        stops=asked.stops,
        streams=asked.stream,
        response_fields=asked.response_fields,
        wants_nothing=asked.n_predict == 0,
        finishing=asked.finishing,
    )


def read_completion(
    value: Json, kind: type[CompletionRequest] = CompletionRequest
) -> FormRequest:
    """A request of OpenAI's endpoint, or of Mistral's."""
    said = {**value}
    match said.get("prompt"):
        case [str() as prompt]:
            said["prompt"] = prompt
        case list():
            raise SchemaError("prompt must be one text; lists and token ids are not understood")
    asked = decode(kind, said, strict=False, nulls=True)
    seed = asked.random_seed if isinstance(asked, FimRequest) else 0
    # Without these, a client would take the answer for something else than it is.
    if asked.echo:
        raise SchemaError("echo is true; dg-lsp returns only what it writes")
    if said.get("logprobs") not in (None, 0, False):
        raise SchemaError("logprobs are not known of texts that are written all at once")
    prefix, suffix = (asked.prompt, asked.suffix) if asked.suffix else _sides(asked.prompt)
    job = InfillJob(
        prefix=prefix,
        suffix=suffix,
        candidates=asked.n,
        max_tokens=asked.max_tokens,
        seed=_our_seed(seed or asked.seed),
    )
    options = value.get("stream_options")
    return FormRequest(
        job_to_finish(job, asked.finishing),
        stops=asked.stops,
        streams=asked.stream,
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        finishing=asked.finishing,
    )


def _sides(prompt: str) -> tuple[str, str]:
    """The text before and after the mark in a prompt; without a mark, all of it and nothing."""
    inner = prompt.removeprefix(PREFIX_MARK).removesuffix(MIDDLE_MARK)
    before, mark, after = inner.partition(SUFFIX_MARK)
    if not mark or len(prompt) != len(PREFIX_MARK) + len(inner) + len(MIDDLE_MARK):
        return prompt, ""
    return before, after


def _our_seed(seed: int) -> int:
    return max(0, seed) & 0xFFFF_FFFF
