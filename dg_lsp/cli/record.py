"""`dg-lsp record`: whether typing sessions are recorded on this machine, for replays."""

from __future__ import annotations

from typing import Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.reason import ReasonCode


def record(
    on: Annotated[
        bool, typer.Option("--on", help="Record in windows opened from now on.")
    ] = False,
    off: Annotated[bool, typer.Option("--off", help="Record no more.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Delete all recordings.")] = False,
) -> None:
    """Record typing sessions on this machine, for `dg-lsp bench keystrokes --recorded`.

    Off unless you switch it on. A recording is the text of a document and your edits of it. No
    excluded file is recorded, and no document that has a secret at any time. The last 20
    recordings are kept; without an option, the command says how many there are and where.
    """
    from dg_lsp.diagnosis import recordings
    from dg_lsp.diagnosis.journal import state_directory

    if on and off:
        raise ArgumentError("--on and --off cannot be combined")
    state = state_directory()
    directory = recordings.recordings_directory(state)
    try:
        if on or off:
            recordings.switch(state, on=on)
        if forget:
            recordings.forget(state)
    except OSError as error:
        raise ArgumentError(
            f"{directory} cannot be changed: {error.strerror or error}", ReasonCode.BAD_FILE
        ) from error
    number = len(recordings.read_recordings(state))
    is_on = "on" if recordings.is_recording(state) else "off"
    print(f"recording is {is_on}; {number} recordings in {directory}")
