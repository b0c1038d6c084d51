"""Searches for seeds in an evaluation, in the same way as a server."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

from dg_lsp.document.code_index import CodeIndex, build_index
from dg_lsp.document.request import RequestContext
from dg_lsp.document.seeds import Elsewhere, find_seeds
from dg_lsp.evaluation import SeedSource
from dg_lsp.evaluation.spans import PUBLIC, UNSEEDED, TrueSpan, held_out, is_tuned_on
from dg_lsp.job import Seed, SeedOrigin
from dg_lsp.training.corpus import SourceFile

Contexts = Callable[[TrueSpan], RequestContext]
"""Returns what the job for a span is built from."""


def contexts(source: SeedSource, files: Sequence[tuple[str, str]] = ()) -> Contexts:
    """The context of each span; `files` are the paths and texts of the folder."""
    if source is not SeedSource.FOLDER:
        context = UNSEEDED if source is SeedSource.NONE else PUBLIC
        return lambda span: context
    index = build_index(files)

    def context_of(span: TrueSpan) -> RequestContext:
        return _finding([Elsewhere(index, SeedOrigin.WORKSPACE, 1, frozenset({span.path}))])

    return context_of


def among_held_out(span: TrueSpan) -> RequestContext:
    """The context of a held-out span, with the files of the same set as its folder."""
    return _held_out(is_tuned_on(span.path))(span)


def with_open_files(span: TrueSpan, count: int = 3) -> RequestContext:
    """The context of a held-out span in an editor that has the next files of the set open."""
    others = [file for file in held_out(is_tuned_on(span.path)) if file.path != span.path]
    following = sorted(others, key=lambda file: (file.path < span.path, file.path))[:count]
    return _finding(
        [
            Elsewhere(_index_of(file), SeedOrigin.OPEN_FILE, recency)
            for recency, file in enumerate(following, 1)
        ]
    )


def _finding(elsewhere: Sequence[Elsewhere]) -> RequestContext:
    def find(prefix: str, suffix: str, replaced: str) -> tuple[Seed, ...]:
        return find_seeds(prefix, suffix, elsewhere, replaced=replaced)

    return dataclasses.replace(PUBLIC, find_seeds=find)


@functools.cache
def _index_of(file: SourceFile) -> CodeIndex:
    return build_index([(file.path, file.text)])


@functools.cache
def _held_out(tuning: bool) -> Contexts:
    return contexts(SeedSource.FOLDER, [(file.path, file.text) for file in held_out(tuning)])
