"""What goes wrong with an engine that is elsewhere, and what its refusals mean."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from dg_lsp.reason import CodedError, ReasonCode, reason_of

LOST = "the engine ended while it worked on this"
MAX_RETRY_AFTER_S = 60.0
_CODES = {
    401: ReasonCode.TOKEN_REFUSED,
    403: ReasonCode.NOT_ALLOWED,
    413: ReasonCode.TOO_LARGE,
    429: ReasonCode.RATE_LIMITED,
    503: ReasonCode.ENGINE_CLOSED,
}
"""Codes for answers without one, for example from a proxy in between."""


class EngineError(CodedError, ValueError):
    """The engine cannot be reached or used; the message says why, in one line."""

    code = ReasonCode.BAD_ANSWER


class UnreachableError(EngineError):
    """No engine answers at the address."""

    code = ReasonCode.NO_ENGINE


class ChannelRefusedError(EngineError):
    """The engine takes no more lines from us; its jobs may be sent as requests."""


class RetryLaterError(EngineError):
    """The engine takes nothing from this client for a while."""

    def __init__(self, message: str, code: ReasonCode | None, retry_after_s: float) -> None:
        super().__init__(message, code)
        self.retry_after_s = retry_after_s


def refusal_of(status: int, body: Any, retry_after_s: float | None) -> EngineError:
    """What a status other than success means; `body` is the answer's JSON, if it is any."""
    message, code = "", _CODES.get(status)
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        message = " ".join(str(error.get("message", "")).split())[:300]
        with contextlib.suppress(ValueError):
            code = ReasonCode(error.get("code"))
    message = message or f"the engine answered with status {status}"
    if status == 429 and retry_after_s is not None:
        return RetryLaterError(message, code, min(math.ceil(retry_after_s), MAX_RETRY_AFTER_S))
    # 503: it is shutting down, and another one may be found or started.
    return (UnreachableError if status == 503 else EngineError)(message, code)


def unreadable(error: Exception) -> EngineError:
    """What a message means that cannot be decoded."""
    is_newer = reason_of(error).code is ReasonCode.VERSION_MISMATCH
    return EngineError(
        f"the engine's answer cannot be read: {error}",
        ReasonCode.VERSION_MISMATCH if is_newer else ReasonCode.BAD_ANSWER,
    )
