"""Requests that hypothesis makes up: each is answered, and none counts as our own error.

`make fuzz` makes up more of them.
"""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzing import effort

pytestmark = pytest.mark.timeout(1800)

PATHS = (
    "/v1/infill",
    "/infill",
    "/v1/completions",
    "/v1/cancel",
    "/v1/load",
    "/v1/unload",
    "/v1/status",
    "/v1/models",
    "/health",
    "/metrics",
    "/nowhere",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD")
FIELDS = {
    "prefix": "name = ",
    "suffix": ".name\n",
    "document": "a.py",
    "replaced": None,
    "instruction": None,
    "candidates": 1,
    "max_tokens": 8,
    "seed": 1,
    "deadline_s": 5,
    "related": [],
    "seeds": [],
    "shown": [],
    "prompt": "name = ",
    "input_prefix": "name = ",
    "input_suffix": ".name\n",
    "input_extra": [{"text": "x = 1", "filename": "x.py"}],
    "n_predict": 8,
    "n": 1,
    "stop": ["\n"],
    "stream": False,
    "stream_options": {"include_usage": True},
    "response_fields": ["content"],
    "finish": True,
    "language": "python",
}
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\ud800", "\x00", "name = \r\n", "\N{GRINNING FACE}" * 50]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(FIELDS)), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A valid body with some fields left out and some that hold anything, or no JSON at all."""
    chosen = draw(st.sets(st.sampled_from(sorted(FIELDS))))
    body = {name: FIELDS[name] for name in chosen}
    body |= draw(st.dictionaries(st.sampled_from(sorted(FIELDS)), ODD, max_size=2))
    written = json.dumps(body).encode()
    return draw(
        st.just(written) | st.just(written[:-1]) | st.binary(max_size=40) | st.just(written)
    )


@settings(effort(examples=60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(METHODS), path=st.sampled_from(PATHS), body=bodies())
async def test_every_request_is_answered_and_none_is_our_error(served, method, path, body):
    transport = httpx.AsyncHTTPTransport(uds=str(served.address.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=20) as http:
        answer = await http.request(method, path, content=body)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.json()["error"]["code"]
        # It is there as before for everybody else; the model may just be loaded again.
        assert (await http.get("/v1/status")).status_code == 200
