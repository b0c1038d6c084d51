"""Runs all checks, in the order in which things depend on each other. Never raises."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.diagnosis.available import check_available
from dg_lsp.diagnosis.checkpoint import BUNDLED, check_models
from dg_lsp.diagnosis.engines import check_engines
from dg_lsp.diagnosis.files import check_client, check_directory, check_requests
from dg_lsp.diagnosis.findings import Finding, guarded, one_line, problem
from dg_lsp.diagnosis.journal import read_client, state_directory
from dg_lsp.diagnosis.machine import (
    TorchProbe,
    check_device,
    check_memory,
    check_packages,
    check_python,
    look_at_torch,
)
from dg_lsp.service.process.log import log_directory


@dataclass(frozen=True, slots=True)
class Choice:
    """The model and the device to examine; `None` means the default."""

    model: str | None = None
    device: str | None = None


def last_choice() -> Choice:
    """The settings of the last editor."""
    facts = None
    # There may be no home directory.
    with contextlib.suppress(OSError, RuntimeError):
        facts = read_client(state_directory())
    asked = [(facts or {}).get(name) for name in ("model", "device")]
    return Choice(*(one if isinstance(one, str) and one else None for one in asked))


def examine(
    choice: Choice, runtime: Path | None = None, *, imports_torch: bool = True
) -> Iterator[Finding]:
    """Run all checks except the self-test; yields findings as they are made."""
    # Importing torch takes seconds; other findings are reported in the meantime.
    probe = _begin_probe() if imports_torch else look_at_torch()
    try:
        yield from guarded("python", check_python)
        yield from guarded("packages", check_packages)
        torch = probe.finding() if isinstance(probe, TorchProbe) else probe
        yield torch
        models = [*guarded("model", lambda: check_models(choice.model))]
        yield from models
        # With no wish a model is chosen that fits.
        size_bytes = models[0].facts.get("size_bytes", 0)
        yield from guarded("device", lambda: check_device(torch, choice.device, size_bytes))
        yield from guarded("memory", lambda: check_memory(size_bytes))
        if choice.model in (None, BUNDLED) and len(models) == 1:
            yield from guarded("catalogue", check_available)
        yield from guarded("engine", lambda: check_engines(runtime))
        yield from guarded("log", lambda: check_directory("log", log_directory(), "logs"))
        yield from guarded(
            "state", lambda: check_directory("state", state_directory(), "traces")
        )
        yield from guarded("editor", lambda: check_client(state_directory()))
        yield from guarded("requests", lambda: check_requests(state_directory()))
    finally:
        if isinstance(probe, TorchProbe):
            probe.end()


def _begin_probe() -> TorchProbe | Finding:
    try:
        return TorchProbe()
    except OSError as error:
        said = f"a process cannot be started: {one_line(error)}"
        return problem("torch", said, "check the system's limits for processes")
