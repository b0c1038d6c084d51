"""Renders the doctor's report and a trace as Markdown pages, and the anonymous report.

The input is the JSON that `dg-lsp doctor --json` and `dg-lsp trace --json` print. The pages
contain text and tables; an editor adds its own links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dg_lsp.diagnosis.reading import (
    asked_by,
    clock_of,
    place_of,
    plain,
    section,
    stages_of,
    texts_of,
    work_of,
)
from dg_lsp.diagnosis.records import Record

Report = Mapping[str, Any]

MARKS = {"ok": "✓", "warning": "⚠", "problem": "✗"}
HEADLINES = {
    "ok": "Everything is in order",
    "warning": "It works, but something could be better",
    "problem": "Something does not work",
}
OUTCOMES = {
    "suggested": "a suggestion was shown",
    "nothing": "nothing was suggested",
    "refused": "the model was not asked",
    "superseded": "a newer request took its place",
    "cancelled": "the editor withdrew it",
    "failed": "it failed",
}
BAR_CELLS = 24

PUBLIC_FACTS = {
    "python": ("version", "system"),
    "packages": (
        "transformers",
        "tokenizers",
        "safetensors",
        "pygls",
        "h11",
        "starlette",
        "uvicorn",
    ),
    "torch": ("version", "cuda_build", "threads"),
    "model": ("size_bytes", "is_packed"),
    "device": (),
    "catalogue": ("best",),
    "memory": ("free_bytes", "total_bytes"),
    "engine": ("version", "state", "device", "uptime_s", "memory_bytes", "starts"),
    "editor": ("name", "version", "dg_lsp"),
    "requests": ("outcomes",),
}
"""The facts of each area that the anonymous report contains: numbers and product names."""
PUBLIC_TRACE = (
    *(
        "client",
        "method",
        "trigger",
        "language",
        "outcome",
        "reason_code",
        "how",
        "seen",
        "candidates",
    ),
    *("suggestions", "steps", "timings_ms", "engine_ms", "total_ms"),
)
_HARMLESS = re.compile(r"`(dg-lsp [a-z -]+|dgLsp\.[\w.]+)`|\btextDocument/|\bworkspace/")
_PATH_OR_QUOTE = re.compile(r"[/\\~'\"“`]|\b[A-Za-z]:")


def doctor_page(report: Report) -> str:
    """The doctor's report: first the problems and what to do, then everything that was
    checked."""
    level = plain(report.get("level", "ok"))
    lines = ["# dg-lsp doctor", "", f"**{HEADLINES.get(level, level)}.**", ""]
    lines.append(f"dg-lsp {inline(report.get('version', ''))}")
    findings = _findings(report)
    bad = [one for one in findings if one.get("level") != "ok"]
    if bad:
        lines += ["", "## What to do", ""]
        for finding in sorted(bad, key=lambda one: one.get("level") != "problem"):
            lines.append(f"- {_mark(finding)} **{_area(finding)}**: {_said(finding)}")
            if finding.get("advice"):
                lines.append(f"  <br>→ {inline(finding['advice'])}")
    lines += ["", "## Everything that was checked", "", "| | | |", "| --- | --- | --- |"]
    lines += [f"| {_mark(one)} | **{_area(one)}** | {_cell(_said(one))} |" for one in findings]
    return "\n".join(lines) + "\n"


def trace_page(record: Record) -> str:
    """The page of a trace: what became of a request, and why."""
    outcome = plain(record.get("outcome", "unknown"))
    lines = [f"# Request at {inline(place_of(record))}", ""]
    lines.append(f"**{clock_of(record)}: {inline(OUTCOMES.get(outcome, outcome))}.**")
    if isinstance(record.get("reason"), str):
        lines += ["", f"Reason: {inline(record['reason'])}"]
    rows = [
        ("asked by", ", ".join(asked_by(record))),
        ("answered from", record.get("how")),
        *work_of(record),
    ]
    lines += ["", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {_cell(inline(value))} |" for name, value in rows if value]
    stages = stages_of(record)
    if stages:
        lines += ["", "## Where the time went", "", "| stage | ms | |", "| --- | ---: | --- |"]
        lines += _stage_rows(stages)
        total_ms = record.get("total_ms")
        if isinstance(total_ms, int | float):
            lines.append(f"| **total** | **{total_ms:.1f}** | |")
    texts = [(name, text) for name, text in texts_of(record) if text]
    if texts:
        lines += ["", "## The text"]
    for name, text in texts:
        lines += _fenced(name, text)
    return "\n".join(lines) + "\n"


def issue_report(report: Report, record: Record | None) -> str:
    """A report for an issue, without paths, names or text of the user.

    It contains only the facts listed above; a sentence with a path or a quotation is left out
    completely.
    """
    lines = ["### Environment", "", f"- dg-lsp: {plain(report.get('version', ''))}"]
    for finding in _findings(report):
        area, level = plain(finding.get("area", "")), plain(finding.get("level", ""))
        facts = section(finding.get("facts"))
        told = [f"{name} {_public(facts[name])}" for name in PUBLIC_FACTS.get(area, ())
                if facts.get(name) not in (None, "")]  # fmt: skip
        if area == "device":
            told = [*_devices(facts)]
        if level != "ok" and finding.get("said"):
            told.append(_sentence(finding["said"]))
        if told or level != "ok":
            lines.append(f"- {area}: {level}" + (f"; {', '.join(told)}" if told else ""))
    if record is not None:
        lines += ["", "### Last request", ""]
        if record.get("reason"):
            lines.append(f"- reason: {_sentence(record['reason'])}")
        for name in PUBLIC_TRACE:
            if record.get(name) not in (None, "", [], {}):
                lines.append(f"- {name}: {_public(record[name])}")
    return "\n".join(lines) + "\n"


def inline(value: Any) -> str:
    """Text for a line of Markdown, shown literally except for `code` in backticks."""
    pieces = re.split(r"(`[^`]+`)", plain(value))
    return "".join(
        piece if number % 2 else _escaped(piece) for number, piece in enumerate(pieces)
    )


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore inside a word is not emphasis, and names are easier to read unescaped.
    return re.sub(r"([\\`*\[\]#~$])|(?<!\w)(_)|(_)(?!\w)", r"\\\g<0>", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _findings(report: Report) -> list[dict[str, Any]]:
    found = report.get("findings")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _mark(finding: Mapping[str, Any]) -> str:
    return MARKS.get(plain(finding.get("level", "")), "·")


def _area(finding: Mapping[str, Any]) -> str:
    return inline(finding.get("area", ""))


def _said(finding: Mapping[str, Any]) -> str:
    return inline(finding.get("said", ""))


def _stage_rows(stages: list[tuple[str, float]]) -> Iterator[str]:
    longest_ms = max(took_ms for _, took_ms in stages)
    for stage, took_ms in stages:
        bar = "█" * round(BAR_CELLS * took_ms / longest_ms)
        yield f"| {_cell(inline(stage))} | {took_ms:.1f} | {bar} |"


def _fenced(name: str, text: str) -> list[str]:
    """A text in a fence that is longer than any fence in it."""
    longest = max((len(one) for one in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return ["", f"{inline(name)}:", "", fence, *text.split("\n"), fence]


def _devices(facts: Mapping[str, Any]) -> Iterator[str]:
    devices = facts.get("devices")
    for one in devices if isinstance(devices, list) else ():
        names = ("name", "total_bytes", "capability")
        yield " ".join(_public(section(one).get(name, "")) for name in names)


def _public(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{plain(name)} {_public(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(_public(one) for one in _bounded(value))
    return _sentence(value)


def _bounded(values: list[Any]) -> Iterable[Any]:
    return values[:10]


def _sentence(value: Any) -> str:
    said = plain(value)
    is_private = _PATH_OR_QUOTE.search(_HARMLESS.sub("", said)) is not None
    return "(left out, as it may name a file)" if is_private else said
