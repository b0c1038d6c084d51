"""`BackendInfiller`: jobs are filled by a server of another project.

Whatever happens to the server, every job ends. Text that has arrived becomes a draft, so an
answer that comes in blocks is shown block by block; at the deadline, its whole lines are the
answer. A job that is cancelled or superseded closes its connection, which such servers take for
a cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dg_lsp.fed_job import FedJob
from dg_lsp.job import NOTHING_MISSING, Candidate, Draft, Infill, InfillJob, ModelInfo
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.backend.forms import FORMS, Kind, Piece
from dg_lsp.service.client.connection import BrokenOffError, HttpClient, Response, SilenceError
from dg_lsp.service.client.contact import Contact
from dg_lsp.service.client.patience import MOST_S
from dg_lsp.service.client.refusals import EngineError, UnreachableError
from dg_lsp.service.client.tls import NobodyAnswersError
from dg_lsp.service.fields import Json, SchemaError, dump_json, parse_json

SILENCE_S = 30.0
"""Such servers send nothing until the first text; a full queue takes long."""
RETRIES_S = (0.2, 0.6)
"""Pauses before the same job is sent again after a failure that may pass."""
PASSING = (429, 502, 503, 504)
"""Statuses of servers, and of balancers before them, that a retry may get around."""
CONFIDENCE = 0.5
"""No such server says how sure its model is."""
PREFIX_TOKENS, SUFFIX_TOKENS = 3072, 1024
LONGEST_LINE_BYTES = 8 * 1024 * 1024

EMPTY = Reason(ReasonCode.BLANK, "the model wrote nothing")
LATE = Reason(ReasonCode.DEADLINE, "the deadline passed before the first line was there")
SHOWN = Reason(ReasonCode.ALREADY_SHOWN, "everything that the model wrote was shown before")


class PassingError(EngineError):
    """A failure that may be over in a moment."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """The status of a server, in the terms of an engine's."""

    state: str
    model: ModelInfo
    error: Reason | None = None
    loading_percent: int | None = None


NO_ALTERNATIVES = Reason(
    ReasonCode.NO_ALTERNATIVES,
    "this server does not say what else may stand in place of a word; use a dg-lsp engine",
)
ONE_SPAN = Reason(
    ReasonCode.ONE_SPAN,
    "this server fills one span at a time and cannot pin text within it; ask for one place, or "
    "use a dg-lsp engine with DiffusionGemma",
)


