"""What the model may see of a workspace around the cursor, and what it must not.

Applies dg_lsp/document's rules to the documents: which files are excluded, which pieces of
others are related, what is masked. Reads ignore files; opens no other file. The rules, with
all their patterns, are imported when the first document is there: `initialize` does not wait.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

from dg_lsp.document.offers import Place
from dg_lsp.document.position import LINE_END, NEAR_CHARS, last_line
from dg_lsp.job import Snippet
from dg_lsp.server.documents import Document, relative_path
from dg_lsp.server.jobs import SNIPPET_SHARE
from dg_lsp.server.protocol import Protocol
from dg_lsp.server.settings import ContextSettings, Settings

log = logging.getLogger(__name__)


class WorkspaceContext:
    """The context of one session; remembers what its files' names say."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._settings = Settings()
        self._reasons: dict[str, str | None] = {}
        self._related: tuple[object, tuple[Snippet, ...]] = (None, ())

    @property
    def roots(self) -> list[str]:
        """Paths of the workspace folders."""
        return [path for path in self._protocol.roots.values() if path]

    def configure(self, settings: Settings) -> None:
        self._settings = settings
        self._reasons.clear()

    def forget(self, uri: str | None = None) -> None:
        """Look again whether a document, or every one, is excluded: files may have changed."""
        if uri is None:
            self._reasons.clear()
        else:
            self._reasons.pop(uri, None)

    def exclusion(self, document: Document) -> str | None:
        """Why a document is neither completed nor shown to the model, where that is so."""
        if document.uri not in self._reasons:
            self._reasons[document.uri] = self._exclusion(document)
        return self._reasons[document.uri]

    def is_included(self, document: Document) -> bool:
        """Whether the settings want the document completed."""
        from dg_lsp.document.exclusion import matches_globs, path_below

        include = self._settings.include
        path = Path(document.path)
        return not include or matches_globs(path_below(path, self._root_of(path)), include)

    def snippets(self, place: Place, settings: ContextSettings) -> tuple[Snippet, ...]:
        from dg_lsp.document.related import related_snippets

        if not settings.related_files:
            return ()
        others = [
            other
            for other in self._protocol.documents.recent()
            if other.uri != place.uri and self.exclusion(other) is None
        ]
        # By whole lines, so that the choice stands while one types in a line: snippets come
        # first in the prompt, and an engine encodes anew whatever follows a change.
        above = place.prefix[: len(place.prefix) - len(last_line(place.prefix))]
        below = place.suffix[len(LINE_END.split(place.suffix, maxsplit=1)[0]) :]
        versions = {other.uri: other.version for other in others}
        key = place.uri, versions, above[-NEAR_CHARS:], below[:NEAR_CHARS], settings
        if key != self._related[0]:
            files = [
                Snippet(relative_path(other.path, self.roots), _mask(other.text))
                for other in others
            ]
            budget_chars = round(settings.budget_chars * SNIPPET_SHARE)
            found = related_snippets(above, below, files, budget_chars, place.path)
            self._related = key, found
        return self._related[1]

    def mask_around(self, text: str, start: int, end: int) -> str:
        from dg_lsp.document.masking import mask_around

        return mask_around(text, start, end)

    def hides(self, document: Document, start: int, end: int) -> str | None:
        """Why the model must not see this very place, where that is so."""
        from dg_lsp.document.masking import touches_secret

        if not touches_secret(document.text, start, end):
            return None
        where = "the cursor is in" if start == end else "the selection holds"
        return f"{where} what looks like a secret"

    def _exclusion(self, document: Document) -> str | None:
        from dg_lsp.document.exclusion import excluded_because

        path = Path(document.path)
        root = self._root_of(path) if document.uri.startswith("file:") else None
        try:
            return excluded_because(path, root, self._settings.exclude)
        except OSError as error:
            log.warning("ignore files cannot be read: %s", error.strerror)
            return excluded_because(path, None, self._settings.exclude)

    def _root_of(self, path: Path) -> Path | None:
        roots = [Path(root) for root in self.roots if path.is_relative_to(root)]
        return max(roots, key=lambda root: len(root.parts), default=None)


@functools.lru_cache(maxsize=16)
def _mask(text: str) -> str:
    """Kept, as other files stay as they are while one types."""
    from dg_lsp.document.secrets import mask_secrets

    return mask_secrets(text)
