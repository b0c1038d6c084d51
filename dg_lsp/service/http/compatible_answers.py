"""Answers as llama.cpp's server, OpenAI's completions and Mistral's FIM endpoint write them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dg_lsp.job import Infill, JobResult, JobState
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.fields import Json, encode
from dg_lsp.service.http.compatibility import FormRequest


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
class LlamaTimings:
    """Tokens and times of the prompt and of the text."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


@dataclass(frozen=True, slots=True)
class LlamaAnswer:
    """The answer of `/infill`, as llama.cpp's server writes it."""

    content: str
    stop_type: str
    """`word` at a stop, `limit` at the most tokens, otherwise `eos`."""
    stopping_word: str
    has_new_line: bool
    model: str
    tokens_predicted: int
    tokens_evaluated: int
    tokens_cached: int
    timings: LlamaTimings
    index: int = 0
    tokens: tuple[int, ...] = ()
    id_slot: int = 0
    stop: bool = True
    generation_settings: dict[str, str] = field(default_factory=dict)
    prompt: str = ""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class CachedTokens:
    """Tokens of the prompt that had been read for an earlier job."""

    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the prompt and of all texts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


@dataclass(frozen=True, slots=True)
class CompletionChoice:
    """One of the texts."""

    text: str
    index: int
    finish_reason: str | None
    """`length` at the most tokens, otherwise `stop`; null in a stream until the text ends."""
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class CompletionAnswer:
    """The answer of `/v1/completions`; without a suggestion, it has one empty text."""

    id: str
    created: int
    model: str
    choices: tuple[CompletionChoice, ...]
    usage: Usage
    object: str = "text_completion"


@dataclass(frozen=True, slots=True)
class FimMessage:
    """A text, in the form of a chat."""

    content: str
    role: str = "assistant"


@dataclass(frozen=True, slots=True)
class FimChoice:
    """The text and why it ends."""

    index: int
    message: FimMessage
    finish_reason: str


@dataclass(frozen=True, slots=True)
class FimAnswer:
    """The answer of `/v1/fim/completions`, as Mistral writes it."""

    id: str
    created: int
    model: str
    choices: tuple[FimChoice, ...]
    usage: Usage
    object: str = "chat.completion"


def write_llama(
    request: FormRequest, infill: Infill, tokens: TokenCounts, *, is_last_chunk: bool
) -> Json:
    """The answer; `tokens` are those of the prompt and of the text."""
    text, stop = cut_at(infill.candidates[0].text if infill.candidates else "", request.stops)
    is_at_limit = tokens.is_at_limit(0, request.job.max_tokens)
    times = infill.timings_ms
    prompt_ms = times.get("prompt", 0.0) + times.get("encode", 0.0)
    predicted_ms = times.get("denoise", 0.0) + times.get("rank", 0.0)
    read, written = tokens.prompt - tokens.cached, sum(tokens.texts)
    answer: Json = encode(
        LlamaAnswer(
            content="" if is_last_chunk else text,
            stop_type="word" if stop else "limit" if is_at_limit else "eos",
            stopping_word=stop,
            has_new_line="\n" in text,
            model=infill.model,
            tokens_predicted=written,
            tokens_evaluated=tokens.prompt,
            tokens_cached=tokens.cached,
            timings=LlamaTimings(
                tokens.cached, *_rates(read, prompt_ms), *_rates(written, predicted_ms)
            ),
        )
    )
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


def completion_answer(
    request: FormRequest, infill: Infill, tokens: TokenCounts
) -> CompletionAnswer:
    """The whole answer of OpenAI's endpoint."""
    written = sum(tokens.texts)
    return CompletionAnswer(
        id=f"cmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=infill.model or "dg-lsp",
        choices=tuple(
            CompletionChoice(
                cut_at(text, request.stops)[0], place, _end(request, text, place, tokens)
            )
            for place, text in enumerate(suggested_texts(infill))
        ),
        usage=Usage(
            tokens.prompt, written, tokens.prompt + written, CachedTokens(tokens.cached)
        ),
    )


def completion_chunks(answer: CompletionAnswer, *, wants_usage: bool) -> list[Json]:
    """The same in chunks: each text, each end, and the token counts if requested."""
    head = _head(answer)
    chunks = []
    for one in answer.choices:
        chunks.append(CompletionChoice(one.text, one.index, None))
        chunks.append(CompletionChoice("", one.index, one.finish_reason))
    answers = [{**head, "choices": [encode(chunk)]} for chunk in chunks]
    if wants_usage:
        answers.append({**head, "choices": [], "usage": encode(answer.usage)})
    return answers


def fim_answer(answer: CompletionAnswer) -> FimAnswer:
    """An answer of OpenAI's endpoint as Mistral's has it."""
    choices = tuple(
        FimChoice(one.index, FimMessage(one.text), one.finish_reason or "stop")
        for one in answer.choices
    )
    return FimAnswer(answer.id, answer.created, answer.model, choices, answer.usage)


def fim_chunks(answer: FimAnswer) -> list[Json]:
    """The same in chunks: each text, and each end with the token counts."""
    head = {**_head(answer), "object": "chat.completion.chunk"}
    answers: list[Json] = []
    for one in answer.choices:
        text = {"index": one.index, "delta": encode(one.message), "finish_reason": None}
        end = {"index": one.index, "delta": {"content": ""}, "finish_reason": one.finish_reason}
        answers.append({**head, "choices": [text]})
        answers.append({**head, "choices": [end], "usage": encode(answer.usage)})
    return answers


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


def _head(answer: CompletionAnswer | FimAnswer) -> Json:
    """What all chunks of a streamed answer begin with."""
    return {
        "id": answer.id,
        "object": answer.object,
        "created": answer.created,
        "model": answer.model,
    }


def _end(request: FormRequest, text: str, place: int, tokens: TokenCounts) -> str:
    """Why a text ends: at a stop or by itself, or because no more was asked for."""
    is_cut = bool(cut_at(text, request.stops)[1])
    at_limit = tokens.is_at_limit(place, request.job.max_tokens)
    return "length" if at_limit and not is_cut else "stop"


def _rates(count: int, took_ms: float) -> tuple[int, float, float, float]:
    """Tokens, milliseconds, milliseconds per token, tokens per second."""
    return (
        count,
        round(took_ms, 3),
        round(took_ms / count, 3) if count else 0.0,
        round(count / took_ms * 1e3, 3) if took_ms > 0 else 0.0,
    )
