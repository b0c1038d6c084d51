"""Picks the pieces of other open files that are most like the text around the cursor.

The classic way of code completion ("neighbouring tabs", described from GitHub Copilot's client
by P. Thakkar, "Copilot Internals", 2022): a window slides over the lines of each open or
recently edited file, and its likeness to the text around the cursor is the Jaccard index of the
two sets of words. Here the words are identifiers and pairs of adjacent identifiers on a line,
so that code that calls the same things in the same order counts more than code that shares a
few names.

The caller decides which files may be used, and masks their secrets first. The constants below,
not the size of the files, limit the time. No file is opened.
"""

from __future__ import annotations

import functools
import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate, chain, dropwhile, pairwise, takewhile
from typing import NamedTuple

from dg_lsp.document.pieces import lines_after, lines_before, pieces_around, split_lines
from dg_lsp.job import Snippet

WINDOW_LINES = 30
"""Lines of a snippet: about one function and the code around it."""
LINES_BEFORE = 40
LINES_AFTER = 20
"""The text around the cursor that files are compared with; most of it is before the cursor,
because recently written code says more."""
STEP_LINES = 10
"""Lines from one window to the next; finer steps cost time and hardly change the choice."""
MAX_FILES = 12
"""Number of the most recently used files that are considered; older ones say little."""
MAX_FILE_CHARS = 100_000
"""Only this much of the start of a longer file is searched."""
MAX_LINE_CHARS = 400
"""A longer line is data or minified, and its words are ignored."""
MAX_TRIED = 200
"""Number of the best windows of all files that compete for the budget."""
MIN_SIMILARITY = 0.04
"""A lower similarity is chance: two files of one language share that many words."""
MAX_KNOWN_SHARE = 0.7
"""A window is dropped if a larger share of its lines is already around the cursor."""
KEPT_LINES = 4096
"""Lines around the cursor whose words are kept: most of them are also around the next one."""
MIN_SNIPPET_LINES = 3
MIN_SNIPPET_CHARS = 40

IDENTIFIER = re.compile(r"[^\W\d]\w+")
# Words of many languages that say nothing about the content of the code.
COMMON = frozenset(
    re.findall(
        r"\w+",
        """and as assert async await bool break case catch char class const continue def default
        do else end enum export extends false final finally float fn for from func function if
        impl import in int interface is lambda let match mut new nil none not null of or pass
        private protected pub public raise return self static str string struct super switch
        the then this throw to true try type use using var void while with yield""",
    )
)


class _Window(NamedTuple):
    """A run of lines of one file."""

    lines: tuple[str, ...]
    size: int
    """Number of different words in it."""


class _Searched(NamedTuple):
    """A file, prepared for being searched."""

    windows: tuple[_Window, ...]
    having: dict[str, list[int]]
    """The numbers of the windows that have a word."""


def related_snippets(
    prefix: str,
    suffix: str,
    files: Sequence[Snippet],
    budget_chars: int,
    path: str = "",
    shown: str = "",
) -> tuple[Snippet, ...]:
    """At most one snippet of each file, the most similar last, within the budget in total.

    `files` are whole files, the most recently used first; `path` is the document's own, which
    is left out. So is a snippet that only repeats the prefix, the suffix, a better snippet, or
    what is `shown` already.
    """
    around = [
        *lines_before(prefix[-LINES_BEFORE * MAX_LINE_CHARS :], LINES_BEFORE),
        *lines_after(suffix[: LINES_AFTER * MAX_LINE_CHARS], LINES_AFTER),
    ]
    wanted = {word for line in around for word in _words(line)}
    if budget_chars <= 0 or not wanted:
        return ()
    ranked = []
    # A window that has fewer of the words is not similar enough, however small it is.
    least = int(len(wanted) * MIN_SIMILARITY / (1 + MIN_SIMILARITY))
    others = [file for file in files if file.path != path][:MAX_FILES]
    for recency, file in enumerate(others):
        searched = _searched(file.text[:MAX_FILE_CHARS])
        having = searched.having
        found = (having[word] for word in wanted if word in having)
        for index, shared in Counter(chain.from_iterable(found)).items():
            if shared < least:
                continue
            size = searched.windows[index].size
            similarity = shared / (size + len(wanted) - shared)
            if similarity >= MIN_SIMILARITY:
                ranked.append((-similarity, recency, index))
    near = pieces_around(prefix[-MAX_FILE_CHARS:], suffix[:MAX_FILE_CHARS])
    known = [*(piece.stripped_lines for piece in near), _stripped_lines(shown)]
    chosen: list[Snippet] = []
    for _, recency, index in heapq.nsmallest(MAX_TRIED, ranked):
        file = others[recency]
        if any(snippet.path == file.path for snippet in chosen):
            continue
        window = _searched(file.text[:MAX_FILE_CHARS]).windows[index]
        text = _fitting(window.lines, budget_chars)
        if text and _known_share(text, known) <= MAX_KNOWN_SHARE:
            chosen.append(Snippet(file.path, text))
            budget_chars -= len(text)
            # Two copies of a file have the same best window.
            known.append(_stripped_lines(text))
            if budget_chars < MIN_SNIPPET_CHARS:
                break
    return tuple(reversed(chosen))


@functools.lru_cache(maxsize=2 * MAX_FILES)
def _searched(text: str) -> _Searched:
    """Overlapping windows over a file; cached, because other files rarely change while
    typing."""
    lines = split_lines(text)
    words = [_words(line) for line in lines]
    last = max(0, len(lines) - WINDOW_LINES)
    windows = []
    having: defaultdict[str, list[int]] = defaultdict(list)
    for index, start in enumerate([*range(0, last, STEP_LINES), last]):
        said = set(chain.from_iterable(words[start : start + WINDOW_LINES]))
        windows.append(_Window(tuple(lines[start : start + WINDOW_LINES]), len(said)))
        for word in said:
            having[word].append(index)
    return _Searched(tuple(windows), dict(having))


def _words(line: str) -> tuple[str, ...]:
    return _words_of(line) if len(line) <= MAX_LINE_CHARS else ()


@functools.lru_cache(maxsize=KEPT_LINES)
def _words_of(line: str) -> tuple[str, ...]:
    """The identifiers of a line and their pairs."""
    names = [name for name in IDENTIFIER.findall(line) if name.lower() not in COMMON]
    pairs = [f"{one} {next_one}" for one, next_one in pairwise(names)]
    return (*names, *pairs)


def _fitting(lines: Sequence[str], budget_chars: int) -> str:
    """As many lines from the top as the budget allows, without blank lines at the ends."""
    lines = list(dropwhile(lambda line: not line.strip(), lines))
    sizes = accumulate(map(len, lines))
    taken = sum(1 for _ in takewhile(lambda size: size <= budget_chars, sizes))
    if taken < min(MIN_SNIPPET_LINES, len(lines)):
        return ""
    while taken and not lines[taken - 1].strip():
        taken -= 1
    return "".join(lines[:taken])


def _known_share(text: str, known: Sequence[frozenset[str]]) -> float:
    filled = [line.strip() for line in split_lines(text) if line.strip()]
    found = sum(any(line in lines for lines in known) for line in filled)
    return found / len(filled) if filled else 1.0


def _stripped_lines(text: str) -> frozenset[str]:
    return frozenset(map(str.strip, split_lines(text)))
