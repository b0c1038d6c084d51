"""What `dg-lsp infill` costs with a running engine, as a multiple of a bare Python.

    dg-lsp engine run &
    chrt -r 1 python tests/benchmark/start_of_infill.py [ROUNDS]

Processor time of the command's own process, median, all commands taking turns. In the last line
the command leaves only the job to the engine, as it does with every unusual option, here the
default said aloud.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

INFILL = "import sys; from dg_lsp.cli import run; sys.exit(run(['infill', '{}:2:5'{}]))"
IMPORTS = "import asyncio, typer"


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "example.py")
        file.write_text("x = 1\ny = \n")
        commands = {
            "bare": "pass",
            IMPORTS: IMPORTS,
            "dg-lsp infill": INFILL.format(file, ""),
            "by itself": INFILL.format(file, ", '--engine', 'auto'"),
        }
        # Not even an installed dg-lsp compiles itself at each start.
        compiled = {"PYTHONPYCACHEPREFIX": str(Path(directory, "compiled"))}
        environment = {**os.environ, **compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        took_s: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, code in commands.items():
                before = _children_s()
                subprocess.run(
                    [sys.executable, "-c", code],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
                if number:
                    took_s[name].append(_children_s() - before)
    bare_s = statistics.median(took_s["bare"])
    for name, times_s in took_s.items():
        median_s = statistics.median(times_s)
        print(f"{name:24}{median_s * 1e3:6.0f} ms {median_s / bare_s:6.1f} times")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
