"""What the model may see of a workspace around the cursor, and what it must not.

Applies dg_lsp/document's rules to the documents: which files are excluded, and which places
hold a secret. Reads ignore files; opens no other file. The rules, with all their patterns, are
imported when the first document is there: `initialize` does not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dg_lsp.document.excerpt import excerpt
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import Snippet
from dg_lsp.reason import Reason
from dg_lsp.server.rpc.protocol import Protocol
from dg_lsp.server.settings import Settings
from dg_lsp.server.workspace.documents import Document, relative_path
from dg_lsp.server.workspace.notebooks import joined

if TYPE_CHECKING:
    from dg_lsp.server.workspace.exclusions import Exclusions, Verdict


class WorkspaceContext:
    """The context of one session."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._settings = Settings()
        self._exclusions: Exclusions | None = None

    @property
    def roots(self) -> list[str]:
        """Paths of the workspace folders."""
        return [path for path in self._protocol.roots.values() if path]

    def configure(self, settings: Settings) -> None:
        self._settings = settings
        self._exclusions = None

    def look_again(self) -> None:
        """Look at the ignore files before the next verdict: they may have changed."""
        if self._exclusions is not None:
            self._exclusions.look_again()

    def exclusion(self, document: Document) -> str | None:
        """Why a document is neither completed nor shown to the model, where that is so."""
        return self._verdict(document).reason

    def is_included(self, document: Document) -> bool:
        """Whether the settings want the document completed."""
        return self._verdict(document).is_included

    def _verdict(self, document: Document) -> Verdict:
        from dg_lsp.server.workspace.exclusions import Exclusions

        if self._exclusions is None:
            self._exclusions = Exclusions(self._settings.include, self._settings.exclude)
        return self._exclusions.verdict(document, self.roots)

    def files(self, site: InsertionSite) -> tuple[Snippet, ...]:
        """The other files that may be shown, whole, the latest used first."""
        from dg_lsp.server.workspace.exclusions import is_other_version

        shown = [cell.uri for cell in self._earlier_cells(site.uri)]
        return tuple(
            Snippet(relative_path(other.path, self.roots), other.text)
            for other in self._protocol.documents.recent()
            if not is_other_version(other.uri, site.uri)
            and other.uri not in shown
            and self.exclusion(other) is None
        )

    def before(self, document: Document) -> str:
        """What the model sees before a cell of a notebook: the cells above it.

        They are in the same file, so that they are excluded where it is.
        """
        cells = self._earlier_cells(document.uri)
        return joined(cells, self._settings.context.budget_chars) if cells else ""

    def _earlier_cells(self, uri: str) -> list[Document]:
        document = self._protocol.documents.get(uri)
        return [] if document is None else self._protocol.notebooks.earlier(document)

    def hides(self, document: Document, start: int, end: int) -> Reason | None:
        """Why the model must not see this very place, where that is so."""
        from dg_lsp.document.masking import secret_at

        first, last = excerpt(document.text, start, end, document.language)
        return secret_at(document.text[first:last], start - first, end - first)
