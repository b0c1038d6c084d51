"""What the servers of several checkouts add to the engine's time, in milliseconds.

    chrt -r 1 python tests/benchmark/added_by_servers.py ROUNDS CHECKOUT...

Each checkout has its own `.venv`. They take turns, so that a busy machine slows down all of
them alike; in each round, each starts a server and an engine and types 30 single keys and 30
bursts into documents of 20 and 120 kB, as `dg-lsp bench server` does. Keys after which the
server waited for a pause are listed once more by themselves, and so are the others: what is
looked up in the last milliseconds of a pause is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from dg_lsp.benchmark.percentiles import summary

KEYS = 30
# Runs with the checkout's own dg_lsp, which may be an older one.
MEASURE = """
import asyncio, json, sys
from dg_lsp.benchmark import overhead
try:
    from dg_lsp.cli.own_engine import own_engine
except ImportError:
    from dg_lsp.cli.bench_server import _own_engine as own_engine

async def stops(*args):
    return overhead.Stops([0.0], [0.0], [0.0])

overhead._measure_stops = stops
plan = overhead.Plan([20_000, 120_000], int(sys.argv[1]), int(sys.argv[2]))
with own_engine(None, None) as serving:
    outcome = asyncio.run(overhead.measure(plan, serving, lambda status: None))
parts = ("added", "pipe", "front_end", "socket", "queue", "engine", "pause")
print(json.dumps([
    [f"{one.name}, {one.document_bytes / 1e3:.0f} kB",
     [{part: getattr(sample, part, 0.0) for part in parts} for sample in one.samples]]
    for one in outcome.measured
]))
"""


def main(rounds: int, checkouts: list[str]) -> None:
    samples: defaultdict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(rounds):
        for checkout in checkouts if number % 2 else checkouts[::-1]:
            python = str(Path(checkout, ".venv/bin/python").absolute())
            done = subprocess.run(
                [python, "-P", "-c", MEASURE, str(KEYS), str(number)],
                cwd=checkout,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
                stdout=subprocess.PIPE,
                check=True,
            )
            for kind, measured in json.loads(done.stdout):
                samples[kind, checkout] += measured
    for (kind, checkout), measured in sorted(samples.items()):
        print(f"{kind}, {checkout}: {described(measured)}")
        for which, has_waited in (("without a pause", False), ("after a pause", True)):
            some = [sample for sample in measured if bool(sample["pause"]) is has_waited]
            if some and len(some) < len(measured):
                print(f"  {which}: {described(some)}")


def described(measured: list[dict[str, float]]) -> str:
    parts = (
        f"{part} {found['p50']:.1f}/{found['p95']:.1f}"
        for part in measured[0]
        for found in [summary([sample[part] for sample in measured])]
    )
    return f"{len(measured)} times, p50/p95: {', '.join(parts)}"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
