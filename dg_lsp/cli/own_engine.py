"""An engine of a benchmark's own, in directories that no other engine uses."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

    from dg_lsp.benchmark.editor import Serving


@contextlib.contextmanager
def own_engine(model: str | None, device: str | None) -> Iterator[Serving]:
    """Directories that no other engine uses; the engine in them is stopped at the end."""
    from dg_lsp.benchmark.editor import Serving
    from dg_lsp.cli.compose import model_for_engine

    directory = Path(tempfile.mkdtemp(prefix="dg-lsp-bench-"))
    places = {f"DG_LSP_{kind}_DIR": str(directory) for kind in ("RUNTIME", "STATE", "LOG")}
    arguments: list[str] = []
    for option, value in (("--model", model_for_engine(model)), ("--device", device)):
        arguments += [] if value is None else [option, value]
    try:
        yield Serving({**os.environ, **places}, tuple(arguments))
    finally:
        _end_all(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _end_all(runtime: Path) -> None:
    """Stop every engine of a runtime directory, even one that is not listening yet."""
    import psutil

    running = processes_of(str(runtime))
    for process in running:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stuck = psutil.wait_procs(running, timeout=10)
    for process in stuck:
        process.kill()


def processes_of(runtime: str) -> list[psutil.Process]:
    """The servers and engines that use a runtime directory."""
    import psutil

    found = []
    for process in psutil.process_iter():
        # Processes end while one looks, and those of others may not be looked at.
        with contextlib.suppress(psutil.Error):
            if process.environ().get("DG_LSP_RUNTIME_DIR") == runtime:
                found.append(process)
    return found
