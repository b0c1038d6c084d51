"""Errors that answer a request of the client: JSON-RPC's own code, and ours in `data`."""

from __future__ import annotations

from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from dg_lsp.reason import Reason, ReasonCode

REQUEST_FAILED = -32803
CONTENT_MODIFIED = -32801


def data_of(code: ReasonCode) -> dict[str, str]:
    """The `data` of an error."""
    return {"code": code.value}


def invalid_params(
    message: str, code: ReasonCode = ReasonCode.INVALID_REQUEST
) -> JsonRpcInvalidParams:
    """The client asked for something that cannot be done as it was asked."""
    return JsonRpcInvalidParams(message, data=data_of(code))


def request_failed(reason: Reason) -> JsonRpcException:
    """The request was right, and there is no result all the same."""
    moved = reason.code is ReasonCode.CHANGED
    code = CONTENT_MODIFIED if moved else REQUEST_FAILED
    return JsonRpcException(reason.message, code, data_of(reason.code))
