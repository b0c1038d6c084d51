"""The server as pytest-lsp's client sees it, with the capabilities that it has recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

SCRIPT = str(Path(__file__).parent / "serve_scripted.py")
COMMAND = [sys.executable, SCRIPT, json.dumps({"answers": {"🙂 = ": ["42"]}})]
URI = "file:///work/a.py"


@pytest_lsp.fixture(
    params=["visual-studio-code", "neovim"],
    config=ClientServerConfig(server_command=COMMAND),
)
async def client(
    request: pytest.FixtureRequest, lsp_client: LanguageClient
) -> AsyncIterator[LanguageClient]:
    capabilities = client_capabilities(request.param)

    @lsp_client.feature(types.CLIENT_REGISTER_CAPABILITY)
    def register(params: types.RegistrationParams) -> None:
        pass

    await lsp_client.initialize_session(
        types.InitializeParams(
            process_id=None, root_uri="file:///work", capabilities=capabilities
        )
    )
    yield lsp_client
    await lsp_client.shutdown_session()


@pytest.mark.asyncio
async def test_ghost_text_and_code_actions(client: LanguageClient) -> None:
    item = types.TextDocumentItem(URI, "python", 1, "🙂 = \n")
    client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    document = types.TextDocumentIdentifier(URI)
    # The two editors count the emoji differently; at the end of the line they agree.
    at = types.Position(0, 99)
    answer = await client.text_document_inline_completion_async(
        types.InlineCompletionParams(
            types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
            document,
            at,
        )
    )
    assert isinstance(answer, types.InlineCompletionList)
    assert [one.insert_text for one in answer.items] == ["42"]
    found = answer.items[0].range
    assert found is not None
    assert (found.start, found.start.character in (5, 7)) == (found.end, True)

    actions = await client.text_document_code_action_async(
        types.CodeActionParams(document, types.Range(at, at), types.CodeActionContext([], None))
    )
    assert actions is not None
    assert [action.title for action in actions] == ["Fill here"]
