"""Measures how many secrets are masked, and how much else is masked by mistake.

The cases are texts with random values generated from a seed, so no key was ever real. In a file
of cases, a line `== name` begins each case; `«` and `»` surround secrets, and `{hex:32}` stands
for 32 random characters. The rules were written without looking at the cases whose name ends in
`[held out]`, which therefore show how the rules handle unforeseen formats.
"""

from __future__ import annotations

import base64
import random
import re
import string
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.document.secrets import find_secrets

_LETTERS = string.ascii_letters + string.digits
_ALPHABETS = {
    "alnum": _LETTERS,
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "digits": string.digits,
    "base64": _LETTERS + "+/",
    "base64url": _LETTERS + "-_",
    "b32": string.ascii_uppercase + "234567",
    "b32l": string.ascii_lowercase + "234567",
    "bech32": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
}
_WORDS: list[str] = re.findall(
    r"\w+",
    """amber anchor basil beacon cedar cobalt comet copper coral delta ember falcon garnet
    harbor indigo juniper lagoon maple meadow nectar nimbus onyx orchid pepper quartz
    raven saffron summit thistle timber topaz velvet violet walnut willow zephyr""",
)
_DRAWN = re.compile(r"\{([A-Za-z]\w*)(?::(\d+))?\}")
_HELD_OUT = " [held out]"
_MARK = re.compile("[«»]")


@dataclass(frozen=True, slots=True)
class Case:
    """A text with placeholders for random values."""

    name: str
    text: str
    held_out: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """A text to mask, and the secrets in it."""

    text: str
    secrets: tuple[tuple[int, int], ...]
    """The start and end of each secret."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many samples of one case were handled correctly."""

    case: Case
    right: int
    drawn: int


def read_cases(file: Path) -> list[Case]:
    """The cases of a file, in order."""
    blocks = re.split(r"^== (.+)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pairs = zip(blocks[1::2], blocks[2::2], strict=True)
    return [Case(name.removesuffix(_HELD_OUT), text, _HELD_OUT in name) for name, text in pairs]


def sample(case: Case, rng: random.Random) -> Sample:
    """One text of a case."""
    drawn = _DRAWN.sub(lambda found: _draw(found, rng), case.text)
    parts = _MARK.split(drawn)
    bounds, at = [], 0
    for index, part in enumerate(parts):
        if index % 2:
            bounds.append((at, at + len(part)))
        at += len(part)
    return Sample("".join(parts), tuple(bounds))


def recall(cases: Iterable[Case], times: int, seed: int = 0) -> list[Tally]:
    """The samples of a case in which every character of every secret is masked."""
    return _tallies(cases, times, seed, _is_hidden)


def precision(cases: Iterable[Case], times: int, seed: int = 0) -> list[Tally]:
    """The samples of a case in which nothing is masked."""
    return _tallies(cases, times, seed, lambda one: not find_secrets(one.text))


def share(tallies: Sequence[Tally]) -> float:
    """The share of samples that were handled correctly."""
    return sum(tally.right for tally in tallies) / sum(tally.drawn for tally in tallies)


@dataclass(frozen=True, slots=True)
class Scan:
    """The masks in files of code."""

    lines: int
    masked: tuple[tuple[Path, int, str], ...]
    """File, line from 1, and what was masked in it."""


def scan(files: Iterable[Path], max_lines: int) -> Scan:
    """Mask files up to a number of lines."""
    lines, masked = 0, []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        lines += text.count("\n")
        for found in find_secrets(text):
            line = text.count("\n", 0, found.start) + 1
            masked.append((file, line, text[found.start : found.end]))
        if lines >= max_lines:
            break
    return Scan(lines, tuple(masked))


def _tallies(
    cases: Iterable[Case], times: int, seed: int, is_right: Callable[[Sample], bool]
) -> list[Tally]:
    tallies = []
    for case in cases:
        # Each case has its own random values, whatever precedes it in the file.
        rng = random.Random(f"{seed} {case.name}")
        right = sum(is_right(sample(case, rng)) for _ in range(times))
        tallies.append(Tally(case, right, times))
    return tallies


def _is_hidden(one: Sample) -> bool:
    hidden = {at for found in find_secrets(one.text) for at in range(found.start, found.end)}
    return all(
        at in hidden
        for start, end in one.secrets
        for at in range(start, end)
        if not one.text[at].isspace()
    )


def _draw(found: re.Match[str], rng: random.Random) -> str:
    kind, length = found[1], int(found[2] or 0)
    if kind in _ALPHABETS and length:
        return "".join(rng.choices(_ALPHABETS[kind], k=length))
    if kind == "word":
        return rng.choice(_WORDS)
    if kind == "uuid":
        return str(uuid.UUID(int=rng.getrandbits(128), version=4))
    if kind == "phrase":
        return " ".join(rng.choices(_WORDS, k=rng.randint(3, 5)))
    if kind == "basic":
        pair = f"{rng.choice(_WORDS)}:{_password(rng, '!#%+-')}"
        return base64.b64encode(pair.encode()).decode()
    if kind == "django":
        return "".join(
            rng.choices(string.ascii_lowercase + string.digits + "!@#$%^&*(-_=+)", k=50)
        )
    if kind == "salt":
        return "".join(rng.choices(_LETTERS + "!@#$%^&*()-_ []{}<>~`+=,.;:/?|", k=64))
    if kind in _SYMBOLS:
        return _password(rng, _SYMBOLS[kind])
    # Braces of the text itself.
    return found[0]


_SYMBOLS = {
    "wordpw": "_-!",
    "urlpw": "-_.~!",
    "xmlpw": "!@#%^_+-.$",
    "connpw": "!@#%^_+-$",
    "shellpw": "!@#%^_+-.",
    "quotedpw": "!@#$%^&()_+-=?.",
}
"""Kinds of passwords: the symbols that are possible in their context."""


def _password(rng: random.Random, symbols: str) -> str:
    """A password of a kind that people and programs invent; never letters only."""
    first, second = rng.sample(_WORDS, 2)
    number, symbol = str(rng.randint(1, 2030)), rng.choice(symbols)
    sort = rng.randrange(5)
    if sort == 0:
        return first.capitalize() + number + rng.choice(["", symbol])
    if sort == 1:
        return first + symbol + second + number
    if sort == 2:
        return first.translate(str.maketrans("aeio", "4310")) + symbol + number
    body = "".join(rng.choices(_LETTERS + (symbols if sort == 3 else ""), k=rng.randint(8, 20)))
    return rng.choice(string.ascii_letters) + body + rng.choice(string.digits)
