"""How long an engine that should be there has not answered whoever looks for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Contact:
    """Whether an engine answers; told while somebody waits for that."""

    since: float | None = None
    """When it was asked, by the event loop's clock; `None` while nobody waits for an answer."""

    @property
    def unanswered_s(self) -> float:
        return 0.0 if self.since is None else asyncio.get_running_loop().time() - self.since

    def wait(self) -> None:
        """It should answer from now on."""
        if self.since is None:
            self.since = asyncio.get_running_loop().time()

    def over(self) -> None:
        """It has answered, or there is none."""
        self.since = None
