"""What the user is told about the server: whether it is busy, whether it works, and why.

Combines the engine's state, failed requests and reasons for suggesting nothing into one status,
and sends each change to clients that opted in; loading is also reported as standard progress.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator

from lsprotocol import types

from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server import lsp_ext
from dg_lsp.server.capabilities import ClientFeatures
from dg_lsp.server.link.engine_link import EnginePhase, EngineState
from dg_lsp.server.rpc.protocol import Server

log = logging.getLogger(__name__)

Report = Callable[[str, float], None]
"""Called with a message and the share of the work done, in [0, 1]."""
BUNDLED = "bundled"
"""Name of the small model that ships with the package."""


class StatusBoard:
    """The status of one session."""

    def __init__(self, server: Server, engine: EngineState) -> None:
        self._server = server
        self._engine = engine
        self._client: ClientFeatures | None = None
        self._num_busy = 0
        self._trouble: Reason | None = None
        self._quiet: Reason | None = None
        self._told: set[ReasonCode] = set()
        """Causes that the user has already been told about."""
        self._sent: lsp_ext.Status | None = None
        self._progress: str | None = None

    @property
    def now(self) -> lsp_ext.Status:
        engine, model = self._engine, self._engine.model
        reason = engine.failure or self._trouble or self._quiet
        if engine.failure is not None:
            kind = "Error"
        elif self._trouble is not None:
            kind = "Warning"
        else:
            kind = "Normal" if self._quiet is None else "Inactive"
        is_starting = engine.phase is EnginePhase.STARTING
        if reason is None and is_starting:
            reason = Reason(ReasonCode.LOADING, engine.message)
        elif reason is None and model is not None and not engine.message:
            reason = next(iter(model.notes), None)
        message = engine.message if reason is None else reason.message
        if not message and model is not None and model.name == BUNDLED:
            message = "the bundled model is in use, which is only a demonstration"
        return lsp_ext.Status(
            busy=self._num_busy > 0 or is_starting,
            kind=kind,
            message=message,
            code=reason.code.value if reason else None,
            model=model.name if model else "",
            device=model.device if model else "",
            memory_bytes=model.memory_bytes if model else 0,
            percent=engine.percent,
            follows_instructions=model.follows_instructions if model else None,
        )

    def begin(self, client: ClientFeatures) -> None:
        """The client is known and accepts messages from now on."""
        self._client = client
        self.engine_changed(self._engine)

    @contextlib.contextmanager
    def working(
        self, token: types.ProgressToken | None, title: str, *, can_stop: bool = False
    ) -> Iterator[Report]:
        """Busy while inside; with progress if the request has a token for it.

        `can_stop` says that the client may end the work with the token.
        """
        self._num_busy += 1
        self._send()
        progress = self._server.work_done_progress
        if token is not None:
            share = 0 if can_stop else None
            begin = types.WorkDoneProgressBegin(title, cancellable=can_stop, percentage=share)
            progress.begin(token, begin)

        def report(message: str, share: float) -> None:
            if token is not None:
                told = types.WorkDoneProgressReport(
                    message=message, percentage=round(100 * share)
                )
                progress.report(token, told)

        try:
            yield report
        finally:
            if token is not None:
                progress.end(token, types.WorkDoneProgressEnd())
                progress.tokens.pop(token, None)
            self._num_busy -= 1
            self._send()

    def well(self) -> None:
        """A request succeeded."""
        self._trouble = self._quiet = None
        self._send()

    def failed(self, reason: Reason) -> None:
        """A request failed; the next one may succeed."""
        self._trouble = reason
        self._send()

    def job_failed(self, reason: Reason) -> None:
        """A request failed, and the user sees only an empty answer."""
        self._tell_once(reason)
        self.failed(reason)

    def quiet(self, reason: Reason) -> None:
        """Suggestions are disabled here."""
        self._trouble, self._quiet = None, reason
        self._send()

    def engine_changed(self, engine: EngineState) -> None:
        """The engine started, stopped or failed, or loading progressed."""
        begins = engine.phase is not self._engine.phase
        self._engine = engine
        if engine.phase is EnginePhase.READY or (
            engine.phase is EnginePhase.STARTING and begins
        ):
            # It may be well again; what fails from now on is told.
            self._trouble = None
        elif engine.failure is not None:
            self._tell_once(engine.failure)
        self._send()
        if self._client is None or not self._client.shows_progress:
            return
        if engine.phase is EnginePhase.STARTING:
            self._show_progress(engine)
        elif self._progress is not None:
            token, self._progress = self._progress, None
            self._server.work_done_progress.end(token, types.WorkDoneProgressEnd())
            self._server.work_done_progress.tokens.pop(token, None)

    def _show_progress(self, engine: EngineState) -> None:
        progress = self._server.work_done_progress
        if self._progress is None:
            token = self._progress = f"dg-lsp-{uuid.uuid4().hex[:8]}"
            # The client creates the token before it reads on; its answer contains nothing.
            self._server.protocol.send_request(
                types.WINDOW_WORK_DONE_PROGRESS_CREATE,
                types.WorkDoneProgressCreateParams(token),
            )
            begin = types.WorkDoneProgressBegin(
                "dg-lsp",
                cancellable=False,
                message=engine.message or "starting",
                percentage=engine.percent,
            )
            progress.begin(token, begin)
            return
        report = types.WorkDoneProgressReport(message=engine.message, percentage=engine.percent)
        progress.report(self._progress, report)

    def _tell_once(self, trouble: Reason) -> None:
        """One message per cause and session, for clients that show no status."""
        if self._client is None or self._client.extensions.status or trouble.code in self._told:
            return
        self._told.add(trouble.code)
        advice = "Run `dg-lsp doctor` for details."
        text = f"dg-lsp: {trouble.message.rstrip('.')}. {advice}"
        shown = types.ShowMessageParams(types.MessageType.Warning, text)
        self._server.window_show_message(shown)

    def _send(self) -> None:
        if self._client is None or not self._client.extensions.status:
            return
        status = self.now
        if status != self._sent:
            self._sent = status
            self._server.protocol.notify(lsp_ext.STATUS, status.to_json())
