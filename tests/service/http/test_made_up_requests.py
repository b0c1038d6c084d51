"""Requests that are made up from the engine's own description: each is answered as it says.

`make fuzz` makes up more of them.
"""

from __future__ import annotations

import json

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from dg_lsp.service.fields import SchemaError
from dg_lsp.service.http.app import OPERATIONS
from dg_lsp.service.http.description import describe
from dg_lsp.service.schema import decode_job
from tests.fuzzing import effort

pytestmark = pytest.mark.timeout(1800)

DESCRIBED = schemathesis.openapi.from_dict(describe(OPERATIONS))
PLACES = sorted((one.path, one.method) for one in OPERATIONS)
AS_DESCRIBED = CHECKS.get_by_names(
    ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD")
KNOWN = {
    "prefix": "name = ",
    "input_prefix": "",
    "prompt": "name = ",
    "suffix": ".name\n",
    "input_suffix": ".name\n",
}
"""Text that the scripted model goes on from; with any other text, its jobs fail."""
FEW = 16
"""Tokens and texts; the description allows more than a test has time for."""
ODD = st.sampled_from([b"\\ud800", b"NaN", b"1e999", b'"a":1,"a":2', b"[" * 50, b"\xff", b""])


@pytest.fixture
async def http(served):
    transport = httpx.AsyncHTTPTransport(uds=str(served.address.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=60) as http:
        yield http


@st.composite
def requests(draw: st.DrawFn) -> schemathesis.Case:
    """A request as some endpoint is described, or one that differs from that somewhere."""
    path, method = draw(st.sampled_from(PLACES))
    mode = draw(st.sampled_from([*GenerationMode]))
    case = draw(DESCRIBED[path][method].as_strategy(generation_mode=mode))
    if isinstance(case.body, dict):
        for name, text in KNOWN.items() if draw(st.booleans()) else ():
            if isinstance(case.body.get(name), str):
                case.body[name] = text
        for name in ("max_tokens", "n_predict", "candidates", "n"):
            if type(case.body.get(name)) is int:
                case.body[name] = min(case.body[name], FEW)
    return case


def is_refused_by_a_rule(body: object) -> bool:
    """What a schema does not say: rules between the fields of a job, and what is understood
    only in part."""
    if not isinstance(body, dict):
        return False
    try:
        decode_job(body)
    except SchemaError as error:
        if error.__cause__ is not None:
            return True
    return body.get("echo") is True or bool(body.get("logprobs"))


@settings(effort(examples=60), suppress_health_check=[*HealthCheck])
@given(case=requests())
async def test_every_request_is_answered_as_described(http, case):
    answer = await http.request(**sent(case))
    case.validate_response(answer, checks=AS_DESCRIBED)
    await check_refusal(http, answer)
    is_good = case.meta.generation.mode is GenerationMode.POSITIVE
    if is_good and not is_refused_by_a_rule(case.body):
        assert answer.status_code not in (400, 413), answer.text


@settings(effort(examples=40), suppress_health_check=[*HealthCheck])
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from([*(path for path, _ in PLACES), "/nowhere", "/v1/", "//health"]),
    body=st.binary(max_size=40),
    odd=ODD,
    data=st.data(),
)
async def test_what_is_no_request_is_refused(http, method, path, body, odd, data):
    """No JSON at all, or JSON with something in it that no endpoint understands."""
    case = data.draw(requests())
    written = json.dumps(case.body if isinstance(case.body, dict) else {}).encode()
    at = data.draw(st.integers(0, len(written)))
    content = data.draw(
        st.sampled_from([body, written[:at] + odd + written[at:], written[:at]])
    )
    await check_refusal(http, await http.request(method, path, content=content))


def sent(case: schemathesis.Case) -> dict:
    """A request for httpx, without the headers that are schemathesis' own."""
    made = case.as_transport_kwargs(base_url="http://e")
    headers = {name.lower(): value for name, value in made["headers"].items()}
    written = made.get("json", made.get("data"))
    content = written if isinstance(written, bytes | str) else json.dumps(written)
    return {
        "method": made["method"],
        "url": made["url"],
        "params": {name: value for name, value in made["params"].items() if value is not None},
        "headers": {
            name: value.encode("latin-1") if isinstance(value, str) else value
            for name, value in headers.items()
            if name not in ("content-length", "transfer-encoding", "host")
        },
        "content": content if "json" in made or "data" in made else None,
    }


async def check_refusal(http: httpx.AsyncClient, answer: httpx.Response) -> None:
    """None is our error, and the engine is there as before for everybody else."""
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        error = answer.json()["error"]
        assert error["code"]
        is_expected = error["code"] == "loading" or "no known document" in error["message"]
        assert answer.status_code < 500 or is_expected, answer.text
    assert (await http.get("/v1/status")).status_code == 200
