"""What all endpoints of an engine share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.sent_jobs import SentJobs
from dg_lsp.service.process.host import EngineHost


@dataclass(frozen=True, slots=True)
class ServedEngine:
    """An engine whose endpoints are open."""

    host: EngineHost
    metrics: Metrics
    stop: Callable[[], None]
    """Begins the shutdown of the process and returns."""
    log_path: str = ""
    started: float = field(default_factory=time.monotonic)
    sent: SentJobs = field(default_factory=SentJobs)
