"""Many clients type at a time, each on a connection of its own to a real engine.

A client types words of lines of its own document, and asks after each one; it types on as soon
as it has the answer. That is more than people ask for, who also read and think, so that an
engine keeps up with several times as many people.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dg_lsp.benchmark.overhead import document_of
from dg_lsp.job import InfillJob, JobState
from dg_lsp.service.address import Address
from dg_lsp.service.client.connection import HttpClient
from dg_lsp.service.client.infiller import HttpInfiller

DOCUMENT_BYTES = 120_000
BEFORE, AFTER = 8000, 3000
"""Characters of a job on both sides of the cursor; models cut what is too much for them."""


@dataclass(frozen=True, slots=True)
class Held:
    """How an engine held the load of some clients."""

    clients: int
    jobs: int
    failed: int
    jobs_per_s: float
    tokens_per_s: float
    p50_s: float
    p95_s: float
    worst_s: float
    """From asking to the answer."""
    passes_per_job: float
    """Forward passes of the decoder."""
    jobs_per_pass: float
    """How many jobs shared one, on average."""
    rows_per_pass: float


def typed(seed: int) -> Iterator[InfillJob]:
    """What one client asks for, one after the other."""
    text, rng = document_of(DOCUMENT_BYTES), random.Random(seed)
    lines = [found for found in re.finditer(r"^ +\S.*$", text[BEFORE:-AFTER], re.M)]
    while True:
        line = rng.choice(lines)
        for word in re.finditer(r"\w+\W*", line[0]):
            cursor = BEFORE + line.start() + word.start()
            end = BEFORE + line.end()
            yield InfillJob(
                text[cursor - BEFORE : cursor],
                text[end : end + AFTER],
                path=f"typed_{seed}.py",
                language="python",
                extra_candidates=4,
            )


async def hold(address: Address, clients: int, jobs: int) -> Held:
    """Have so many clients share so many jobs."""
    before = await counts_of(address)
    each = [jobs // clients + (number < jobs % clients) for number in range(clients)]
    start = time.perf_counter()
    typing = [_type(address, seed, count) for seed, count in enumerate(each)]
    found = [one for ones in await asyncio.gather(*typing) for one in ones]
    took_s = time.perf_counter() - start
    after = await counts_of(address)
    done = {name: after[name] - before.get(name, 0.0) for name in after}
    passes = max(1.0, done["denoising_passes"])
    times = np.array([took for took, _ in found])
    p50, p95 = np.percentile(times, (50, 95), method="inverted_cdf")
    return Held(
        clients=clients,
        jobs=len(found),
        failed=sum(state is not JobState.DONE for _, state in found),
        jobs_per_s=len(found) / took_s,
        tokens_per_s=done["tokens_written"] / took_s,
        p50_s=float(p50),
        p95_s=float(p95),
        worst_s=float(times.max()),
        passes_per_job=passes / len(found),
        jobs_per_pass=done["denoising_steps"] / passes,
        rows_per_pass=done["denoising_rows"] / passes,
    )


async def _type(address: Address, seed: int, count: int) -> list[tuple[float, JobState]]:
    """How long each job took, and how it ended."""
    infiller = HttpInfiller(address)
    ends = []
    try:
        for job, _ in zip(typed(seed), range(count), strict=False):
            start = time.perf_counter()
            result = await infiller.submit(job).result()
            ends.append((time.perf_counter() - start, result.state))
    finally:
        await infiller.close()
    return ends


async def counts_of(address: Address) -> dict[str, float]:
    """What the engine has computed so far, from its metrics."""
    client = HttpClient(address)
    try:
        async with client.ask("GET", "/metrics") as response:
            page = (await response.read()).decode()
    finally:
        client.close()
    found = re.findall(r"^dg_lsp_(denoising_\w+|tokens_written) (\S+)$", page, re.M)
    return {name: float(number) for name, number in found}
