"""The OpenAPI description of the engine, made from its table of endpoints.

Messages are described by the dataclasses that read and write them (`json_schema.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dg_lsp import __version__
from dg_lsp.service.fields import Json
from dg_lsp.service.http.finishing import QUERY
from dg_lsp.service.http.replies import Failed
from dg_lsp.service.json_schema import Components
from dg_lsp.service.schema import CLIENT_HEADER, SCHEMA_VERSION, SEQUENCE_HEADER, VERSIONED

JSON, EVENTS = "application/json", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Body:
    """What a request has in its body."""

    kind: type
    is_compatible: bool = False
    """With clients of others: unknown fields are ignored, null means the default, and the
    address may say how texts are finished."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; its text in the description is that of its endpoint."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    gives: type | None = None
    """What a JSON answer consists of."""
    takes: Body | None = None
    is_list: bool = False
    """Whether the answer is a list of these."""
    media: tuple[str, ...] = (JSON,)
    events: tuple[tuple[str, type], ...] = ()
    """What a stream of events consists of, by their names; without, they have none."""
    is_numbered: bool = False
    """Whether headers may say which client sends it, and which of its jobs it is about."""
    only_admin: bool = False
    status: int = 200
    """Of success."""


def describe(operations: Iterable[Operation]) -> Json:
    """The description of all endpoints, in OpenAPI 3.2, the first with streams of events."""
    components = Components()
    failed = components.answer(Failed)
    paths: Json = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, components, failed)
    for kind in VERSIONED:
        versioned = components.schemas[kind.__name__]["properties"]
        versioned["version"] = {"const": SCHEMA_VERSION}
    return {
        "openapi": "3.2.0",
        "info": {
            "title": "dg-lsp engine",
            "version": __version__,
            "description": "Fills spans of code with a diffusion language model.",
        },
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # An engine that only its user can reach requires none.
        "security": [{}, {"token": []}],
    }


def _operation(one: Operation, components: Components, failed: Json) -> Json:
    summary, _, more = inspect.cleandoc(one.endpoint.__doc__ or "").partition("\n")
    found: Json = {
        "operationId": one.endpoint.__name__,
        "summary": " ".join(summary.split()),
        **({"description": " ".join(more.split())} if more else {}),
        "parameters": _parameters(one),
        "responses": {
            str(one.status): {"description": "Success.", "content": _content(one, components)},
            "default": {
                "description": "Refused or failed.",
                "content": {JSON: {"schema": failed}},
            },
        },
    }
    if one.takes is not None:
        is_compatible = one.takes.is_compatible
        schema = components.request(
            one.takes.kind, strict=not is_compatible, nulls=is_compatible
        )
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return found


def _content(one: Operation, components: Components) -> Json:
    found: Json = {}
    for media in one.media:
        if media == EVENTS:
            found[media] = {"itemSchema": _event(one, components)}
        elif media == JSON:
            found[media] = {"schema": _reply(one, components)}
        else:
            found[media] = {"schema": {"type": "string"}}
    return found


def _reply(one: Operation, components: Components) -> Json:
    if one.gives is None:
        return {"type": "object"}
    schema = components.answer(one.gives)
    return {"type": "array", "items": schema} if one.is_list else schema


def _event(one: Operation, components: Components) -> Json:
    text: Json = {"type": "string", "contentMediaType": JSON}
    if not one.events:
        return {"type": "object", "properties": {"data": {"type": "string"}}}
    kinds = [
        {
            "type": "object",
            "properties": {
                "event": {"const": name},
                "data": {**text, "contentSchema": components.answer(kind)},
            },
            "required": ["event", "data"],
        }
        for name, kind in one.events
    ]
    return {"oneOf": kinds}


def _parameters(one: Operation) -> list[Json]:
    found: list[Json] = []
    if one.takes is not None and one.takes.is_compatible:
        for name, values in QUERY.items():
            schema = {"type": "string", **({"enum": [*values]} if values else {})}
            found.append({"in": "query", "name": name, "schema": schema})
    if one.is_numbered:
        digits = {"type": "string", "pattern": "^[0-9]{1,18}$"}
        found.append({"in": "header", "name": CLIENT_HEADER, "schema": {"type": "string"}})
        found.append({"in": "header", "name": SEQUENCE_HEADER, "schema": digits})
    return found