class BackendInfiller:
    """An `Infiller` whose jobs are filled by a server of another project."""

    def __init__(self, kind: Kind, address: Address, model: str = "") -> None:
        """`model` is its name on the server; if empty, the first one that is served."""
        self._kind, self._form, self._address = kind, FORMS[kind], address
        self._model = model
        self._http = HttpClient(address, keeps_cancelled=False)
        self._jobs: dict[FedJob, asyncio.Task[None]] = {}
        self._contact = Contact()
        self._closed = False

    @property
    def silent_s(self) -> float:
        """Always 0: such a server sends no signs of life while it works."""
        return 0.0

    @property
    def unanswered_s(self) -> float:
        return self._contact.unanswered_s

    def submit(self, job: InfillJob) -> FedJob:
        """Send a job; an older one on the same document is superseded."""
        if self._closed:
            raise RuntimeError("the backend is closed")
        for older in [one for one in self._jobs if _is_same(one.job, job)]:
            older.supersede()
        handle = FedJob(job, self._job_ended)
        self._jobs[handle] = asyncio.create_task(self._run(handle))
        return handle

    async def close(self) -> None:
        """Cancel open jobs and disconnect."""
        self._closed = True
        tasks = [*self._jobs.values()]
        for handle in [*self._jobs]:
            handle.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._http.close()

    async def wait_ready(
        self, tell: Callable[[BackendStatus], None] = lambda status: None
    ) -> BackendStatus:
        """Check that the server answers and has the model. Raises `EngineError`."""
        self._contact.wait()
        try:
            return await self.status()
        finally:
            self._contact.over()

    async def status(self) -> BackendStatus:
        """Ask the server for its models. Raises `EngineError` if it does not answer."""
        found = _models(await self._ask(self._form.models_path))
        if self._model and found and self._model not in found:
            raise EngineError(
                f"{self._address} does not serve {self._model}, but {', '.join([*found][:5])}",
                ReasonCode.NO_MODEL,
            )
        name = self._model or next(iter(found), "")
        if not name:
            raise EngineError(
                f"{self._address} serves no model; set dgLsp.engine.backendModel",
                ReasonCode.NO_MODEL,
            )
        if not self._model:
            self._model = name
        host = urlsplit(self._address.url).hostname or ""
        room = found.get(name) or 4 * PREFIX_TOKENS
        model = ModelInfo(
            name,
            host,
            prefix_tokens=min(PREFIX_TOKENS, room // 2),
            suffix_tokens=min(SUFFIX_TOKENS, room // 8),
            follows_instructions=self._form.follows_instructions,
            notes=(
                Reason(
                    ReasonCode.OTHER_SERVER,
                    f"text goes to {host}, which is not a dg-lsp engine ({self._kind.value})",
                ),
            ),
        )
        return BackendStatus("ready", model)

    async def unload(self) -> None:
        """Such a server decides by itself what it keeps loaded."""
        raise EngineError(
            f"the model at {self._address} cannot be unloaded from here",
            ReasonCode.REMOTE_ENGINE,
        )

    async def _run(self, handle: FedJob) -> None:
        try:
            for pause_s in (*RETRIES_S, None):
                try:
                    await self._fill(handle)
                    return
                except PassingError:
                    if pause_s is None:
                        raise
                    await asyncio.sleep(pause_s)
        except EngineError as error:
            handle.fail(error.reason)
        except Exception as error:
            said = f"the answer cannot be used: {type(error).__name__}"
            handle.fail(Reason(ReasonCode.BAD_ANSWER, said))

    async def _fill(self, handle: FedJob) -> None:
        if not self._model:
            await self.status()
        handle.start()
        job, started = handle.job, time.perf_counter()
        if job.pinned or job.alternatives:
            reason = ONE_SPAN if job.pinned else NO_ALTERNATIVES
            handle.finish(Infill((), 0, reason=reason))
            return
        answer = _Answer(started)
        try:
            async with asyncio.timeout(MOST_S if job.deadline_s is None else job.deadline_s):
                async for piece in self._pieces(job):
                    answer.add(piece)
                    if piece.text and piece.choice == 0:
                        handle.publish(self._draft(answer, job))
        except TimeoutError:
            answer.is_late = True
        handle.finish(self._infill(answer, job))

    def _draft(self, answer: _Answer, job: InfillJob) -> Draft:
        text = self._form.finish(answer.texts[0], job.suffix)
        return Draft(text, (), answer.pieces, max(answer.pieces + 1, 2))

    def _infill(self, answer: _Answer, job: InfillJob) -> Infill:
        texts: list[str] = []
        for choice, raw in sorted(answer.texts.items()):
            text = self._form.finish(raw, job.suffix)
            if text == raw and (answer.is_late or choice in answer.cut_short):
                # What was being written when it ended is not complete.
                text = raw.rpartition("\n")[0]
            if text not in texts:
                texts.append(text)
        wanted = [text for text in texts if text.strip() and not job.was_shown(text)]
        reason = None
        if not wanted:
            reason = _why_nothing(answer, texts)
        total_ms = (time.perf_counter() - answer.started) * 1e3
        return Infill(
            tuple(
                Candidate(text, CONFIDENCE, -float(rank)) for rank, text in enumerate(wanted)
            ),
            answer.pieces,
            {
                "encode": answer.first_ms,
                "denoise": total_ms - answer.first_ms,
                "total": total_ms,
            },
            reason,
            self._model,
            answer.prompt_tokens,
        )

    async def _pieces(self, job: InfillJob) -> AsyncIterator[Piece]:
        body = dump_json(self._form.write(job, self._model))
        with self._failures():
            async with self._http.request(
                "POST", self._form.path, body, silence_s=SILENCE_S
            ) as response:
                await self._refuse_errors(response)
                async for chunk in _chunks(response):
                    if chunk.get("error") or chunk.get("object") == "error":
                        raise EngineError(_said(chunk), ReasonCode.JOB_FAILED)
                    for piece in self._form.read(chunk):
                        yield piece

    async def _ask(self, path: str) -> Json:
        with self._failures():
            async with self._http.ask("GET", path) as response:
                await self._refuse_errors(response)
                return parse_json(await response.read())

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """What goes wrong on the way, as an `EngineError`, a passing one where it may help to
        ask again."""
        try:
            yield
        except NobodyAnswersError as error:
            raise _not_connected(error) from error
        except SilenceError as error:
            raise EngineError(
                f"{self._address} does not answer in time",
                ReasonCode.ENGINE_SILENT,
            ) from error
        except BrokenOffError as error:
            kind = EngineError if error.is_answered else PassingError
            raise kind(f"{self._address} broke off", ReasonCode.ENGINE_LOST) from error
        except SchemaError as error:
            raise EngineError(
                f"the answer of {self._address} cannot be read; {self._kind.value} may be the "
                "wrong kind of server"
            ) from error

    async def _refuse_errors(self, response: Response) -> None:
        if response.status == 200:
            return
        body = await response.read()
        try:
            said = _said(parse_json(body))
        except SchemaError:
            said = ""
        code = _CODES.get(response.status, ReasonCode.JOB_FAILED)
        kind = PassingError if response.status in PASSING else EngineError
        message = f"{self._address} answers with status {response.status}"
        raise kind(f"{message}: {said}" if said else message, code)

    def _job_ended(self, handle: FedJob) -> None:
        task = self._jobs.pop(handle)
        if task is not asyncio.current_task():
            task.cancel()


class _Answer:
    """What has arrived of one answer."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.texts: defaultdict[int, str] = defaultdict(str)
        self.cut_short: set[int] = set()
        self.pieces = 0
        self.first_ms = 0.0
        self.prompt_tokens = 0
        self.is_late = False

    def add(self, piece: Piece) -> None:
        if piece.text and not self.pieces:
            self.first_ms = (time.perf_counter() - self.started) * 1e3
        self.pieces += bool(piece.text)
        self.texts[piece.choice] += piece.text
        self.prompt_tokens = piece.prompt_tokens or self.prompt_tokens
        if piece.is_cut_short:
            self.cut_short.add(piece.choice)


_CODES = {
    401: ReasonCode.TOKEN_REFUSED,
    403: ReasonCode.TOKEN_REFUSED,
    404: ReasonCode.NO_MODEL,
    413: ReasonCode.TOO_LARGE,
    429: ReasonCode.RATE_LIMITED,
    502: ReasonCode.NO_ENGINE,
    503: ReasonCode.LOADING,
    504: ReasonCode.ENGINE_SILENT,
}


async def _chunks(response: Response) -> AsyncIterator[dict[str, Any]]:
    """The objects of an answer, as server-sent events or one on each line."""
    rest = b""
    while piece := await response.read_piece():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE_BYTES:
            raise EngineError("the answer has a line that is too long")
        for line in lines:
            if (chunk := _chunk(line)) is not None:
                yield chunk
    if (chunk := _chunk(rest)) is not None:
        yield chunk


def _chunk(line: bytes) -> dict[str, Any] | None:
    data = line.strip().removeprefix(b"data:").strip()
    # Comments, names of events and [DONE] are no objects.
    return parse_json(data) if data.startswith(b"{") else None


def _models(said: Json) -> dict[str, int]:
    """The names of the models that a server lists, and how many tokens each can see, or 0."""
    listed = said.get("data") or said.get("models") or []
    if not isinstance(listed, list):
        return {}
    found: dict[str, int] = {}
    for one in listed:
        if isinstance(one, dict) and (name := one.get("id") or one.get("name")):
            room = one.get("max_model_len")
            found[str(name)] = room if isinstance(room, int) else 0
    return found


def _said(body: Json) -> str:
    """What a server says is wrong, in one line."""
    error = body.get("error") or body.get("message") or body.get("detail") or ""
    if isinstance(error, dict):
        error = error.get("message") or ""
    text = error if isinstance(error, str) else json.dumps(error)
    return " ".join(text.split())[:300]


def _not_connected(error: NobodyAnswersError) -> EngineError:
    is_absent = error.code in (ReasonCode.NO_ENGINE, ReasonCode.UNREACHABLE)
    message = str(error).replace("no engine answers", "no server answers")
    return (_AbsentError if is_absent else EngineError)(message, error.code)


class _AbsentError(PassingError, UnreachableError):
    """Nobody is there, perhaps only for a moment."""


def _why_nothing(answer: _Answer, texts: list[str]) -> Reason:
    if any(text.strip() for text in texts):
        return SHOWN
    if answer.is_late:
        return LATE
    # It went on with the suffix at once.
    return NOTHING_MISSING if any(raw.strip() for raw in answer.texts.values()) else EMPTY


def _is_same(older: InfillJob, newer: InfillJob) -> bool:
    return bool(newer.document_key) and older.document_key == newer.document_key
