"""Answers that are not streamed: JSON, errors with a code, and events sent in one piece."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dg_lsp.reason import Reason
from dg_lsp.service.fields import Json, dump_json
from dg_lsp.service.http.compatibility import error_body

if TYPE_CHECKING:
    from starlette.responses import Response


def refusal(status: int, reason: Reason, retry_after_s: float | None = None) -> Response:
    answer = json_answer(status, error_body(status, reason))
    if retry_after_s is not None:
        answer.headers["retry-after"] = str(math.ceil(retry_after_s))
    return answer


def json_answer(status: int, body: Json) -> Response:
    from starlette.responses import Response

    return Response(dump_json(body), status, media_type="application/json")


def chunks_answer(pieces: list[bytes]) -> Response:
    from starlette.responses import Response

    return Response(b"".join(pieces), media_type="text/event-stream")
