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
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

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
MIN_SNIPPET_LINES = 3
MIN_SNIPPET_CHARS = 40

IDENTIFIER = re.compile(r"[^\W\d]\w+")
_LINE_END = re.compile(r"\r\n|\r|\n")
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


@dataclass(frozen=True, slots=True)
class _Window:
    """A run of lines of one file, with the words in it."""

    lines: tuple[str, ...]
    words: frozenset[str]


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
    around = _tail_lines(prefix) + _head_lines(suffix)
    wanted = {word for line in around for word in _words(line)}
    if budget_chars <= 0 or not wanted:
        return ()
    near = (prefix[-MAX_FILE_CHARS:], suffix[:MAX_FILE_CHARS], shown)
    known = {line.strip() for text in near for line in split_lines(text)}
    ranked = []
    for recency, file in enumerate([file for file in files if file.path != path][:MAX_FILES]):
        for index, window in enumerate(_windows(file.text[:MAX_FILE_CHARS])):
            shared = len(window.words & wanted)
            similarity = shared / (len(window.words) + len(wanted) - shared)
            if similarity >= MIN_SIMILARITY:
                ranked.append((-similarity, recency, index, file.path, window))
    chosen: list[Snippet] = []
    for _, _, _, name, window in heapq.nsmallest(MAX_TRIED, ranked, key=lambda one: one[:3]):
        if any(snippet.path == name for snippet in chosen):
            continue
        text = _fitting(window.lines, budget_chars)
        if text and _known_share(text, known) <= MAX_KNOWN_SHARE:
            chosen.append(Snippet(name, text))
            budget_chars -= len(text)
            # Two copies of a file have the same best window.
            known.update(line.strip() for line in split_lines(text))
            if budget_chars < MIN_SNIPPET_CHARS:
                break
    return tuple(reversed(chosen))


@functools.lru_cache(maxsize=2 * MAX_FILES)
def _windows(text: str) -> tuple[_Window, ...]:
    """Overlapping windows over a file; cached, because other files rarely change while
    typing."""
    lines = split_lines(text)
    words = [_words(line) for line in lines]
    last = max(0, len(lines) - WINDOW_LINES)
    return tuple(
        _Window(
            tuple(lines[start : start + WINDOW_LINES]),
            frozenset(itertools.chain.from_iterable(words[start : start + WINDOW_LINES])),
        )
        for start in [*range(0, last, STEP_LINES), last]
    )


def _words(line: str) -> list[str]:
    """The identifiers of a line and their pairs."""
    if len(line) > MAX_LINE_CHARS:
        return []
    names = [name for name in IDENTIFIER.findall(line) if name.lower() not in COMMON]
    return names + [f"{one} {next_one}" for one, next_one in itertools.pairwise(names)]


def _fitting(lines: Sequence[str], budget_chars: int) -> str:
    """As many lines from the top as the budget allows, without blank lines at the ends."""
    lines = list(itertools.dropwhile(lambda line: not line.strip(), lines))
    sizes = itertools.accumulate(map(len, lines))
    taken = sum(1 for _ in itertools.takewhile(lambda size: size <= budget_chars, sizes))
    if taken < min(MIN_SNIPPET_LINES, len(lines)):
        return ""
    while taken and not lines[taken - 1].strip():
        taken -= 1
    return "".join(lines[:taken])


def _known_share(text: str, known: set[str]) -> float:
    filled = [line.strip() for line in split_lines(text) if line.strip()]
    return sum(line in known for line in filled) / len(filled) if filled else 1.0


def _tail_lines(prefix: str) -> list[str]:
    return split_lines(prefix[-LINES_BEFORE * MAX_LINE_CHARS :])[-LINES_BEFORE:]


def _head_lines(suffix: str) -> list[str]:
    return split_lines(suffix[: LINES_AFTER * MAX_LINE_CHARS])[:LINES_AFTER]


def split_lines(text: str) -> list[str]:
    """The lines of a text, each with its line end."""
    ends = [end.end() for end in _LINE_END.finditer(text)]
    return [text[start:end] for start, end in itertools.pairwise([0, *ends, len(text)])]
