"""Requests and answers in the forms of others: llama.cpp's server and OpenAI's completions.

Both send dozens of sampling knobs that mean nothing to a diffusion model, so unknown fields
are let through here; the ones that are used are checked. Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dg_lsp.job import Infill, InfillJob, JobResult, JobState, Snippet
from dg_lsp.service.fields import Fields, Json, SchemaError
from dg_lsp.service.http.finishing import Finishing, job_to_finish, read_finishing
from dg_lsp.service.schema import MAX_CANDIDATES, MAX_NAME_CHARS, MAX_SNIPPETS, MAX_TOKENS

MIN_DEADLINE_S = 0.05
"""Clients send 1 ms to warm a cache; a job needs time for at least one step."""

_DEFAULT = InfillJob("", "")
PREFIX_MARK, SUFFIX_MARK, MIDDLE_MARK = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
"""How Qwen's models are asked to infill; Zed writes its prompts so."""


@dataclass(frozen=True, slots=True)
class FormRequest:
    """A request of either form."""

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


def read_llama(value: Json) -> FormRequest:
    """`POST /infill` as llama.vim and llama.vscode send it."""
    fields = Fields(value, "")
    wanted = _most(fields, value, "n_predict" if "n_predict" in value else "max_tokens", -1)
    limit_ms = _number(fields, value, "t_max_predict_ms", 0.0)
    extra = value.get("input_extra") or []
    if not isinstance(extra, list):
        raise SchemaError('"input_extra" must be an array of {"filename", "text"}')
    if len(extra) > MAX_SNIPPETS:
        raise SchemaError(f"input_extra has {len(extra)} items; at most {MAX_SNIPPETS}")
    job = InfillJob(
        prefix=fields.text("input_prefix") + _text(fields, value, "prompt"),
        suffix=fields.text("input_suffix"),
        snippets=tuple(map(_extra, extra)),
        max_tokens=_DEFAULT.max_tokens if wanted <= 0 else wanted,
        deadline_s=max(limit_ms / 1e3, MIN_DEADLINE_S) if limit_ms > 0 else None,
        seed=_seed(fields, value),
    )
    finishing = read_finishing(value)
    return FormRequest(
        job_to_finish(job, finishing),
        stops=_stops(value),
        streams=_flag(fields, value, "stream"),
        response_fields=_texts(value, "response_fields"),
        wants_nothing=wanted == 0,
        finishing=finishing,
    )


