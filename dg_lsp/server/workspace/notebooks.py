"""Stores which cells make up a notebook, and in which order.

Cells are documents like any other. Clients that know notebooks synchronize them through
`notebookDocument/…`, as one document with an array of cells; VS Code does so, Neovim has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lsprotocol import types
from pygls.protocol import LanguageServerProtocol, lsp_method

from dg_lsp.server.convert import Units
from dg_lsp.server.workspace.documents import Document, Documents, path_of

SYNC = types.NotebookDocumentSyncOptions([types.NotebookDocumentFilterWithNotebook("*")])
"""Every cell of every notebook, including text cells."""

_OTHER_LANGUAGE = re.compile(r"\s*%%(?!time\b|timeit\b|capture\b|prun\b)\w")
"""A cell that IPython passes to another program, such as a shell."""


class Notebooks:
    """The open notebooks."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._cells: dict[str, list[types.NotebookCell]] = {}

    def open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        self._cells[params.notebook_document.uri] = [*params.notebook_document.cells]
        for item in params.cell_text_documents:
            self._documents.open(item)

    def change(self, params: types.DidChangeNotebookDocumentParams, units: Units) -> None:
        cells, change = self._cells.get(params.notebook_document.uri), params.change.cells
        if cells is None or change is None:
            return
        if change.structure is not None:
            array = change.structure.array
            cells[array.start : array.start + array.delete_count] = array.cells or []
            for item in change.structure.did_open or []:
                self._documents.open(item)
            for closed in change.structure.did_close or []:
                self._documents.close(closed.uri)
        for changed in change.data or []:
            cells[:] = [changed if one.document == changed.document else one for one in cells]
        for content in change.text_content or []:
            self._documents.change(content.document, [*content.changes], units)

    def lose(self, params: Any) -> None:
        """A change of a notebook could not be read; forget its cells, because no text is better
        than
        a wrong one."""
        item = params.get("notebookDocument") if isinstance(params, dict) else None
        uri = str(item.get("uri")) if isinstance(item, dict) else ""
        for cell in self._cells.pop(uri, []):
            self._documents.lose(cell.document, None, is_opened=False)

    def close(self, params: types.DidCloseNotebookDocumentParams) -> None:
        self._cells.pop(params.notebook_document.uri, None)
        for closed in params.cell_text_documents:
            self._documents.close(closed.uri)

    def is_text(self, uri: str) -> bool:
        """Whether a document is a text cell instead of a code cell."""
        found = self._find(uri)
        return found is not None and found[0][found[1]].kind is types.NotebookCellKind.Markup

    def earlier(self, document: Document) -> list[Document]:
        """The code cells of the same language before a cell, in order.

        The order in which cells are run is unknown, but code is read from the top. Later cells
        do not count as text after the cursor, because a cell is complete in itself.
        """
        found = self._find(document.uri)
        if found is None:
            return []
        cells, index = found
        codes = [one for one in cells[:index] if one.kind is types.NotebookCellKind.Code]
        known = [self._documents.get(one.document) for one in codes]
        return [
            one
            for one in known
            if one is not None
            and one.language == document.language
            and not _OTHER_LANGUAGE.match(one.text)
        ]

    def _find(self, uri: str) -> tuple[Sequence[types.NotebookCell], int] | None:
        for cells in self._cells.values():
            for index, cell in enumerate(cells):
                if cell.document == uri:
                    return cells, index
        return None


def script_path(document: Document) -> str:
    """The path of a cell as if it were a script, because the notebook's own suggests JSON."""
    scheme, _, rest = document.uri.partition(":")
    if scheme != "vscode-notebook-cell":
        return document.path
    path = path_of(f"file:{rest.partition('#')[0]}").removesuffix(".ipynb")
    return f"{path}.py" if document.language == "python" else path


def joined(cells: Sequence[Document], most_chars: int) -> str:
    """The text of the cells before a cell: whole cells, chosen nearest first."""
    texts: list[str] = []
    for cell in reversed(cells):
        text = cell.text.rstrip("\r\n")
        most_chars -= len(text) + 2
        if most_chars < 0:
            break
        if text:
            texts.append(f"{text}\n\n")
    return "".join(reversed(texts))


class NotebookProtocol(LanguageServerProtocol):
    """The part of the protocol that stores notebooks, instead of pygls' own store."""

    documents: Documents
    notebooks: Notebooks
    units: Units

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(
        self, params: types.DidOpenNotebookDocumentParams
    ) -> None:
        self.notebooks.open(params)
        self._tell_opened(params.cell_text_documents)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(
        self, params: types.DidChangeNotebookDocumentParams
    ) -> None:
        self.notebooks.change(params, self.units)
        structure = params.change.cells.structure if params.change.cells else None
        if structure is not None:
            self._tell_opened(structure.did_open or [])
            self._tell_closed(structure.did_close or [])

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(
        self, params: types.DidCloseNotebookDocumentParams
    ) -> None:
        self.notebooks.close(params)
        self._tell_closed(params.cell_text_documents)

    def tell(self, method: str, params: Any) -> None:
        """Hand a notification to the feature that is registered for it, if there is one."""
        handler = self.fm.features.get(method)
        if handler is not None:
            handler(params)

    def _tell_opened(self, cells: Sequence[types.TextDocumentItem]) -> None:
        for cell in cells:
            opened = types.DidOpenTextDocumentParams(cell)
            self.tell(types.TEXT_DOCUMENT_DID_OPEN, opened)

    def _tell_closed(self, cells: Sequence[types.TextDocumentIdentifier]) -> None:
        for cell in cells:
            closed = types.DidCloseTextDocumentParams(cell)
            self.tell(types.TEXT_DOCUMENT_DID_CLOSE, closed)
