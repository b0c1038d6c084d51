"""Requests and answers compatible with llama.cpp's server and OpenAI's completions.

Clients send dozens of sampling options that mean nothing to a diffusion model, so unknown
fields
are ignored here; the fields that are used are checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from dg_lsp.job import (
    MAX_CANDIDATES,
    MAX_TOKENS,
    Infill,
    InfillJob,
    JobResult,
    JobState,
    Limits,
    Name,
    Snippet,
)
from dg_lsp.reason import Reason, ReasonCode, reason_json
from dg_lsp.service.fields import Json, SchemaError, decode
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
class TokenCounts:
    """What an answer took."""

    prompt: int = 0
    cached: int = 0
    """Of the prompt, those that had been read before."""
    texts: tuple[int, ...] = ()
    """Of each suggested text."""

    def is_at_limit(self, place: int, most: int) -> bool:
        """Whether a text takes all tokens that were asked for, so that it may be cut off."""
        return place < len(self.texts) and self.texts[place] >= most


@dataclass(frozen=True, slots=True)
class _Extra:
    text: str
    filename: Name = ""


@dataclass(frozen=True, slots=True)
class _Common:
    """Fields of both APIs; `null` means the default everywhere."""

    prompt: str = ""
    stop: Annotated[tuple[str, ...], Limits(most=256)] = ()
    stream: bool = False
    seed: Annotated[int, Limits(-1, 2**63)] = 0
    """-1 asks others for a random seed; here the same request has the same answer."""
    finish: bool = False
    language: str = ""

    @property
    def our_seed(self) -> int:
        return max(0, self.seed) & 0xFFFF_FFFF

    @property
    def finishing(self) -> Finishing | None:
        return Finishing(self.language) if self.finish else None

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple(one for one in self.stop if one)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Llama(_Common):
    input_prefix: str
    input_suffix: str
    input_extra: Annotated[tuple[_Extra, ...], Limits(most=256)] = ()
    n_predict: Annotated[int, Limits(-(2**31), MAX_TOKENS)] = -1
    """A negative budget means no limit."""
    t_max_predict_ms: Annotated[float, Limits(-math.inf)] = 0.0
    response_fields: Annotated[tuple[Name, ...], Limits(most=256)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenAi(_Common):
    suffix: str = ""
    n: Annotated[int, Limits(1, MAX_CANDIDATES)] = 1
    max_tokens: Annotated[int, Limits(1, MAX_TOKENS)] = _DEFAULT.max_tokens
    echo: bool = False


def read_llama(value: Json) -> FormRequest:
    """`POST /infill` as llama.vim and llama.vscode send it."""
    said = _said(value)
    if "n_predict" not in value and "max_tokens" in said:
        said["n_predict"] = said["max_tokens"]
    asked = decode(_Llama, said, strict=False)
    limit_ms = asked.t_max_predict_ms
    job = InfillJob(
        prefix=asked.input_prefix + asked.prompt,
        suffix=asked.input_suffix,
        snippets=tuple(Snippet(one.filename, one.text) for one in asked.input_extra),
        max_tokens=asked.n_predict if asked.n_predict > 0 else _DEFAULT.max_tokens,
        deadline_s=max(limit_ms / 1e3, MIN_DEADLINE_S) if limit_ms > 0 else None,
        seed=asked.our_seed,
    )
    return FormRequest(
        job_to_finish(job, asked.finishing),
        stops=asked.stops,
        streams=asked.stream,
        response_fields=asked.response_fields,
        wants_nothing=asked.n_predict == 0,
        finishing=asked.finishing,
    )


def write_llama(
    request: FormRequest, infill: Infill, tokens: TokenCounts, *, is_last_chunk: bool
) -> Json:
    """The answer; `tokens` are those of the prompt and of the text."""
    text, stop = cut_at(infill.candidates[0].text if infill.candidates else "", request.stops)
    is_at_limit = tokens.is_at_limit(0, request.job.max_tokens)
    times = infill.timings_ms
    prompt_ms = times.get("prompt", 0.0) + times.get("encode", 0.0)
    predicted_ms = times.get("denoise", 0.0) + times.get("rank", 0.0)
    answer: Json = {
        "index": 0,
        "content": "" if is_last_chunk else text,
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": infill.model,
        "tokens_predicted": sum(tokens.texts),
        "tokens_evaluated": tokens.prompt,
        "generation_settings": {},
        "prompt": "",
        "has_new_line": "\n" in text,
        "truncated": False,
        "stop_type": "word" if stop else "limit" if is_at_limit else "eos",
        "stopping_word": stop,
        "tokens_cached": tokens.cached,
        "timings": {
            "cache_n": tokens.cached,
            **_rates("prompt", tokens.prompt - tokens.cached, prompt_ms),
            **_rates("predicted", sum(tokens.texts), predicted_ms),
        },
    }
    if not request.response_fields:
        return answer
    chosen: Json = {}
    for path in request.response_fields:
        found: Any = answer
        for key in path.split("/"):
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            chosen[path] = found
    return chosen


def write_llama_chunk(text: str) -> Json:
    """A part of a streamed answer."""
    return {"index": 0, "content": text, "tokens": [], "stop": False}


def read_openai(value: Json) -> FormRequest:
    """`POST /v1/completions` with a `suffix`, or with both sides marked in the prompt."""
    said = _said(value)
    match said.get("prompt"):
        case [str() as prompt]:
            said["prompt"] = prompt
        case list():
            raise SchemaError("prompt must be one text; lists and token ids are not understood")
    asked = decode(_OpenAi, said, strict=False)
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
        seed=asked.our_seed,
    )
    options = value.get("stream_options")
    return FormRequest(
        job_to_finish(job, asked.finishing),
        stops=asked.stops,
        streams=asked.stream,
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        finishing=asked.finishing,
    )


def write_openai(
    request: FormRequest, infill: Infill, tokens: TokenCounts, name: str, created_s: int
) -> Json:
    """The whole answer; if there is no suggestion, it contains one empty text."""
    return {
        **_openai_head(infill, name, created_s),
        "choices": [
            _choice(place, cut_at(text, request.stops)[0], _end(request, text, place, tokens))
            for place, text in enumerate(suggested_texts(infill))
        ],
        "usage": _usage(tokens),
    }


def write_openai_chunks(
    request: FormRequest, infill: Infill, tokens: TokenCounts, name: str, created_s: int
) -> list[Json]:
    """The same in chunks: each text, each end, and the token counts if requested."""
    head = _openai_head(infill, name, created_s)
    chunks = []
    for place, text in enumerate(suggested_texts(infill)):
        chunks.append(_choice(place, cut_at(text, request.stops)[0], None))
        chunks.append(_choice(place, "", _end(request, text, place, tokens)))
    answers = [{**head, "choices": [chunk]} for chunk in chunks]
    if request.wants_usage:
        answers.append({**head, "choices": [], "usage": _usage(tokens)})
    return answers


def error_body(status: int, reason: Reason) -> Json:
    """One line and a code; `type` is what clients of OpenAI and llama.cpp read as well."""
    kinds = {401: "authentication_error", 503: "unavailable_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    told = Reason(reason.code, " ".join(reason.message.split()))
    return {"error": {**reason_json(told), "type": kind}}


def suggested_texts(infill: Infill) -> list[str]:
    """The suggested texts, at least one."""
    return [one.text for one in infill.candidates] or [""]


def failure(result: JobResult) -> Reason | None:
    """The reason of a failed job; a cancelled job is just empty."""
    reason = result.infill.reason or Reason(ReasonCode.JOB_FAILED, "the job failed")
    return reason if result.state is JobState.FAILED else None


def cut_at(text: str, stops: Sequence[str]) -> tuple[str, str]:
    """The text before the first stop, and that stop."""
    places = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not places:
        return text, ""
    at, stop = min(places)
    return text[:at], stop


def _sides(prompt: str) -> tuple[str, str]:
    """The text before and after the mark in a prompt; without a mark, all of it and nothing."""
    inner = prompt.removeprefix(PREFIX_MARK).removesuffix(MIDDLE_MARK)
    before, mark, after = inner.partition(SUFFIX_MARK)
    if not mark or len(prompt) != len(PREFIX_MARK) + len(inner) + len(MIDDLE_MARK):
        return prompt, ""
    return before, after


def _choice(place: int, text: str, end: str | None) -> Json:
    return {"text": text, "index": place, "logprobs": None, "finish_reason": end}


def _openai_head(infill: Infill, name: str, created_s: int) -> Json:
    model = infill.model or "dg-lsp"
    return {"id": name, "object": "text_completion", "created": created_s, "model": model}


def _end(request: FormRequest, text: str, place: int, tokens: TokenCounts) -> str:
    """Why a text ends: at a stop or by itself, or because no more was asked for."""
    is_cut = bool(cut_at(text, request.stops)[1])
    at_limit = tokens.is_at_limit(place, request.job.max_tokens)
    return "length" if at_limit and not is_cut else "stop"


def _usage(tokens: TokenCounts) -> Json:
    written = sum(tokens.texts)
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": written,
        "total_tokens": tokens.prompt + written,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
    }


def _rates(what: str, count: int, took_ms: float) -> Json:
    return {
        f"{what}_n": count,
        f"{what}_ms": round(took_ms, 3),
        f"{what}_per_token_ms": round(took_ms / count, 3) if count else 0.0,
        f"{what}_per_second": round(count / took_ms * 1e3, 3) if took_ms > 0 else 0.0,
    }


def _said(value: Json) -> Json:
    """What a request says, in one of the ways in which clients say it."""
    said = {name: item for name, item in value.items() if item is not None}
    if isinstance(said.get("stop"), str):
        said["stop"] = [said["stop"]]
    # An empty table of Lua is an object.
    if said.get("input_extra") == {}:
        del said["input_extra"]
    return said