def write_llama(
    request: FormRequest, infill: Infill, tokens: tuple[int, int], *, is_last_chunk: bool
) -> Json:
    """The answer; `tokens` are those of the prompt and of the text."""
    text, stop = cut_at(infill.candidates[0].text if infill.candidates else "", request.stops)
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
        "tokens_predicted": tokens[1],
        "tokens_evaluated": tokens[0],
        "generation_settings": {},
        "prompt": "",
        "has_new_line": "\n" in text,
        "truncated": False,
        "stop_type": "word" if stop else "eos",
        "stopping_word": stop,
        "tokens_cached": 0,
        "timings": {
            "cache_n": 0,
            **_rates("prompt", tokens[0], prompt_ms),
            **_rates("predicted", tokens[1], predicted_ms),
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
    fields = Fields(value, "")
    prompt = value.get("prompt", "")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise SchemaError("prompt must be one text; lists and token ids are not understood")
    options = value.get("stream_options")
    suffix = _text(fields, value, "suffix")
    if not suffix:
        prompt, suffix = _sides(prompt)
    job = InfillJob(
        prefix=prompt,
        suffix=suffix,
        candidates=_whole(fields, value, "n", 1, MAX_CANDIDATES, 1),
        max_tokens=_whole(fields, value, "max_tokens", 1, MAX_TOKENS, _DEFAULT.max_tokens),
        seed=_seed(fields, value),
    )
    finishing = read_finishing(value)
    return FormRequest(
        job_to_finish(job, finishing),
        stops=_stops(value),
        streams=_flag(fields, value, "stream"),
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        finishing=finishing,
    )


def write_openai(
    request: FormRequest, infill: Infill, tokens: tuple[int, int], name: str, created_s: int
) -> Json:
    """The whole answer; where nothing is offered it holds one empty text."""
    return {
        **_openai_head(infill, name, created_s),
        "choices": [
            _choice(place, cut_at(text, request.stops)[0], "stop")
            for place, text in enumerate(suggested_texts(infill))
        ],
        "usage": _usage(tokens),
    }


def write_openai_chunks(
    request: FormRequest, infill: Infill, tokens: tuple[int, int], name: str, created_s: int
) -> list[Json]:
    """The same in chunks: each text, each end, and the token counts where they are wanted."""
    head = _openai_head(infill, name, created_s)
    chunks = []
    for place, text in enumerate(suggested_texts(infill)):
        chunks.append(_choice(place, cut_at(text, request.stops)[0], None))
        chunks.append(_choice(place, "", "stop"))
    answers = [{**head, "choices": [chunk]} for chunk in chunks]
    if request.wants_usage:
        answers.append({**head, "choices": [], "usage": _usage(tokens)})
    return answers


def error_body(status: int, message: str) -> Json:
    """One line, in the form that clients of either kind read."""
    kinds = {401: "authentication_error", 503: "unavailable_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"code": status, "message": " ".join(message.split()), "type": kind}}


def suggested_texts(infill: Infill) -> list[str]:
    """What is offered, at least one text."""
    return [one.text for one in infill.candidates] or [""]


def failure(result: JobResult) -> str | None:
    """The reason of a job that failed; one that was withdrawn is just empty."""
    reason = result.infill.reason or "the job failed"
    return reason if result.state is JobState.FAILED else None


def cut_at(text: str, stops: Sequence[str]) -> tuple[str, str]:
    """The text before the first stop, and that stop."""
    places = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not places:
        return text, ""
    at, stop = min(places)
    return text[:at], stop


def _sides(prompt: str) -> tuple[str, str]:
    """What stands before and after the place, in a prompt that marks it; or all and nothing."""
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


def _usage(tokens: tuple[int, int]) -> Json:
    prompt, text = tokens
    return {"prompt_tokens": prompt, "completion_tokens": text, "total_tokens": prompt + text}


def _rates(what: str, count: int, took_ms: float) -> Json:
    return {
        f"{what}_n": count,
        f"{what}_ms": round(took_ms, 3),
        f"{what}_per_token_ms": round(took_ms / count, 3) if count else 0.0,
        f"{what}_per_second": round(count / took_ms * 1e3, 3) if took_ms > 0 else 0.0,
    }


def _extra(item: object) -> Snippet:
    if not isinstance(item, Mapping):
        raise SchemaError('"input_extra" must be an array of {"filename", "text"}')
    fields = Fields(dict(item), "input_extra.")
    return Snippet(fields.text("filename", "", MAX_NAME_CHARS), fields.text("text"))


def _text(fields: Fields, value: Json, name: str) -> str:
    return "" if value.get(name) is None else fields.text(name)


def _flag(fields: Fields, value: Json, name: str) -> bool:
    return False if value.get(name) is None else fields.boolean(name, False)


def _whole(fields: Fields, value: Json, name: str, least: int, most: int, default: int) -> int:
    return default if value.get(name) is None else fields.integer(name, least, most)


def _number(fields: Fields, value: Json, name: str, default: float) -> float:
    return default if value.get(name) is None else fields.number(name, -math.inf, math.inf)


def _most(fields: Fields, value: Json, name: str, default: int) -> int:
    """A token budget; a negative one means no limit."""
    return _whole(fields, value, name, -(2**31), MAX_TOKENS, default)


def _seed(fields: Fields, value: Json) -> int:
    """-1 asks others for a random seed; here the same request has the same answer."""
    return max(0, _whole(fields, value, "seed", -1, 2**63, 0)) & 0xFFFF_FFFF


def _stops(value: Json) -> tuple[str, ...]:
    stop = value.get("stop")
    if isinstance(stop, str):
        stop = [stop]
    return tuple(one for one in _texts({"stop": stop}, "stop") if one)


def _texts(value: Json, name: str) -> tuple[str, ...]:
    found = value.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise SchemaError(f"{name} must be a list of texts")
    return tuple(found)
