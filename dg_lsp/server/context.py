"""What the model may see of a workspace around the cursor, and what it must not.

Applies the rules of dg_lsp/document: which files are excluded, and which positions are in a
secret. Reads ignore files; only `workspace_code` and `definitions` open other files. The rules,
with all their patterns, are imported with the first document, so that `initialize` does not
wait for them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dg_lsp.document.excerpt import excerpt
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import Seed, SeedOrigin, Snippet
from dg_lsp.reason import Reason
from dg_lsp.server.rpc.protocol import Protocol
from dg_lsp.server.settings import Settings
from dg_lsp.server.workspace.documents import Document, relative_path
from dg_lsp.server.workspace.notebooks import joined

if TYPE_CHECKING:
    from dg_lsp.document.definitions import DefinedFile
    from dg_lsp.document.request import SeedFinder
    from dg_lsp.server.workspace.definitions import WorkspaceDefinitions
    from dg_lsp.server.workspace.exclusions import Exclusions, Verdict
    from dg_lsp.server.workspace.workspace_code import WorkspaceCode


class WorkspaceContext:
    """The context of one session."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._settings = Settings()
        self._exclusions: Exclusions | None = None
        self._code: WorkspaceCode | None = None
        self._definitions: WorkspaceDefinitions | None = None

    @property
    def code(self) -> WorkspaceCode:
        """The code of the workspace and of open files."""
        from dg_lsp.server.workspace.workspace_code import WorkspaceCode

        if self._code is None:
            self._code = WorkspaceCode()
        return self._code

    @property
    def roots(self) -> list[str]:
        """Paths of the workspace folders."""
        return [path for path in self._protocol.roots.values() if path]

    def configure(self, settings: Settings) -> None:
        self._settings = settings
        self._exclusions = None

    def look_again(self) -> None:
        """Check the ignore files before the next verdict, because they may have changed."""
        if self._exclusions is not None:
            self._exclusions.look_again()

    def renew(self) -> None:
        """Do now what the next key would otherwise have to do first: look at ignore files."""
        if self._exclusions is not None:
            self._exclusions.renew(one.uri for one in self._protocol.documents.recent())

    def exclusion(self, document: Document) -> str | None:
        """Why a document is neither completed nor shown to the model, or None."""
        return self._verdict(document).reason

    def is_included(self, document: Document) -> bool:
        """Whether the settings include the document."""
        return self._verdict(document).is_included

    def _verdict(self, document: Document) -> Verdict:
        from dg_lsp.server.workspace.exclusions import Exclusions

        if self._exclusions is None:
            self._exclusions = Exclusions(self._settings.include, self._settings.exclude)
        return self._exclusions.verdict(document, self.roots)

    def close(self) -> None:
        """Stop the background work."""
        if self._code is not None:
            self._code.close()
        if self._definitions is not None:
            self._definitions.close()

    def files(self, site: InsertionSite) -> tuple[Snippet, ...]:
        """The other files that may be used, whole, most recently used first."""
        roots = self.roots
        return tuple(
            Snippet(relative_path(other.path, roots), other.text)
            for other in self._others(site.uri)
        )

    def definitions(self, site: InsertionSite) -> tuple[DefinedFile, ...]:
        """What open and imported files define, as far as it is known."""
        from dg_lsp.document.request import lines_around
        from dg_lsp.server.workspace.definitions import Place, WorkspaceDefinitions

        if self._definitions is None:
            self._definitions = WorkspaceDefinitions()
        others = {other.uri: other for other in self._others(site.uri)}
        known = self._definitions.known(
            Place(site.uri, site.language, *lines_around(site.core)),
            [*others.values()],
            self.roots if self._settings.context.workspace_files else (),
            self._settings.exclude,
        )
        # A file may have been closed or excluded since it was read.
        return tuple(
            file
            for uri, file in known
            if uri in others or self.exclusion(Document(uri, "", None, "")) is None
        )

    def seed_finder(self, site: InsertionSite) -> SeedFinder:
        """The function that finds seeds in this document, in open files and in the
        workspace."""
        from dg_lsp.document.seeds import find_seeds
        from dg_lsp.server.workspace.exclusions import file_of
        from dg_lsp.server.workspace.workspace_code import OpenFile

        settings, code = self._settings, self.code

        def find(prefix: str, suffix: str, replaced: str) -> tuple[Seed, ...]:
            is_shown = settings.context.related_files
            elsewhere = code.elsewhere(
                os.path.realpath(file_of(site.uri)),
                [
                    OpenFile(other.uri, os.path.realpath(file_of(other.uri)), other.text)
                    for other in (self._others(site.uri) if is_shown else ())
                ],
                self.roots if settings.context.workspace_files else (),
                settings.exclude,
            )
            # A file may have been excluded since it was read.
            found = find_seeds(
                prefix, suffix, elsewhere, may_show=self._may_show, replaced=replaced
            )
            return self._relative(found)

        return find

    def _may_show(self, seed: Seed) -> bool:
        if seed.origin is not SeedOrigin.WORKSPACE:
            return True
        return self.exclusion(Document(Path(seed.path).as_uri(), "", None, "")) is None

    def _relative(self, seeds: tuple[Seed, ...]) -> tuple[Seed, ...]:
        """Seeds with paths relative to the workspace's folders."""
        if not any(seed.path for seed in seeds):
            return seeds
        real_roots = [os.path.realpath(root) for root in self.roots]
        return tuple(replace(seed, path=relative_path(seed.path, real_roots)) for seed in seeds)

    def _others(self, uri: str) -> list[Document]:
        """Other documents that may be used, most recently used first."""
        from dg_lsp.server.workspace.exclusions import is_other_version

        shown = [cell.uri for cell in self._earlier_cells(uri)]
        return [
            other
            for other in self._protocol.documents.recent()
            if not is_other_version(other.uri, uri)
            and other.uri not in shown
            and self.exclusion(other) is None
        ]

    def before(self, document: Document) -> str:
        """What the model sees before a cell of a notebook: the cells above it.

        They are in the same file, so they are excluded if it is.
        """
        cells = self._earlier_cells(document.uri)
        return joined(cells, self._settings.context.budget_chars) if cells else ""

    def _earlier_cells(self, uri: str) -> list[Document]:
        document = self._protocol.documents.get(uri)
        return [] if document is None else self._protocol.notebooks.earlier(document)

    def hides(self, document: Document, start: int, end: int) -> Reason | None:
        """Why the model must not see this position, or None."""
        from dg_lsp.document.masking import secret_at

        first, last = excerpt(document.text, start, end, document.language)
        return secret_at(document.text[first:last], start - first, end - first)
