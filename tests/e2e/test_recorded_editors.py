"""Editors whose capabilities pytest-lsp recorded, and answers that lsprotocol can read."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import types
from lsprotocol.converters import get_converter
from pytest_lsp import client_capabilities

CONVERTER = get_converter()


@pytest.mark.parametrize("editor", ["visual-studio-code", "neovim"])
def test_ghost_text_and_code_actions(start_server, editor):
    server = start_server(answers={"🙂 = ": ["42"]})
    server.begin(CONVERTER.unstructure(client_capabilities(editor)))
    server.open("🙂 = \n")

    def asked(method: str, **params: Any) -> Any:
        document = {"textDocument": {"uri": "file:///work/a.py"}}
        answer = server.answer(server.send(method, {**document, **params}))
        return CONVERTER.structure(answer, types.METHOD_TO_TYPES[method][1]).result

    # The two editors count the emoji differently; at the end of the line they agree.
    at = {"line": 0, "character": 99}
    found = asked("textDocument/inlineCompletion", position=at, context={"triggerKind": 1})
    assert isinstance(found, types.InlineCompletionList)
    assert [one.insert_text for one in found.items] == ["42"]
    where = found.items[0].range
    assert (where.start, where.start.character in (5, 7)) == (where.end, True)

    span = {"start": at, "end": at}
    actions = asked("textDocument/codeAction", range=span, context={"diagnostics": []})
    assert [action.title for action in actions] == ["Fill here"]
