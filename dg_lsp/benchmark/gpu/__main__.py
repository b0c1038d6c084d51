"""`python -m dg_lsp.benchmark.gpu`: the same as `dg-lsp bench gpu`, on a bare machine.

Needs only torch, transformers and safetensors, and triton on a GPU, of the package's
dependencies.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

from dg_lsp.benchmark.gpu.report import as_text, draw
from dg_lsp.benchmark.gpu.run import QUICK, SHAPES, TINY, Plan, run
from dg_lsp.files import naming
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.device import choose_device

FILE = "bench-gpu"


def measure(
    shape: str,
    device: str | None,
    out: Path | None,
    as_json: bool,
    rounds: int | None,
    quick: bool = False,
) -> None:
    """Measure, print, and write JSON and a plot to `out`; `quick` measures only our engine and
    `generate()`."""
    chosen = choose_device(device)
    if shape not in SHAPES:
        raise CheckpointError(f"shape {shape!r} is unknown; use {' or '.join(SHAPES)}")
    if shape == "real" and chosen.type == "cpu":
        raise CheckpointError(
            "the real shape needs a GPU with 18 GB; use --shape tiny on a CPU"
        )
    plan = TINY if shape == "tiny" else QUICK if quick else Plan()
    if quick:
        plan = dataclasses.replace(plan, is_thorough=False)
    if rounds is not None:
        plan = dataclasses.replace(plan, rounds=rounds)
    report = run(plan, chosen, _say)
    print(json.dumps(report, indent=1) if as_json else as_text(report), end="\n")
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{FILE}.json"
    with naming(path):
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / f"{FILE}.md").write_text(as_text(report), encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is None:
        _say("no plot: matplotlib is not installed")
    else:
        draw(report, out / f"{FILE}.png")


def _say(what: str) -> None:
    print(f"dg-lsp: {what}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dg_lsp.benchmark.gpu")
    parser.add_argument("--shape", default="real", choices=list(SHAPES))
    parser.add_argument("--device")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    try:
        measure(**vars(chosen))
    except CheckpointError as error:
        sys.exit(f"dg-lsp: {error}")


if __name__ == "__main__":
    main()
