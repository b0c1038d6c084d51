"""`dg-lsp engine`: runs, shows and stops the engine process.

Editors start the engine themselves; these commands are for other tools, for other machines
and for diagnosis.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.listening import (
    BackendOption,
    FingerprintOption,
    InsecureOption,
    LimitOption,
    ListenOption,
    TlsCertOption,
    TlsKeyOption,
    TokenFileOption,
    TokensOption,
    open_entrance,
)
from dg_lsp.cli.options import DeviceOption, ModelOption, VramOption
from dg_lsp.reason import CodedError, ReasonCode

if TYPE_CHECKING:
    from dg_lsp.job import Infiller, ModelInfo, OpenedModel
    from dg_lsp.service.address import Address
    from dg_lsp.service.http.commands import Put
    from dg_lsp.service.process.host import EndedJob, ModelLoader
    from dg_lsp.service.schema import EngineStatus

STDERR = 2
"""The descriptor, which `sys.stderr` may not have."""

engine = typer.Typer(add_completion=False, help="Run, show or stop the engine.")

_RuntimeDir = Annotated[Path | None, typer.Option("--runtime-dir", metavar="DIR", hidden=True)]


class _Loader:
    """Everything the host needs to know about models."""

    def __init__(
        self,
        model: str | None,
        device: str | None,
        vram: str | None,
        lost_as: Callable[[], Sequence[str]],
        max_jobs: int | None,
    ) -> None:
        """`lost_as` tells the ways of running the model in which the GPU was lost lately."""
        self._model, self._device, self._vram = model, device, vram
        self._lost_as, self._max_jobs = lost_as, max_jobs
        self._percent: int | None = None

    def open(self) -> OpenedModel:
        from dg_lsp.cli import compose

        def report(share: float) -> None:
            self._percent = round(100 * share)

        self._percent = None
        return compose.open_infiller(
            self._model, self._device, report, self._vram, self._lost_as(), self._max_jobs
        )

    def loading_percent(self) -> int | None:
        return self._percent

    def release(self) -> None:
        gc.collect()
        # Only if torch is loaded; importing it just for this would use memory.
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def device_memory_bytes(self) -> int:
        torch = sys.modules.get("torch")
        # While another thread is importing torch, parts of it are missing.
        cuda = getattr(torch, "cuda", None)
        if cuda is None or not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
            return 0
        return int(cuda.memory_reserved())


@engine.command("run")
def run(
    listen: ListenOption = None,
    insecure: InsecureOption = False,
    token_file: TokenFileOption = None,
    tokens: TokensOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    limit: LimitOption = None,
    backend: BackendOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    vram: VramOption = None,
    idle_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="N", min=0, help="Minutes without a job until the model is unloaded."
        ),
    ] = None,
    exit_minutes: Annotated[
        float | None,
        typer.Option(metavar="N", min=0, help="Minutes without a job until the engine exits."),
    ] = None,
    max_jobs: Annotated[
        int | None,
        typer.Option(
            "--max-jobs",
            metavar="N",
            min=1,
            help="Jobs that may be under way at a time; 1 runs one after the other.",
        ),
    ] = None,
    runtime_dir: _RuntimeDir = None,
) -> None:
    """Serve the model until stopped.

    Editors connect through a socket that only the user can access; with --listen, tools and
    other machines connect over TCP, each with a token (dg-lsp token).
    """
    from dg_lsp.diagnosis.journal import Journal, state_directory
    from dg_lsp.diagnosis.records import tool_record
    from dg_lsp.service.address import (
        engine_name,
        is_loopback,
        parse_listen,
        runtime_directory,
    )
    from dg_lsp.service.process import losses
    from dg_lsp.service.process.serving import IdleTimes, Listening, serve

    def lost_as(listening: Listening) -> list[str]:
        found = losses.recent(listening.directory, listening.name)
        return [one.runs_as for one in found]

    def tell(address: Address) -> None:
        said = f"dg-lsp: listening at {address}\n"
        if entrance.certificate is not None:
            said += f"dg-lsp: its fingerprint is sha256:{entrance.certificate.fingerprint}\n"
        elif tcp is not None and not is_loopback(tcp[0]):
            said += (
                "dg-lsp: warning: there is no TLS, so tokens and text can be read on the way; "
                "use --insecure only inside a VPN or behind a proxy on this machine\n"
            )
        # An engine that a window starts writes this into a file, and the disk may be full.
        with contextlib.suppress(OSError):
            sys.stderr.write(said)
            sys.stderr.flush()

    def note(ended: EndedJob) -> None:
        path, name = (ended.sender.path, ended.sender.name) if ended.sender else ("", "")
        journal.add(tool_record(ended.job, ended.result, ended.took_s, path, name))

    _name_temporary_directory()
    # The last words of a process that a fault ends, for whoever starts the next one.
    faulthandler.enable(STDERR, all_threads=False)
    tcp = None if listen is None else parse_listen(listen)
    entrance = open_entrance(
        tcp[0] if tcp else None,
        insecure=insecure,
        token_file=token_file,
        tokens=tokens,
        tls_cert=tls_cert,
        tls_key=tls_key,
        limits=limit,
    )
    if backend is not None and (listen is None or device or vram or max_jobs):
        raise ArgumentError(
            "--backend is for --listen, and goes without --device, --vram and --max-jobs"
        )
    other = None if backend is None else _backend(backend, model)
    journal = Journal(state_directory())
    try:
        listening = Listening(
            directory=runtime_directory(runtime_dir),
            name=engine_name(model, device),
            tcp=tcp,
            entrance=entrance,
        )
        serve(
            listening,
            other or _Loader(model, device, vram, lambda: lost_as(listening), max_jobs),
            IdleTimes(
                None if idle_minutes is None else idle_minutes * 60,
                None if exit_minutes is None else exit_minutes * 60,
            ),
            tell,
            note,
            run_served,
        )
    finally:
        journal.close()


def run_served(request: bytes, jobs: Infiller, model: ModelInfo, put: Put) -> None:
    """What `dg-lsp infill` asks for; everything that it needs is imported at the first time."""
    from dg_lsp.cli.served_infill import serve_infill

    serve_infill(request, jobs, model, put)


def _name_temporary_directory() -> None:
    """torch asks where it is, and on a full disk Python finds none that can be written to."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = os.environ.get("TMPDIR", "/tmp")


