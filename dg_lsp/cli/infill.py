"""`dg-lsp infill`: fills one span of a file and shows it; the file itself is never written.

Reads the command line and opens the model; filling.py has the same job built as for an editor,
waits for it and prints the result, and live.py draws the drafts. If an engine is running, the
usual command lines do not come here: quick_infill.py has the engine's process do all of it.
"""

from __future__ import annotations

import contextlib
import enum
import io
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli.filling import DEFAULT, Asked, Output, fill, read_span
from dg_lsp.cli.options import DeviceOption, ModelOption, VramOption
from dg_lsp.document.holes import MARK

if TYPE_CHECKING:
    from rich.console import Console

    from dg_lsp.job import OpenedModel

_MAX_SEED = 2**32 - 1


class EngineUse(enum.Enum):
    """Which process runs the model."""

    AUTO = "auto"
    NEVER = "never"


def infill(
    site: Annotated[
        str,
        typer.Argument(
            metavar="FILE:LINE:COLUMN",
            help="Where to fill; lines and columns start at 1, as editors show them. With "
            "--hole, FILE, or - for standard input.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(metavar="LINE:COLUMN", help="End of the selection to rewrite."),
    ] = None,
    hole: Annotated[
        bool,
        typer.Option("--hole", help="Fill all marks of the file together, in one canvas."),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The file name of standard input, for --hole."),
    ] = None,
    mark: Annotated[
        str | None, typer.Option(metavar="TEXT", help=f"The mark of a hole; by default {MARK}.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(metavar="TEXT", help="How to rewrite the selection.")
    ] = None,
    candidates: Annotated[
        int, typer.Option("--candidates", "-n", metavar="N", help="Alternatives wanted.")
    ] = DEFAULT.candidates,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=_MAX_SEED, help="Another seed gives another suggestion."
        ),
    ] = DEFAULT.seed,
    model: ModelOption = None,
    device: DeviceOption = None,
    vram: VramOption = None,
    engine: Annotated[
        EngineUse,
        typer.Option(
            help="auto: the running engine, if it has the model; never: load the model here."
        ),
    ] = EngineUse.AUTO,
    max_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Maximum tokens of a candidate; not for rewrites.",
        ),
    ] = DEFAULT.max_tokens,
    strength: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="How freely to rewrite, above 0 and at most 1."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead.")
    ] = False,
) -> None:
    """Fill a span of a file with the model and show it; the file is not changed.

    On a terminal, the span is drawn while it is being denoised. When the output is redirected
    or piped, only the best candidate is printed, in UTF-8, with a newline at the end; --json
    prints it exactly.

    With --hole, what is printed is the whole file, with its holes filled.

    If the editors' engine is running and has the model, it is used; no engine is started.
    """
    asked = Asked(
        site=site,
        to=to,
        hole=hole,
        name=name,
        mark=mark,
        instruction=instruction,
        candidates=candidates,
        seed=seed,
        max_tokens=max_tokens,
        strength=strength,
        as_json=as_json,
    )
    span, options = read_span(asked)
    terminal = None if as_json else _terminal()
    opening = terminal.status("opening the model") if terminal else contextlib.nullcontext()
    with opening:
        opened = _open_model(model, device, vram, engine)
    fill(span, options, opened, Output(_write, _say, terminal), as_json=as_json)


def _open_model(
    model: str | None, device: str | None, vram: str | None, engine: EngineUse
) -> OpenedModel:
    from dg_lsp.cli.compose import open_infiller
    from dg_lsp.cli.running import open_running

    # A memory limit applies only to a model that this process loads.
    found = open_running(model, device) if engine is EngineUse.AUTO and vram is None else None
    return found or open_infiller(model, device, vram=vram)


def _terminal() -> Console | None:
    """Stdout as a terminal, or `None` if it is not one."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        # The file may contain characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _say(line: str) -> None:
    print(line, file=sys.stderr)
