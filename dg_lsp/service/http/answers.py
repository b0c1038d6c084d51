"""Answers that are not streamed: JSON, errors with a code, and events sent in one piece."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.access.limits import ContextTooLongError, OverLimitError
from dg_lsp.service.fields import Json, SchemaError, dump_json, encode
from dg_lsp.service.http.replies import Failed, Failure
from dg_lsp.service.http.request import ClientGoneError, RequestError
from dg_lsp.service.process.host import BusyError, HostClosedError

if TYPE_CHECKING:
    from starlette.responses import Response

log = logging.getLogger(__name__)

BUSY_S = 1.0
"""When a client may try again while the engine has too many open jobs."""


def answer_to(error: Exception) -> Response:
    """The answer to a request that failed."""
    from starlette.responses import Response

    if isinstance(error, ClientGoneError):
        # Nobody reads this.
        return Response(status_code=499)
    return refusal(*failure_of(error))


def failure_of(error: Exception) -> tuple[int, Reason, float | None]:
    """The status of a request that failed, the reason, and after which time in seconds another
    one may succeed, if that is known."""
    match error:
        case OverLimitError():
            return 429, error.reason, error.retry_after_s
        case ContextTooLongError():
            return 413, error.reason, None
        case RequestError():
            return error.status, error.reason, None
        case SchemaError():
            return 400, error.reason, None
        case BusyError():
            return 429, error.reason, BUSY_S
        case HostClosedError():
            return 503, error.reason, None
    log.error("a request failed", exc_info=error)
    said = f"the engine failed: {type(error).__name__}"
    return 500, Reason(ReasonCode.DEFECT, said), None


def error_body(status: int, reason: Reason) -> Json:
    """One line and a code; `type` is what clients of OpenAI and llama.cpp read as well."""
    kinds = {401: "authentication_error", 503: "unavailable_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    told = " ".join(reason.message.split())
    body: Json = encode(Failed(Failure(reason.code, told, kind)))
    return body


def refusal(status: int, reason: Reason, retry_after_s: float | None = None) -> Response:
    answer = json_answer(status, error_body(status, reason))
    if retry_after_s is not None:
        answer.headers["retry-after"] = str(math.ceil(retry_after_s))
    return answer


def json_answer(status: int, body: Any) -> Response:
    from starlette.responses import Response

    return Response(dump_json(body), status, media_type="application/json")


def answer_with(reply: Any) -> Response:
    """A reply, or a list of them, as JSON."""
    return json_answer(200, encode(reply))


def chunks_answer(pieces: list[bytes]) -> Response:
    from starlette.responses import Response

    return Response(b"".join(pieces), media_type="text/event-stream")
