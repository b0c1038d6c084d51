"""Times infills of the bundled model on a CPU that other programs use as well.

    python tests/benchmark/beside_other_programs.py [--per-kind N]

Each line is a kind of other work, and how long an infill takes (the median of the same spans)
as torch's threads are by default, with one thread, and as dg-lsp runs them. Every way runs in a
process of its own, one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAYS = {
    "torch's default": {"GOMP_SPINCOUNT": "300000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "as dg-lsp runs": {},
}
LOOP = "while True: pass"
PRODUCTS = """
import os
os.environ["GOMP_SPINCOUNT"] = "300000"
import torch
x = torch.randn(1000, 1000)
while True: x @ x
"""


def work(per_kind: int) -> None:
    """Print the median milliseconds of an infill."""
    from dg_lsp.threads import wait_briefly

    # Before torch is imported, as `dg_lsp.__main__` does it.
    wait_briefly()
    from dg_lsp.evaluation.methods import infiller
    from dg_lsp.evaluation.spans import draw_spans, held_out, job_of
    from dg_lsp.models.loading import load
    from dg_lsp.models.store import BUNDLED

    model = load(BUNDLED)
    spans = draw_spans(held_out(False), per_kind, seed=2)
    infiller(model.settings, job_of(spans[0]), model)
    print(
        statistics.median(
            infiller(model.settings, job_of(span), model).milliseconds for span in spans
        )
    )


@contextlib.contextmanager
def running(programs: list[str]) -> Iterator[None]:
    """Other work, until the end of the block."""
    started = [subprocess.Popen([sys.executable, "-c", one]) for one in programs]
    try:
        # torch takes so long to be imported.
        time.sleep(5 if programs else 0)
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def measured(variables: dict[str, str], per_kind: int) -> float:
    said = subprocess.run(
        [sys.executable, __file__, "--work", "--per-kind", str(per_kind)],
        env={**os.environ, **variables},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(said.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-kind", type=int, default=3)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        return work(asked.per_kind)
    cores = os.cpu_count() or 1
    others = {
        "nothing": [],
        "a busy loop": [LOOP],
        f"{cores} busy loops": [LOOP] * cores,
        f"{4 * cores} busy loops": [LOOP] * 4 * cores,
        "another program with torch": [PRODUCTS],
    }
    print(f"infill, median ms ({cores} cores)\n\n| beside | " + " | ".join(WAYS) + " |")
    print("| --- |" + " --- |" * len(WAYS))
    for name, programs in others.items():
        with running(programs):
            took = [f"{measured(way, asked.per_kind):.0f}" for way in WAYS.values()]
        print(f"| {name} | " + " | ".join(took) + " |", flush=True)


if __name__ == "__main__":
    main()