@engine.command("status")
def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each engine.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Show only this engine.")
    ] = None,
    token_file: TokenFileOption = None,
    fingerprint: FingerprintOption = "",
    runtime_dir: _RuntimeDir = None,
) -> None:
    """Show what this user's engines are doing. The exit status is 1 if none is running."""
    from dg_lsp.service.client.refusals import UnreachableError
    from dg_lsp.service.process.lifecycle import probe
    from dg_lsp.service.schema import encode_status

    if address is None:
        places = _running_engines(runtime_dir)
    else:
        places = [_address(address, token_file, fingerprint)]
    found: list[tuple[Address, EngineStatus]] = []
    for place in places:
        try:
            found.append((place, asyncio.run(probe(place))))
        except UnreachableError as error:
            if address is not None:
                raise CodedError(str(error), error.code) from error
    for place, said in found:
        if as_json:
            print(json.dumps({"address": str(place), **encode_status(said)}))
        else:
            print(_told(place, said))
    if not found:
        raise CodedError("no engine is running", ReasonCode.NO_ENGINE)


@engine.command("stop")
def stop(
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Stop only this engine.")
    ] = None,
    token_file: TokenFileOption = None,
    fingerprint: FingerprintOption = "",
    runtime_dir: _RuntimeDir = None,
) -> None:
    """Stop the engines that this user's editors share, each after its current denoising step.

    An engine that was started with --listen is stopped with --address, or with Ctrl+C. The
    token is that of --token-file or of DG_LSP_TOKEN.
    """
    from dg_lsp.service.address import engine_names, runtime_directory
    from dg_lsp.service.process.lifecycle import shut_down, stop_engine

    if address is not None:
        asyncio.run(shut_down(_address(address, token_file, fingerprint)))
        print(f"stopped the engine at {address}")
        return
    directory = runtime_directory(runtime_dir)
    stopped = [
        name for name in engine_names(directory) if asyncio.run(stop_engine(directory, name))
    ]
    print(
        f"stopped {len(stopped)} engine{'s' * (len(stopped) > 1)}"
        if stopped
        else "no engine of the editors is running; --address stops one that listens on TCP"
    )


@engine.command("openapi")
def openapi() -> None:
    """Print the OpenAPI description of the engine's endpoints, as /openapi.json has it."""
    from dg_lsp.service.http.app import OPERATIONS
    from dg_lsp.service.http.description import describe

    print(json.dumps(describe(OPERATIONS), indent=2))


def _address(text: str, token_file: Path | None, fingerprint: str) -> Address:
    from dg_lsp.service.address import client_token, parse_address

    token = client_token("", "" if token_file is None else str(token_file))
    return parse_address(text, token, fingerprint)


def _backend(url: str, model: str | None) -> ModelLoader:
    """What fills an engine's jobs from a server of another project."""
    from dg_lsp.service.address import client_token, parse_address
    from dg_lsp.service.backend.forms import Kind, split_kind
    from dg_lsp.service.backend.infiller import BackendInfiller
    from dg_lsp.service.backend.loader import BackendLoader

    kind, rest = split_kind(url)
    if kind is None:
        kinds = ", ".join(kind.value for kind in Kind)
        raise ArgumentError(f"--backend {url} must be one of {kinds}, then + and a URL")
    address = parse_address(rest, client_token("", ""))
    return BackendLoader(lambda: BackendInfiller(kind, address, model or ""))


def _running_engines(runtime_dir: Path | None) -> list[Address]:
    from dg_lsp.service.address import engine_names, local_address, runtime_directory
    from dg_lsp.service.process.lock import is_held

    directory = runtime_directory(runtime_dir)
    names = [name for name in engine_names(directory) if is_held(directory / f"{name}.lock")]
    return [found for name in names if (found := local_address(directory, name)) is not None]


def _told(place: Address, said: EngineStatus) -> str:
    model = said.model
    lines = [
        f"address   {place}",
        f"process   {said.pid}, dg-lsp {said.version}, up {said.uptime_s:.0f} s",
        f"model     {model.name if model else 'none'}, {said.state}"
        + (f" ({said.loading_percent} %)" if said.loading_percent is not None else "")
        + (f": {said.error}" if said.error else ""),
        f"device    {model.device if model else 'none'}"
        + (f", {model.runs_as}" if model and model.runs_as else ""),
        *(f"note      {note}" for note in (model.notes if model else ())),
        f"jobs      {said.jobs_running} running, {said.jobs_waiting} waiting, "
        f"idle {said.idle_s:.0f} s",
        f"memory    {said.memory_bytes / 1e6:.0f} MB, "
        f"{model.memory_bytes / 1e6 if model else 0:.0f} MB on the device",
        f"log       {said.log or 'none'}",
    ]
    return "\n".join(lines)
