"""The extensions, and that their document keeps up with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from lsprotocol import types

from dg_lsp.server import lsp_ext
from dg_lsp.server.lsp_ext import confidence_runs

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "lsp-extensions.md").read_text(encoding="utf-8")


def test_the_document_is_of_this_source():
    source = (ROOT / "dg_lsp" / "server" / "lsp_ext.py").read_bytes().replace(b"\r\n", b"\n")
    first = DOCUMENT.partition("\n")[0]
    assert first == f"<!-- lsp_ext.py: {hashlib.sha256(source).hexdigest()[:16]} -->"


@pytest.mark.parametrize(
    "name", [*lsp_ext.METHODS, *lsp_ext.COMMANDS, lsp_ext.CLIENT_COMMAND_ASK]
)
def test_every_method_and_command_is_in_the_document(name):
    assert f"`{name}`" in DOCUMENT


def test_every_field_that_is_sent_is_in_the_document():
    at = types.Position(0, 0)
    draft = lsp_ext.Draft(1, "", 1, types.Range(at, at), "", (), 1, 1, 0)
    status = lsp_ext.Status(False, "Normal", "", "", "", 0)
    for name in (*draft.to_json(), *status.to_json()):
        assert f"  {name}:" in DOCUMENT


def test_runs_of_confidence():
    assert confidence_runs((0.5, 0.5001, 0.9), (1, 2, 1)) == ((0.5, 3), (0.9, 1))
    assert confidence_runs((), ()) == ()
