"""Compares the time of infills on a CPU with that of another version, in one run.

    python tests/benchmark/infills_of_two_versions.py REVISION [--per-kind N] [--threads N]

Each version runs in a process of its own, and both fill the same spans, taking turns, so that
other work on the machine disturbs both alike. The time of the processor is printed too, which
other work changes least. Texts that differ are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEASURES = {
    "infill, ms": "wall_ms",
    "infill, ms of the processor": "cpu_ms",
    "first draft, ms": "first_ms",
    "reading the prompt, ms of the processor": "encode_ms",
    "all steps, ms of the processor": "steps_ms",
    "scoring texts, ms of the processor": "score_ms",
    "steps": "steps",
}


def work(per_kind: int) -> None:
    """Fill the spans whose numbers are read from standard input, one a line."""
    from dg_lsp import config
    from dg_lsp.evaluation.methods import infiller
    from dg_lsp.evaluation.spans import draw_spans, held_out, job_of
    from dg_lsp.models.loading import load
    from dg_lsp.models.store import BUNDLED

    assert Path(config.__file__).is_relative_to(Path.cwd()), config.__file__
    model = load(BUNDLED)
    spans = draw_spans(held_out(False), per_kind, seed=2)
    taken: dict[str, list[float]] = {}

    def timed(name: str) -> None:
        method = getattr(model.denoiser, name)

        def run(*given: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return method(*given, **named)
            finally:
                taken.setdefault(name, []).append((time.process_time() - start) * 1e3)

        setattr(model.denoiser, name, run)

    for name in ("encode", "denoise", "score"):
        timed(name)
    infiller(model.settings, job_of(spans[0]), model)
    print(json.dumps({"spans": len(spans)}), flush=True)
    for line in sys.stdin:
        taken.clear()
        start_wall, start_cpu = time.perf_counter(), time.process_time()
        outcome = infiller(model.settings, job_of(spans[int(line)]), model)
        result = {
            "wall_ms": (time.perf_counter() - start_wall) * 1e3,
            "cpu_ms": (time.process_time() - start_cpu) * 1e3,
            "first_ms": outcome.first_draft_ms,
            "encode_ms": sum(taken.get("encode", [])),
            "steps_ms": sum(taken.get("denoise", [])),
            "each_step_ms": taken.get("denoise", []),
            "score_ms": sum(taken.get("score", [])),
            "steps": outcome.steps,
            "text": outcome.text,
            "confidence": outcome.confidence,
        }
        print(json.dumps(result), flush=True)


@contextmanager
def worker(tree: Path, per_kind: int, threads: int) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the version in `tree`."""
    command = [sys.executable, str(Path(__file__)), "--work", str(per_kind)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    with subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def compare(revision: str, per_kind: int, threads: int, shows_texts: bool) -> None:
    """Print medians of both versions, and how many texts differ."""
    with ExitStack() as stack:
        if Path(revision).is_dir():
            other = Path(revision).resolve()
        else:
            other = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "tree"
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "--quiet", "--detach", other, revision], check=True)
            stack.callback(subprocess.run, [*git, "remove", "--force", other], check=True)
        versions = [
            stack.enter_context(worker(tree, per_kind, threads)) for tree in (other, ROOT)
        ]
        spans = min(answer(process)["spans"] for process in versions)
        results: list[list[dict[str, Any]]] = [[], []]
        for span in range(spans):
            # Neither version always runs right after the other.
            for number in (0, 1) if span % 2 else (1, 0):
                process = versions[number]
                assert process.stdin is not None
                print(span, file=process.stdin, flush=True)
                results[number].append(answer(process))
    print(f"{spans} spans, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
    print(f"| median | {revision} | now | ratio |\n| --- | ---: | ---: | ---: |")
    for label, key in MEASURES.items():
        before, now = (statistics.median(one[key] for one in each) for each in results)
        print(f"| {label} | {before:.1f} | {now:.1f} | {now / before:.2f} |")
    before, now = (
        statistics.median(step for one in each for step in one["each_step_ms"])
        for each in results
    )
    print(f"| a step, ms of the processor | {before:.1f} | {now:.1f} | {now / before:.2f} |")
    differing = [
        pair for pair in zip(*results, strict=True) if pair[0]["text"] != pair[1]["text"]
    ]
    print(f"\n{len(differing)} texts differ")
    if shows_texts:
        for before, now in differing:
            print(f"  {before['text']!r} ({before['confidence']:.2f})")
            print(f"  {now['text']!r} ({now['confidence']:.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", nargs="?", help="a git revision, or a directory")
    parser.add_argument("--per-kind", type=int, default=10, help="spans of each kind")
    parser.add_argument("--threads", type=int, default=0, help="0: as the product sets it")
    parser.add_argument("--texts", action="store_true", help="print the texts that differ")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
    else:
        compare(given.revision, given.per_kind, given.threads, given.texts)
