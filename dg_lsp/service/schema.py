"""The JSON form of jobs, drafts, infills and of an engine's status, both ways.

What comes in is checked field by field: an unknown field, a missing one or a wrong value is a
`SchemaError` of one line that names it. Knows nothing of HTTP.

Confidences go in runs, `[[0.98, 4], [0.5, 1]]` for five characters: they come per token, so
this is the shorter form, and an exact one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from dg_lsp.job import (
    Candidate,
    Draft,
    Infill,
    InfillJob,
    JobResult,
    JobState,
    ModelInfo,
    Snippet,
)
from dg_lsp.service.fields import (
    Fields,
    Json,
    SchemaError,
    one_line,
    shown,
)

SCHEMA_VERSION = 1
"""Raised when an older reader would misread what a newer writer sends."""

MAX_TOKENS = 16_384
"""The most tokens one job may ask for; far above any editor's wish."""
MAX_CANDIDATES = 32
MAX_SNIPPETS = 256
MAX_SEED = 2**32 - 1
MAX_DEADLINE_S = 3600.0
MAX_NAME_CHARS = 4096
"""Of a path, a language or a document: as long as paths can be."""
MAX_INSTRUCTION_CHARS = 16_384
MAX_REPLACED_CHARS = 16 * MAX_TOKENS
"""Instruction and selection are shown to the model whole, so they cannot be cut."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What an engine says of itself."""

    version: str
    """Of dg-lsp; a client of another version does not speak with it."""
    pid: int
    state: str
    """A `ModelState` value: unloaded, loading, ready or failed."""
    error: str | None
    """Why the last load failed."""
    loading_percent: int | None
    """How far a load is, where that can be told."""
    model: ModelInfo | None
    """The loaded model."""
    jobs_waiting: int
    jobs_running: int
    memory_bytes: int
    """Of the process; 0 where it cannot be told."""
    idle_s: float
    """Seconds since the last job came or ended."""
    uptime_s: float
    log: str
    """Path of the log file; empty where nothing is logged."""


def encode_job(job: InfillJob) -> Json:
    return {
        "version": SCHEMA_VERSION,
        "prefix": job.prefix,
        "suffix": job.suffix,
        "path": job.path,
        "language": job.language,
        "snippets": [{"path": one.path, "text": one.text} for one in job.snippets],
        "replaced": job.replaced,
        "instruction": job.instruction,
        "strength": job.strength,
        "candidates": job.candidates,
        "extra_candidates": job.extra_candidates,
        "max_tokens": job.max_tokens,
        "span_tokens": job.span_tokens,
        "may_be_empty": job.may_be_empty,
        "deadline_s": job.deadline_s,
        "seed": job.seed,
        "document": job.document,
    }


def decode_job(value: Json) -> InfillJob:
    """Only `prefix` and `suffix` are required; what is left out takes the default."""
    fields = Fields(value, "")
    fields.check_version(SCHEMA_VERSION)
    default = InfillJob("", "")
    try:
        job = InfillJob(
            prefix=fields.text("prefix"),
            suffix=fields.text("suffix"),
            path=fields.text("path", default.path, MAX_NAME_CHARS),
            language=fields.text("language", default.language, MAX_NAME_CHARS),
            snippets=fields.each("snippets", _decode_snippet, MAX_SNIPPETS),
            replaced=fields.optional(
                "replaced", lambda name: fields.text(name, most=MAX_REPLACED_CHARS)
            ),
            instruction=fields.optional(
                "instruction", lambda name: fields.text(name, most=MAX_INSTRUCTION_CHARS)
            ),
            strength=fields.number("strength", 0.0, 1.0, default.strength),
            candidates=fields.integer("candidates", 1, MAX_CANDIDATES, default.candidates),
            extra_candidates=fields.integer(
                "extra_candidates", 0, MAX_CANDIDATES, default.extra_candidates
            ),
            max_tokens=fields.integer("max_tokens", 1, MAX_TOKENS, default.max_tokens),
            span_tokens=fields.optional(
                "span_tokens", lambda name: fields.integer(name, 0, MAX_TOKENS)
            ),
            may_be_empty=fields.boolean("may_be_empty", default.may_be_empty),
            deadline_s=fields.optional(
                "deadline_s", lambda name: fields.number(name, 0.0, MAX_DEADLINE_S)
            ),
            seed=fields.integer("seed", 0, MAX_SEED, default.seed),
            document=fields.text("document", default.document, MAX_NAME_CHARS),
        )
    except SchemaError:
        raise
    except ValueError as error:
        raise SchemaError(one_line(str(error))) from error
    fields.end()
    return job


