"""The OpenAPI description of the engine."""

from __future__ import annotations

import json

import httpx

from dg_lsp.cli import run
from dg_lsp.service.http.app import OPERATIONS, make_app
from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.request import Access


async def test_it_is_served_and_printed(served, capsys):
    transport = httpx.AsyncHTTPTransport(uds=str(served.address.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://e") as http:
        found = (await http.get("/openapi.json")).json()
    assert run(["engine", "openapi"]) == 0
    assert json.loads(capsys.readouterr().out) == found


async def test_it_has_every_route_with_its_meaning(host, served):
    transport = httpx.AsyncHTTPTransport(uds=str(served.address.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://e") as http:
        found = (await http.get("/openapi.json")).json()["paths"]
    routes = make_app(host, Metrics(), access=Access(), stop=lambda: None).app.routes
    # Starlette answers HEAD wherever it answers GET.
    served_at = {(one.path, method.lower()) for one in routes for method in one.methods}
    described = {(path, method) for path, methods in found.items() for method in methods}
    assert described == {one for one in served_at if one[1] != "head"}
    assert len(described) == len(OPERATIONS)
    assert all(one["summary"] for methods in found.values() for one in methods.values())


async def test_no_reference_leads_nowhere(served):
    transport = httpx.AsyncHTTPTransport(uds=str(served.address.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://e") as http:
        answer = await http.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    for name in answer.text.split('"$ref":"')[1:]:
        assert name.split('"')[0].removeprefix("#/components/schemas/") in schemas
