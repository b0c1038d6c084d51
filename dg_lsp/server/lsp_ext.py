"""Everything beyond LSP: methods, commands and fields, with their names in JSON.

docs/lsp-extensions.md describes each of them, and the editors' plugins mirror them; a test
fails when this file changes and the document does not. All of it is opt-in or can be ignored:
without it, the server is a plain LSP server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lsprotocol import types

from dg_lsp.reason import Reason

DRAFT = "dgLsp/draft"
"""Notification, server to client: the current state of the span."""
STATUS = "dgLsp/status"
"""Notification, server to client: what the server is doing, and whether it works."""
DID_SHOW_COMPLETION = "textDocument/didShowCompletion"
"""Notification, client to server, as the Copilot language server takes it."""
DID_PARTIALLY_ACCEPT_COMPLETION = "textDocument/didPartiallyAcceptCompletion"
"""Notification, client to server, as the Copilot language server takes it."""

INLINE_EDIT = "textDocument/copilotInlineEdit"
"""Request, client to server, as the Copilot language server takes it: the next edit."""
DID_SHOW_INLINE_EDIT = "textDocument/didShowInlineEdit"
"""Notification, client to server, as the Copilot language server takes it."""
DID_FOCUS = "textDocument/didFocus"
"""Notification, client to server, as the Copilot language server takes it."""

COMMAND_INFILL = "dg-lsp.infill"
COMMAND_REWRITE = "dg-lsp.rewrite"
COMMAND_ALTERNATIVES = "dg-lsp.alternatives"
COMMAND_STOP = "dg-lsp.stop"
COMMAND_STATUS = "dg-lsp.status"
COMMAND_RESTART_ENGINE = "dg-lsp.restartEngine"
COMMAND_UNLOAD_MODEL = "dg-lsp.unloadModel"
COMMAND_TRACE = "dg-lsp.trace"
COMMAND_DOCTOR = "dg-lsp.doctor"
COMMAND_ACCEPT_NEXT_EDIT = "dg-lsp.acceptNextEdit"
COMMAND_DISMISS_NEXT_EDIT = "dg-lsp.dismissNextEdit"
COMMANDS = (
    COMMAND_INFILL,
    COMMAND_REWRITE,
    COMMAND_ALTERNATIVES,
    COMMAND_STOP,
    COMMAND_STATUS,
    COMMAND_RESTART_ENGINE,
    COMMAND_UNLOAD_MODEL,
    COMMAND_TRACE,
    COMMAND_DOCTOR,
    COMMAND_ACCEPT_NEXT_EDIT,
    COMMAND_DISMISS_NEXT_EDIT,
)

CLIENT_COMMAND_ASK = "dgLsp.askInstruction"
"""A command of the client's extension: asks the user, then runs `dg-lsp.rewrite`."""

METHODS = (
    DRAFT,
    STATUS,
    DID_SHOW_COMPLETION,
    DID_PARTIALLY_ACCEPT_COMPLETION,
    INLINE_EDIT,
    DID_SHOW_INLINE_EDIT,
    DID_FOCUS,
)

JobToken = str | int


@dataclass(frozen=True, slots=True)
class ClientExtensions:
    """What the client opts into under `capabilities.experimental.dgLsp`."""

    drafts: bool = False
    status: bool = False
    ask_instruction: bool = False
    doubt: bool = False


def read_extensions(experimental: Any) -> ClientExtensions:
    """The opt-ins; any value other than `true` means off."""
    asked = experimental.get("dgLsp") if isinstance(experimental, dict) else None
    if not isinstance(asked, dict):
        return ClientExtensions()
    return ClientExtensions(
        drafts=asked.get("drafts") is True,
        status=asked.get("status") is True,
        ask_instruction=asked.get("askInstruction") is True,
        doubt=asked.get("doubt") is True,
    )


@dataclass(frozen=True, slots=True)
class FormattingOptions:
    """How the editor indents; the Copilot server's extra."""

    tab_size: int
    insert_spaces: bool


@dataclass(frozen=True, slots=True)
class InlineCompletionRequest:
    """`textDocument/inlineCompletion` with the extras that the Copilot server accepts."""

    params: types.InlineCompletionParams
    version: int | None = None
    """`textDocument.version`: the version that the client means."""
    formatting: FormattingOptions | None = None
    draft_token: JobToken | None = None
    """`draftToken`: the token of this request's drafts, instead of its progress token."""


