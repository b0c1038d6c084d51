"""The messages between a front end and its engine: jobs, drafts, results, status."""

from __future__ import annotations

from dataclasses import dataclass

from dg_lsp import __version__
from dg_lsp.job import Draft, InfillJob, JobResult, ModelInfo
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.fields import Json, SchemaError, decode, encode, shown

SCHEMA_VERSION = 1
"""Raised when an older reader would misread what a newer writer sends.

What it may ignore, such as a field that it does not have, needs no new version: each side says
which dg-lsp it is, and reads what another one sends without strictness.
"""

VERSION_HEADER = "dg-lsp-version"
CLIENT_HEADER = "dg-lsp-client"
SEQUENCE_HEADER = "dg-lsp-sequence"
"""Of a request: which dg-lsp sends it, which front end, and the number of its job there."""

VERSIONED = (InfillJob, JobResult)
"""The messages that say of which version they are, in a field `version`."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The status of an engine."""

    version: str
    """Of dg-lsp; a client of another version does not speak with it."""
    pid: int
    state: str
    """A `ModelState` value: unloaded, loading, ready or failed."""
    error: Reason | None = None
    """Why the last load failed."""
    loading_percent: int | None = None
    """How much of the model has been loaded, if known."""
    model: ModelInfo | None = None
    """The loaded model."""
    jobs_waiting: int = 0
    jobs_running: int = 0
    memory_bytes: int = 0
    """Memory of the process; 0 if unknown."""
    idle_s: float = 0.0
    """Seconds since the last job came or ended."""
    uptime_s: float = 0.0
    log: str = ""
    """Path of the log file; empty if nothing is logged."""
    schema_versions: tuple[int, ...] = (1,)
    """The versions of these messages that the engine reads and writes."""


def encode_job(job: InfillJob) -> Json:
    return {"version": SCHEMA_VERSION, **encode(job)}


def decode_job(value: Json, *, strict: bool = True) -> InfillJob:
    """Only `prefix` and `suffix` are required; what is left out takes the default."""
    return decode(InfillJob, _of_our_version(value), strict=strict)


def encode_draft(draft: Draft) -> Json:
    return {**encode(draft)}


def decode_draft(value: Json, *, strict: bool = True) -> Draft:
    return decode(Draft, value, strict=strict)


def encode_result(result: JobResult) -> Json:
    return {"version": SCHEMA_VERSION, **encode(result)}


def decode_result(value: Json, *, strict: bool = True) -> JobResult:
    return decode(JobResult, _of_our_version(value), strict=strict)


def encode_status(status: EngineStatus) -> Json:
    return {**encode(status)}


def decode_status(value: Json) -> EngineStatus:
    """Versions find out about each other by it: fields may be missing, fields and codes new."""
    return decode(EngineStatus, value, strict=False)


def _of_our_version(value: Json) -> Json:
    """No version at all counts as the right one, for requests written by hand."""
    found = value.get("version", SCHEMA_VERSION)
    if found != SCHEMA_VERSION or isinstance(found, bool):
        raise SchemaError(
            f"version is {shown(found)}, and dg-lsp {__version__} here speaks "
            f"{SCHEMA_VERSION}; install the same dg-lsp on both sides",
            ReasonCode.VERSION_MISMATCH if type(found) is int else None,
        )
    return {name: item for name, item in value.items() if name != "version"}
