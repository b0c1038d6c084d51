"""Cuts spans with known text out of a user's own repository.

Files are found as in an editor session: excluded files and files that are not source code are
left out and counted, and secrets are masked. Spans are chosen by the shape of the text, in the
same way for all languages, so that a file need not parse.
"""

from __future__ import annotations

import keyword
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.document.code_files import MAX_FILE_CHARS, MAX_LINE_CHARS, NOT_CODE
from dg_lsp.document.edit import is_only_closers
from dg_lsp.document.exclusion import excluded_because
from dg_lsp.document.nesting import nesting, tokens
from dg_lsp.document.position import indent_of
from dg_lsp.document.secrets import mask_secrets
from dg_lsp.document.source import SourceError, language_of, read_source
from dg_lsp.evaluation.data import DataError, Problem
from dg_lsp.evaluation.spans import TrueSpan

MAX_SPAN_CHARACTERS = 400
MAX_BLOCK_LINES = 8
ATTEMPTS = 40
"""Positions that are tried per span; short files have few."""

_WORD = re.compile(r"[^\W\d]\w*")
_CALL = re.compile(r"[^\W\d]\w*\(")
_NO_CALL = re.compile(
    r"\b(?:catch|if|for|match|return|switch|while|with)\($"
    r"|\b(?:class|def|fn|fun|func|function|sub)\s+\w+\($"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file that spans may be cut from."""

    path: str
    """Relative to the repository."""
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """The files to cut spans from, and the reasons why others are left out."""

    files: tuple[File, ...]
    left_out: Counter[str]


def find_files(root: Path) -> Found:
    """The source files below a directory. Raises `DataError` if there are none."""
    if not root.is_dir():
        raise DataError(f"{root} is not a directory; name the folder of a repository")
    root = root.resolve()
    files = []
    left_out: Counter[str] = Counter()
    for directory, folders, names in os.walk(root):
        folders[:] = sorted(folder for folder in folders if folder != ".git")
        for name in sorted(names):
            path = Path(directory, name)
            language = language_of(path)
            if language in NOT_CODE or path.is_symlink():
                left_out["no code"] += 1
            elif excluded_because(path, root):
                left_out["excluded"] += 1
            elif text := _text_of(path):
                files.append(File(path.relative_to(root).as_posix(), language, text))
            else:
                left_out["unreadable, empty, packed or too large"] += 1
    if not files:
        counted = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise DataError(f"{root} has no source file to cut from ({counted or 'it is empty'})")
    return Found(tuple(files), left_out)


def cut_spans(files: Sequence[File], per_kind: int, seed: int) -> list[Problem]:
    """Up to `per_kind` spans of each kind and language, the same for the same seed."""
    by_language: dict[str, list[File]] = {}
    for file in files:
        by_language.setdefault(file.language, []).append(file)
    problems: list[Problem] = []
    for language, own in sorted(by_language.items()):
        for kind, cut in CUTS.items():
            rng = random.Random(f"{seed} {language} {kind}")
            found: dict[tuple[str, int], Problem] = {}
            for _ in range(per_kind * ATTEMPTS):
                if len(found) == per_kind:
                    break
                file = rng.choice(own)
                site = cut(file.text, rng)
                if site is not None and _is_worth_asking(file.text[slice(*site)]):
                    found[file.path, site[0]] = _problem(file, kind, *site)
            problems += found.values()
    if not problems:
        raise DataError("no span could be cut from the files; are they code?")
    return problems


def _problem(file: File, kind: str, start: int, end: int) -> Problem:
    text = file.text
    span = TrueSpan(file.path, text[:start], text[end:], text[start:end], kind, file.language)
    return Problem(f"{file.path}:{start}:{kind}", span, file.path)


def _is_worth_asking(text: str) -> bool:
    # Masked secrets are rows of asterisks.
    visible = text.strip()
    return 0 < len(text) <= MAX_SPAN_CHARACTERS and bool(visible) and "****" not in visible


def _text_of(path: Path) -> str | None:
    try:
        text = read_source(path).text
    except SourceError:
        return None
    text = text.replace("\r\n", "\n")
    longest = max(map(len, text.split("\n")))
    if not text.strip() or len(text) > MAX_FILE_CHARS or longest > MAX_LINE_CHARS:
        return None
    return mask_secrets(text)


Cut = tuple[int, int]


def _identifier(text: str, rng: random.Random) -> Cut | None:
    """A name that occurs elsewhere in the file too."""
    word = _random_word(text, rng)
    if word is None or len(re.findall(rf"\b{word[0]}\b", text)) < 2:
        return None
    return word.span()


def _inside_a_token(text: str, rng: random.Random) -> Cut | None:
    """The rest of a name of which at least two characters are typed."""
    word = _random_word(text, rng)
    if word is None or len(word[0]) < 5:
        return None
    return word.start() + rng.randint(2, len(word[0]) - 2), word.end()


def _call_arguments(text: str, rng: random.Random) -> Cut | None:
    """The arguments of a call, on one line."""
    calls = [*_CALL.finditer(text)]
    if not calls:
        return None
    start = rng.choice(calls).end()
    line_start, line_end = _line_around(text, start)
    if _NO_CALL.search(text, line_start, start) or _is_prose(text, start - 1):
        return None
    closed = [right for left, right in nesting(text[start - 1 : line_end]).pairs if left == 0]
    return (start, start + closed[0] - 2) if closed else None


def _line(text: str, rng: random.Random) -> Cut | None:
    """A line without its indentation."""
    start, end = _line_around(text, rng.randrange(len(text)))
    line = text[start:end]
    if is_only_closers(line):
        return None
    return start + len(indent_of(line)), end


def _block(text: str, rng: random.Random) -> Cut | None:
    """All lines that are indented below one that opens a block."""
    _, opener_end = _line_around(text, rng.randrange(len(text)))
    opener_start = text.rfind("\n", 0, opener_end) + 1
    opener = text[opener_start:opener_end]
    if not opener.rstrip().endswith((":", "{", "then", "do")):
        return None
    depth, end = len(indent_of(opener)), opener_end
    for count, line in enumerate(text[opener_end + 1 :].split("\n")):
        if line.strip() and len(indent_of(line)) <= depth:
            break
        if count == MAX_BLOCK_LINES:
            return None
        end += 1 + len(line)
    body = text[opener_end + 1 : end]
    start = opener_end + 1 + len(indent_of(body))
    return start, start + len(text[start:end].rstrip())


CUTS: dict[str, Callable[[str, random.Random], Cut | None]] = {
    "identifier": _identifier,
    "inside a token": _inside_a_token,
    "call arguments": _call_arguments,
    "line": _line,
    "block": _block,
}


def _random_word(text: str, rng: random.Random) -> re.Match[str] | None:
    """A name in code, not in a comment or string."""
    word = _WORD.search(text, rng.randrange(len(text)))
    if word is None or (word.start() and re.match(r"\w", text[word.start() - 1])):
        return None
    if keyword.iskeyword(word[0]) or _is_prose(text, word.start()):
        return None
    return word


def _is_prose(text: str, at: int) -> bool:
    """Whether a position is in a comment or a string."""
    return any(token.start <= at < token.end for token in tokens(text) if not token.kind)


def _line_around(text: str, at: int) -> Cut:
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end
