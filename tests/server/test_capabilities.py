"""What is read of a client's announcement, and what is kept of it for the doctor."""

from __future__ import annotations

import pytest

from dg_lsp.server.app import create_server
from dg_lsp.server.link.scripted import ScriptedLink

NEOVIM = {"name": "Neovim\n", "version": "0.12.4"}


class Notes:
    """A journal that keeps the last client."""

    facts = None

    def add(self, record):
        pass

    def note_client(self, facts):
        self.facts = facts


async def notes_of(make_editor, client_info, capabilities, options=None):
    editor, notes = make_editor(), Notes()
    editor.session.tracer.journal = notes
    await editor.ask(
        "initialize",
        {
            "processId": None,
            "rootUri": "file:///work/of/a/user",
            "clientInfo": client_info,
            "capabilities": capabilities,
            "initializationOptions": options,
        },
    )
    editor.notify("initialized", {})
    return notes.facts


async def test_the_client_is_noted_without_anything_of_the_users(make_editor):
    capabilities = {
        "general": {"positionEncodings": ["utf-8"]},
        "textDocument": {"inlineCompletion": {"dynamicRegistration": False}},
        "experimental": {"dgLsp": {"drafts": True}},
    }
    options = {"engine": {"address": "gpu.example.org:8741", "token": "0123456789abcdef"}}
    facts = await notes_of(make_editor, NEOVIM, capabilities, options)

    assert (facts["name"], facts["version"]) == ("Neovim", "0.12.4")
    assert facts["announces_inline_completion"] is True
    assert facts["registers_inline_completion"] is False
    assert facts["position_encoding"] == "utf-8"
    assert facts["extensions"]["drafts"] is True
    assert facts["is_engine_elsewhere"] is True
    for secret in ("0123456789abcdef", "gpu.example.org", "/work"):
        assert secret not in str(facts)


@pytest.mark.parametrize("client_info", [None, {"name": "x" * 500}])
async def test_a_client_that_says_nothing_or_too_much_of_itself(make_editor, client_info):
    facts = await notes_of(make_editor, client_info, {})

    assert len(facts["name"]) == (0 if client_info is None else 60)
    assert facts["announces_inline_completion"] is False


async def test_a_session_without_a_journal_keeps_traces_in_memory_only():
    session = create_server(ScriptedLink(lambda job: []))
    session.tracer.journal.add({})
    session.tracer.journal.note_client({})
    assert session.tracer.last_of(None) is None
    await session.close()
