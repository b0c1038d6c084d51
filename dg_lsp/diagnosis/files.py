"""Checks the directories that are written to, the last editor, and the last requests."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dg_lsp import __version__
from dg_lsp.diagnosis.findings import Finding, ok, one_line, time_of, warning
from dg_lsp.diagnosis.journal import Record, read_client, read_traces

LEAST_FREE_BYTES = 50_000_000
NUM_REQUESTS = 50
"""Number of the last requests that are counted."""


def check_directory(area: str, directory: Path, holds: str) -> Iterator[Finding]:
    """Whether a directory, or the one that it would be created in, is writable."""
    facts: Record = {"directory": str(directory)}
    found = directory
    while not found.exists() and found != found.parent:
        found = found.parent
    try:
        if not found.is_dir():
            raise NotADirectoryError(f"{found} is not a directory")
        with tempfile.TemporaryFile(dir=found) as file:
            file.write(b"x" * 4096)
        free_bytes = facts["free_bytes"] = shutil.disk_usage(found).free
    except OSError as error:
        said = f"{directory} cannot be written to: {error.strerror or one_line(error)}"
        advice = f"correct that to have {holds}; everything else works without"
        yield warning(area, said, advice, **facts)
        return
    if free_bytes < LEAST_FREE_BYTES:
        said = f"the disk of {directory} is almost full"
        yield warning(area, said, f"make room, or {holds} will be lost", **facts)
    else:
        yield ok(area, str(directory), **facts)


def check_client(directory: Path) -> Iterator[Finding]:
    """The last editor, and its capabilities."""
    facts = read_client(directory)
    if facts is None:
        yield ok("editor", "none has been here yet")
        return
    yield _client(facts)


def check_requests(directory: Path) -> Iterator[Finding]:
    """The outcomes of the last requests of all editors."""
    with contextlib.suppress(OSError):
        records = read_traces(directory, NUM_REQUESTS)
        if records:
            yield _requests(records)


def _client(facts: Record) -> Finding:
    name = f"{facts.get('name') or 'an editor that gave no name'} {facts.get('version', '')}"
    at = facts.get("time")
    ago = f", {time_of(time.time() - at)} ago" if isinstance(at, int | float) else ""
    can = [
        shown
        for names, shown in (
            (("announces_inline_completion", "registers_inline_completion"), "ghost text"),
            (("takes_action_literals",), "code actions"),
            (("has_configuration", "registers_configuration"), "live settings"),
            (("shows_progress",), "progress"),
        )
        if any(facts.get(one) for one in names)
    ]
    extensions: Any = facts.get("extensions")
    if isinstance(extensions, dict):
        can += [shown.replace("_", " ") for shown, is_on in extensions.items() if is_on]
    said = f"{name.strip()}{ago}: {', '.join(can) or 'announced nothing'}"
    if facts.get("is_engine_elsewhere"):
        said += (
            "; it uses an engine at another address, which is not checked here: "
            "`dg-lsp engine status --address HOST:PORT` does that"
        )
    if facts.get("dg_lsp") != __version__:
        said += f"; it ran dg-lsp {facts.get('dg_lsp')}, and this is {__version__}"
        return warning("editor", said, "restart the editor", **facts)
    if not (facts.get("announces_inline_completion") or facts.get("completion_fallback")):
        advice = 'if no ghost text appears there, set "dgLsp.completionFallback" to true'
        return warning("editor", f"{said}; no ghost text", advice, **facts)
    return ok("editor", said, **facts)


def _requests(records: list[Record]) -> Finding:
    outcomes = Counter(str(record.get("outcome")) for record in records)
    shown = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    said = f"of the last {len(records)}: {shown}"
    facts = {"outcomes": dict(outcomes)}
    last = records[-1]
    if last.get("outcome") == "failed":
        reason = one_line(last.get("reason"))
        said = f"{said}; the last one failed: {reason}"
        return warning("requests", said, "`dg-lsp trace` shows them", **facts)
    return ok("requests", said, **facts)