def read_extras(method: str, params: Any, raw: Any) -> Any:
    """The parameters with the method's extra fields, if any; malformed ones are ignored."""
    if method != types.TEXT_DOCUMENT_INLINE_COMPLETION:
        return params
    version = raw["textDocument"].get("version")
    token = raw.get("draftToken")
    return InlineCompletionRequest(
        params,
        version if _is_integer(version) else None,
        _read_formatting(raw.get("formattingOptions")),
        token if isinstance(token, str) or _is_integer(token) else None,
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """`dgLsp/draft`: lengths use the units of the negotiated position encoding."""

    token: JobToken
    uri: str
    version: int | None
    range: types.Range
    text: str
    confidence: tuple[tuple[float, int], ...]
    step: int
    steps_allowed: int
    settled: int
    block: int = 1
    """Which block of a long rewrite is being written, from 1."""
    blocks: int = 1
    masked: tuple[tuple[int, int], ...] = ()
    """Places of undecided tokens in the text, each with its probable width."""

    def to_json(self) -> dict[str, Any]:
        return {
            "token": self.token,
            "uri": self.uri,
            "version": self.version,
            "range": _range_json(self.range),
            "text": self.text,
            "confidence": [[probability, length] for probability, length in self.confidence],
            "step": self.step,
            "stepsAllowed": self.steps_allowed,
            "settled": self.settled,
            "block": self.block,
            "blocks": self.blocks,
            "masked": [[at, length] for at, length in self.masked],
        }


@dataclass(frozen=True, slots=True)
class Status:
    """`dgLsp/status`, and the result of the command `dg-lsp.status`."""

    busy: bool
    kind: str
    """"Normal", "Warning", "Error" or "Inactive", as in the Copilot server's status."""
    message: str
    model: str
    device: str
    memory_bytes: int
    code: str | None = None
    """Where the message is a reason: one of `reason.ReasonCode`, for programs."""
    percent: int | None = None
    """How much of the model has been loaded, if known."""
    follows_instructions: bool | None = None
    """Whether the model follows instructions, if known."""

    def to_json(self) -> dict[str, Any]:
        return {
            "busy": self.busy,
            "kind": self.kind,
            "message": self.message,
            "code": self.code,
            "model": self.model,
            "device": self.device,
            "memoryBytes": self.memory_bytes,
            "percent": self.percent,
            "followsInstructions": self.follows_instructions,
        }


@dataclass(frozen=True, slots=True)
class InlineEdit:
    """One of the `edits` in the answer to `textDocument/copilotInlineEdit`."""

    text: str
    range: types.Range
    uri: str
    version: int | None
    offer: str
    """Its number, for the messages about it."""
    kind: str

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "range": _range_json(self.range),
            "textDocument": {"uri": self.uri, "version": self.version},
            "command": {
                "title": "Accept the next edit",
                "command": COMMAND_ACCEPT_NEXT_EDIT,
                "arguments": [{"id": self.offer}],
            },
            "kind": self.kind,
        }


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The result of the command `dg-lsp.alternatives`."""

    range: types.Range | None
    """Of the word in this version; `None` if the word has changed."""
    version: int | None
    word: str
    probability: float | None
    """Of the word itself, if known."""
    alternatives: tuple[tuple[str, float], ...]
    """Texts and their probabilities, best first."""
    reason: Reason | None

    def to_json(self) -> dict[str, Any]:
        return {
            "range": self.range and _range_json(self.range),
            "version": self.version,
            "word": self.word,
            "probability": self.probability and round(self.probability, 3),
            "alternatives": [
                {"text": text, "probability": round(probability, 3)}
                for text, probability in self.alternatives
            ],
            "reason": self.reason and self.reason.message,
            "code": self.reason and self.reason.code.value,
        }


@dataclass(frozen=True, slots=True)
class GhostItem:
    """An `InlineCompletionItem`, for a client with `doubt`."""

    text: str
    range: types.Range
    confidence: tuple[tuple[float, int], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "insertText": self.text,
            "range": _range_json(self.range),
            "confidence": [[probability, length] for probability, length in self.confidence],
        }


def confidence_runs(
    confidences: Sequence[float], widths: Sequence[int]
) -> tuple[tuple[float, int], ...]:
    """Runs of characters with the same probability, with their length in client units."""
    rounded = [(round(one, 3), size) for one, size in zip(confidences, widths, strict=True)]
    return tuple(
        (probability, sum(size for _, size in run))
        for probability, run in groupby(rounded, key=lambda pair: pair[0])
    )


def _read_formatting(raw: Any) -> FormattingOptions | None:
    if not isinstance(raw, dict):
        return None
    tab_size, insert_spaces = raw.get("tabSize"), raw.get("insertSpaces")
    if not isinstance(tab_size, int) or not isinstance(insert_spaces, bool):
        return None
    return FormattingOptions(tab_size, insert_spaces) if 1 <= tab_size <= 16 else None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _range_json(span: types.Range) -> dict[str, Any]:
    return {
        "start": {"line": span.start.line, "character": span.start.character},
        "end": {"line": span.end.line, "character": span.end.character},
    }