def encode_draft(draft: Draft) -> Json:
    return {
        "text": draft.text,
        "confidence": _runs(draft.confidence),
        "step": draft.step,
        "steps_allowed": draft.steps_allowed,
        "block": draft.block,
        "blocks": draft.blocks,
        "candidate": draft.candidate and _encode_candidate(draft.candidate),
    }


def decode_draft(value: Json) -> Draft:
    fields = Fields(value, "")
    text = fields.text("text")
    draft = Draft(
        text,
        fields.runs("confidence", len(text)),
        fields.integer("step", 0, 2**31),
        fields.integer("steps_allowed", 0, 2**31),
        fields.integer("block", 1, 2**31, 1),
        fields.integer("blocks", 1, 2**31, 1),
        fields.optional("candidate", lambda name: fields.part(name, _decode_candidate)),
    )
    fields.end()
    return draft


def encode_infill(infill: Infill) -> Json:
    return {
        "version": SCHEMA_VERSION,
        "candidates": [_encode_candidate(one) for one in infill.candidates],
        "steps": infill.steps,
        "timings_ms": dict(infill.timings_ms),
        "reason": infill.reason,
        "model": infill.model,
        "prompt_tokens": infill.prompt_tokens,
    }


def decode_infill(value: Json) -> Infill:
    fields = Fields(value, "")
    fields.check_version(SCHEMA_VERSION)
    infill = Infill(
        candidates=fields.each("candidates", _decode_candidate, MAX_CANDIDATES),
        steps=fields.integer("steps", 0, 2**31),
        timings_ms=fields.timings("timings_ms"),
        reason=fields.optional("reason", fields.text),
        model=fields.text("model", ""),
        prompt_tokens=fields.integer("prompt_tokens", 0, 2**31, 0),
    )
    fields.end()
    return infill


def encode_result(result: JobResult) -> Json:
    return {"state": result.state.value, "infill": encode_infill(result.infill)}


def decode_result(value: Json) -> JobResult:
    fields = Fields(value, "")
    name = fields.text("state")
    if name not in ("done", "cancelled", "superseded", "failed"):
        raise SchemaError(f"state is {shown(name)}; a job does not end so")
    infill = fields.take("infill")
    if not isinstance(infill, dict):
        raise SchemaError(f"infill is {shown(infill)}; an object is needed")
    fields.end()
    return JobResult(JobState(name), decode_infill(infill))


def encode_status(status: EngineStatus) -> Json:
    return dataclasses.asdict(status)


def decode_status(value: Json) -> EngineStatus:
    """Unknown fields are let through: this is how versions find out about each other."""
    fields = Fields(value, "")
    whole = 2**62
    return EngineStatus(
        version=fields.text("version"),
        pid=fields.integer("pid", 0, whole),
        state=fields.text("state"),
        error=fields.optional("error", fields.text),
        loading_percent=fields.optional(
            "loading_percent", lambda name: fields.integer(name, 0, 100)
        ),
        model=fields.optional("model", lambda name: fields.part(name, _decode_model)),
        jobs_waiting=fields.integer("jobs_waiting", 0, whole, 0),
        jobs_running=fields.integer("jobs_running", 0, whole, 0),
        memory_bytes=fields.integer("memory_bytes", 0, whole, 0),
        idle_s=fields.number("idle_s", 0.0, math.inf, 0.0),
        uptime_s=fields.number("uptime_s", 0.0, math.inf, 0.0),
        log=fields.text("log", ""),
    )


def _decode_model(fields: Fields) -> ModelInfo:
    whole = 2**62
    return ModelInfo(
        name=fields.text("name"),
        device=fields.text("device"),
        prefix_tokens=fields.integer("prefix_tokens", 0, whole),
        suffix_tokens=fields.integer("suffix_tokens", 0, whole),
        follows_instructions=fields.boolean("follows_instructions", True),
        memory_bytes=fields.integer("memory_bytes", 0, whole, 0),
    )


def _decode_snippet(fields: Fields) -> Snippet:
    return Snippet(fields.text("path", most=MAX_NAME_CHARS), fields.text("text"))


def _encode_candidate(candidate: Candidate) -> Json:
    score = candidate.score
    return {
        "text": candidate.text,
        "confidence": candidate.confidence,
        # JSON has no infinity; a text that the model rules out has that score.
        "score": score if math.isfinite(score) else None,
        "confidences": _runs(candidate.confidences),
    }


def _decode_candidate(fields: Fields) -> Candidate:
    text = fields.text("text")
    score = fields.optional("score", lambda name: fields.number(name, -math.inf, math.inf))
    return Candidate(
        text,
        fields.number("confidence", 0.0, 1.0),
        -math.inf if score is None else score,
        fields.runs("confidences", len(text)),
    )


def _runs(confidences: Iterable[float]) -> list[list[float]]:
    return [[value, len([*group])] for value, group in itertools.groupby(confidences)]
