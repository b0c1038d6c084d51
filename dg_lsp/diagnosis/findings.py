"""The result of an examination: findings, each with a level and advice."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dg_lsp import __version__


class Level(enum.Enum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as well as it could, or not for everything."""
    PROBLEM = "problem"
    """Something does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    area: str
    level: Level
    said: str
    """What was found, in one line."""
    advice: str = ""
    """What to do about it, if there is anything to do."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs, as plain JSON."""

    def to_json(self) -> dict[str, Any]:
        return {
            "area": self.area,
            "level": self.level.value,
            "said": self.said,
            "advice": self.advice,
            "facts": dict(self.facts),
        }


def ok(area: str, said: str, **facts: Any) -> Finding:
    return Finding(area, Level.OK, said, "", facts)


def warning(area: str, said: str, advice: str, **facts: Any) -> Finding:
    return Finding(area, Level.WARNING, said, advice, facts)


def problem(area: str, said: str, advice: str, **facts: Any) -> Finding:
    return Finding(area, Level.PROBLEM, said, advice, facts)


def guarded(area: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; a check that raises an error becomes a finding."""
    try:
        yield from check()
    except Exception as error:
        yield problem(
            area,
            f"the examination failed: {type(error).__name__}: {one_line(error)}",
            "this is a bug in dg-lsp; please report it",
        )


def worst(findings: Iterable[Finding]) -> Level:
    """The level of a whole report."""
    levels = [*Level]
    return max((finding.level for finding in findings), key=levels.index, default=Level.OK)


def report_json(findings: Iterable[Finding]) -> dict[str, Any]:
    """The report as one JSON object."""
    findings = [*findings]
    return {
        "version": __version__,
        "level": worst(findings).value,
        "findings": [finding.to_json() for finding in findings],
    }


def one_line(error: object) -> str:
    """The message of an error, in one line of limited length."""
    return " ".join(str(error).split())[:300]


def count_of(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def size_of(num_bytes: float) -> str:
    """Bytes in words."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return count_of(round(num_bytes), "byte")


def time_of(seconds: float) -> str:
    """A duration in words."""
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return count_of(round(max(0.0, seconds)), "second")
