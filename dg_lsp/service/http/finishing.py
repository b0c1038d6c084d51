"""Finishes texts as the language server does, for clients that insert them unchanged.

A client requests it with a field or, if it cannot add fields, in the query of the address. It
sends only a part of its document, so brackets are judged by that part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dg_lsp.document import outline
from dg_lsp.document.suggestions import (
    InsertionSite,
    MultiLine,
    Standard,
    one_line,
    suggestions_for,
)
from dg_lsp.job import EXTRA_CANDIDATES, Candidate, Infill, InfillJob
from dg_lsp.service.fields import Json, SchemaError

_FLAGS = {"true": True, "1": True, "false": False, "0": False}
QUERY = {"finish": tuple(_FLAGS), "language": ()}
"""What the query of an address may say, and the values that are understood if not all are."""


@dataclass(frozen=True, slots=True)
class Finishing:
    """How texts are to be finished."""

    language: str
    """LSP language id; empty where the client does not say, and then brackets count alone."""


def with_query(value: Json, query: Mapping[str, str]) -> Json:
    """A request with what the query of its address says; its own fields count for more."""
    said: Json = {}
    if "finish" in query:
        if query["finish"] not in _FLAGS:
            raise SchemaError(
                f"finish in the address is {query['finish']!r}, not true or false"
            )
        said["finish"] = _FLAGS[query["finish"]]
    if "language" in query:
        said["language"] = query["language"]
    return {**said, **value}


def job_to_finish(job: InfillJob, finishing: Finishing | None) -> InfillJob:
    """The job with what finishing needs: its language, and texts to fall back on."""
    if finishing is None:
        return job
    return replace(
        job, language=finishing.language or job.language, extra_candidates=EXTRA_CANDIDATES
    )


def finished(infill: Infill, job: InfillJob, finishing: Finishing | None) -> Infill:
    """The infill with the finished texts that would be suggested, best first."""
    if finishing is None:
        return infill
    site = InsertionSite(
        uri="",
        path=job.path,
        language=finishing.language,
        newline="\r\n" if "\r\n" in job.prefix + job.suffix else "\n",
        prefix=job.prefix,
        suffix=job.suffix,
    )
    outline.read(site.prefix, site.suffix, site.language)
    standard = Standard(job.candidates, one_line=one_line(site, MultiLine.AUTO))
    suggestions = suggestions_for(infill.candidates, site, standard, job)
    candidates = tuple(
        Candidate(suggestion.text, suggestion.confidence, -float(rank), suggestion.confidences)
        for rank, suggestion in enumerate(suggestions)
    )
    return replace(infill, candidates=candidates)
