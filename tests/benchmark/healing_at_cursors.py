"""What a vocabulary costs: reading it, and setting up a job at a cursor.

Takes a tokenizer.json, the bundled model's by default. Prints the seconds and the memory of
reading it and building its tables, the milliseconds that a job takes before its first step
(prompt, constraints and initial noise of eleven lanes), how many of them find the tokens that
healed positions accept, how many tokens are freed at cursors in the standard library, and at
how many of these the tokens of the whole text can be written. Times are the processor's.
"""

from __future__ import annotations

import random
import statistics
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tokenizers import Tokenizer

from dg_lsp.config import PromptSettings, SamplerSettings
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.healing import allowed, freed_after, freed_before, heal, mended
from dg_lsp.engine.prompt import CanvasPlan, plan_canvas
from dg_lsp.engine.uniform import UniformCorruption
from dg_lsp.job import InfillJob
from dg_lsp.models.store import BUNDLED_DIRECTORY
from dg_lsp.models.tokenizer import FileCodec

LENGTHS = (3, 4, 5, 6, 8, 10, 12, 16, 20, 26, 32)
SETTINGS = PromptSettings(prefix_tokens=64, suffix_tokens=64, snippet_tokens=0)
ROUNDS = 20
CURSORS = 2000
CURSORS_OF = {
    "after a space": ("x = ", "\n"),
    "after an indentation": ("def f():\n    ", "\n"),
    "within a word": ("    retu", "\n"),
    "between brackets": ("print(", ")\n"),
    "after a line break": ("import os\n", "\n"),
}


def resident_mb() -> tuple[int, int]:
    """What the process holds, and the most that it held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in lines)
        if name in ("VmRSS", "VmHWM")
    }
    return sizes["VmRSS"] // 1024, sizes["VmHWM"] // 1024


def measured(what: str, work: Callable[[], object]) -> object:
    before, _ = resident_mb()
    start = time.process_time()
    result = work()
    seconds = time.process_time() - start
    now, most = resident_mb()
    print(f"{what:<24} {seconds:7.2f} s {now - before:+6d} MB, at most {most} MB in all")
    return result


def set_up_ms(codec: FileCodec, prefix: str, suffix: str) -> float:
    denoiser = SimpleNamespace(vocab_size=codec.vocab_size, device=torch.device("cpu"))

    def job() -> float:
        start = time.process_time()
        prompt = build_prompt(InfillJob(prefix, suffix), codec, SETTINGS)
        plans = [plan_canvas(prompt, length) for length in LENGTHS]
        corruption = UniformCorruption(SamplerSettings(), denoiser.device, seed=0)
        Denoising(denoiser, None, plans, codec, corruption)
        return (time.process_time() - start) * 1e3

    job()
    return statistics.median(job() for _ in range(ROUNDS))


def find_limits_ms(codec: FileCodec, prefix: str, suffix: str) -> float:
    before, after = codec.encode(prefix), codec.encode(suffix)

    def find() -> float:
        start = time.process_time()
        left, right = freed_before(codec, before), freed_after(codec, after)
        count = len(left) + len(right)
        plan = CanvasPlan((-1,) * count, 0, count, left, right, is_open=False)
        for healed in heal(plan, codec, plan.ids):
            allowed(codec, healed.limit)
        return (time.process_time() - start) * 1e3

    return statistics.median(find() for _ in range(ROUNDS))


def cursors() -> Iterator[tuple[str, str]]:
    rng = random.Random(0)
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    for _ in range(CURSORS):
        text = rng.choice(files).read_text(encoding="utf-8", errors="replace")
        cursor = rng.randrange(len(text) + 1)
        yield text[max(0, cursor - 200) : cursor], text[cursor : cursor + 200]


def main() -> None:
    path = Path(sys.argv[1]) if sys.argv[1:] else BUNDLED_DIRECTORY / "tokenizer.json"
    torch.set_num_threads(1)
    tokenizer = measured("reading the file", lambda: Tokenizer.from_file(str(path)))
    assert isinstance(tokenizer, Tokenizer)
    codec = measured("building the tables", lambda: FileCodec(tokenizer))
    assert isinstance(codec, FileCodec)
    print(f"\n{codec.vocab_size} tokens\n")
    print("cursor                        ms in all   of them for limits")
    for where, (prefix, suffix) in CURSORS_OF.items():
        all_ms = set_up_ms(codec, prefix, suffix)
        print(f"{where:<24} {all_ms:14.2f} {find_limits_ms(codec, prefix, suffix):20.2f}")
    left, right, written = Counter[int](), Counter[int](), Counter[str]()
    for prefix, suffix in cursors():
        before, best = codec.encode(prefix), codec.encode(prefix + suffix)
        freed = freed_before(codec, before)
        left[len(freed)] += 1
        right[len(freed_after(codec, codec.encode(suffix)))] += 1
        written["with all of them"] += can_be_written(codec, before, freed, best)
        written["with only one"] += can_be_written(codec, before, freed[-1:], best)
    print(f"\ntokens freed before the span        {shares(left)}")
    print(f"tokens freed after the span         {shares(right)}")
    print(f"best tokens before it can be written {shares(written)}")


def can_be_written(
    codec: FileCodec, before: list[int], freed: tuple[int, ...], best: list[int]
) -> bool:
    """Whether a canvas may hold the `best` tokens if those of `freed` are in it."""
    known = len(before) - len(freed)
    ids = best[known:]
    if best[:known] != before[:known] or not ids:
        return best == before
    plan = CanvasPlan(tuple(ids), 0, len(ids), freed, (), is_open=True)
    return mended(heal(plan, codec, ids), ids) == ids


def shares(counts: Counter[Any]) -> str:
    return "   ".join(f"{key}: {counts[key] / CURSORS:.1%}" for key in sorted(counts))


if __name__ == "__main__":
    main()
