"""Compares what may be shown to a model of other files, without a model.

Counts how many of the names in the true texts of spans each kind of context contains. A name
that the document shows near the span is known anyway, so the names that it does not show are
counted on their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dg_lsp.document.definitions import DefinedFile, defined_in
from dg_lsp.document.imports import imported_paths
from dg_lsp.document.nesting import tokens
from dg_lsp.document.related import COMMON, IDENTIFIER, related_snippets
from dg_lsp.document.request import (
    ANY_MODEL,
    BUDGET_CHARS,
    CHARS_PER_TOKEN,
    RequestContext,
    build_job,
)
from dg_lsp.evaluation.data import Problem
from dg_lsp.evaluation.elsewhere import Contexts
from dg_lsp.evaluation.repository import File
from dg_lsp.evaluation.spans import AS_ASKED, UNSEEDED, TrueSpan, site_of
from dg_lsp.job import InfillJob, Snippet

NUM_OPEN = 8
"""Number of files that are open besides the document: those next to it."""
MOST_IMPORTED = 24


class OtherFiles:
    """The files of a folder, as an editor session has them that edits one of them."""

    def __init__(self, files: Sequence[File]) -> None:
        self._files = {file.path: file for file in sorted(files, key=lambda file: file.path)}
        self._defined: dict[str, DefinedFile] = {}

    def open_beside(self, path: str) -> list[File]:
        """The files next to one, the nearest first."""
        paths = [*self._files]
        own = paths.index(path)
        nearest = sorted(range(len(paths)), key=lambda index: (abs(index - own), index))
        return [self._files[paths[index]] for index in nearest[1 : NUM_OPEN + 1]]

    def imported_by(self, path: str) -> list[File]:
        """The files that one imports."""
        own = self._files[path]
        found = imported_paths(own.text, path, own.language)
        return [self._files[one] for one in found if one in self._files][:MOST_IMPORTED]

    def snippets(self, path: str) -> tuple[Snippet, ...]:
        """The open files, whole."""
        return tuple(Snippet(file.path, file.text) for file in self.open_beside(path))

    def defined_for(self, path: str) -> tuple[DefinedFile, ...]:
        """What the open and the imported files define."""
        files = {file.path: file for file in (*self.open_beside(path), *self.imported_by(path))}
        return tuple(self._defined_in(file) for file in files.values())

    def defines(self, name: str, besides: str) -> bool:
        """Whether a file defines a name, besides one."""
        return any(
            name in self._defined_in(file).by_name
            for file in self._files.values()
            if file.path != besides
        )

    def _defined_in(self, file: File) -> DefinedFile:
        if file.path not in self._defined:
            self._defined[file.path] = defined_in(file.path, file.text, file.language)
        return self._defined[file.path]


def with_text(context_of: Contexts, others: OtherFiles, shown: str) -> Contexts:
    """The contexts with text of other files: similar text, definitions, both or none."""

    def context(span: TrueSpan) -> RequestContext:
        return replace(
            context_of(span),
            files=others.snippets(span.path) if shown in ("similar", "both") else (),
            definitions=(
                others.defined_for(span.path) if shown in ("definitions", "both") else ()
            ),
        )

    return context


@dataclass(frozen=True, slots=True)
class Covered:
    """How many names of the true texts a kind of context contains."""

    context: str
    all_names: float
    """Share of the names of all spans."""
    new_names: float
    """Share of those that the model does not see in the document."""
    num_new: int
    own_names: float
    """Share of those that another file of the folder defines."""
    num_own: int
    chars: float
    """Size of the context, on average."""


def compare(problems: Sequence[Problem], others: OtherFiles) -> list[Covered]:
    """How many names each kind of context contains, with the budget of an editor session.

    "similar, as long" is similar text that is as long as the definitions of each span, of the
    same files.
    """
    shown: dict[str, list[_Shown]] = {}
    for problem in problems:
        path = problem.span.path
        defined, files = others.defined_for(path), others.snippets(path)
        bare, site = _job(problem), site_of(problem.span)
        definitions = _job(problem, definitions=defined).snippets
        size = sum(len(snippet.text) for snippet in definitions)
        same = [Snippet(file.path, "".join(file.lines)) for file in defined]
        as_long = related_snippets(site.prefix, site.suffix, same, size, path)
        contexts = {
            "nothing": (),
            "definitions": definitions,
            "similar, as long": as_long,
            "similar": _job(problem, files=files).snippets,
            "both": _job(problem, files=files, definitions=defined).snippets,
        }
        true = _names_written(problem.span)
        new = true - _names(f"{bare.prefix} {bare.suffix}")
        own = frozenset(name for name in new if others.defines(name, path))
        for kind, snippets in contexts.items():
            text = "\n".join(snippet.text for snippet in snippets)
            shown.setdefault(kind, []).append(_Shown(true, new, own, _names(text), len(text)))
    return [_covered(kind, ones) for kind, ones in shown.items()]


@dataclass(frozen=True, slots=True)
class _Shown:
    """The names of a span, those that the document does not show, those of them that another
    file defines, and the names of a context."""

    true: frozenset[str]
    new: frozenset[str]
    own: frozenset[str]
    context: frozenset[str]
    chars: int


def _job(problem: Problem, **context: Any) -> InfillJob:
    own = replace(
        UNSEEDED,
        measure=lambda text: len(text) // CHARS_PER_TOKEN,
        budget_chars=BUDGET_CHARS,
        **context,
    )
    return build_job(site_of(problem.span), AS_ASKED, ANY_MODEL, own)


def _names(text: str) -> frozenset[str]:
    return frozenset(name for name in IDENTIFIER.findall(text) if name.lower() not in COMMON)


def _names_written(span: TrueSpan) -> frozenset[str]:
    """The names in the code of a span, whole if it begins or ends within one."""
    text = span.prefix + span.text + span.suffix
    start, end = len(span.prefix), len(span.prefix + span.text)
    prose = [token for token in tokens(text) if not token.kind and token.end > start]
    return frozenset(
        found[0]
        for found in IDENTIFIER.finditer(text, max(0, text.rfind("\n", 0, start)))
        if found.end() > start and found.start() < end and found[0].lower() not in COMMON
        if not any(token.start <= found.start() < token.end for token in prose)
    )


def _covered(kind: str, shown: Sequence[_Shown]) -> Covered:
    num_true = sum(len(one.true) for one in shown)
    num_new = sum(len(one.new) for one in shown)
    num_own = sum(len(one.own) for one in shown)
    found = sum(len(one.new & one.context) for one in shown)
    return Covered(
        kind,
        # What the document shows is known.
        (num_true - num_new + found) / max(1, num_true),
        found / max(1, num_new),
        num_new,
        sum(len(one.own & one.context) for one in shown) / max(1, num_own),
        num_own,
        sum(one.chars for one in shown) / max(1, len(shown)),
    )
