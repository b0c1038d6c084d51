"""How long until `initialize` is answered, against a pygls server with nothing in it.

Run by hand: `python tests/e2e/startup.py [ROUNDS]`. Prints medians and their ratio.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

EMPTY = """
from pygls.lsp.server import LanguageServer
LanguageServer("empty", "1").start_io()
"""
SERVERS = {
    "an empty pygls server": [sys.executable, "-c", EMPTY],
    "dg-lsp serve": [sys.executable, "-m", "dg_lsp", "serve"],
    "dg-lsp serve with an option": [
        *[sys.executable, "-m", "dg_lsp", "serve", "--log-level", "error"]
    ],
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"processId": None, "rootUri": None, "capabilities": {}},
}


def initialize_s(argv: list[str]) -> float:
    """Seconds from the start of the process to the first byte of its answer."""
    body = json.dumps(INITIALIZE).encode()
    started = time.perf_counter()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        process.stdin.flush()
        assert process.stdout.read(1)
        took_s = time.perf_counter() - started
        process.kill()
    return took_s


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    times: dict[str, list[float]] = {name: [] for name in SERVERS}
    # In turn, so that a busy machine is as unfair to one as to the other.
    for _ in range(rounds):
        for name, argv in SERVERS.items():
            times[name].append(initialize_s(argv))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median_s in medians.items():
        print(f"{name}: {median_s * 1e3:.0f} ms")
    empty, *ours = medians.values()
    print("ratios: " + ", ".join(f"{median_s / empty:.2f}" for median_s in ours))


if __name__ == "__main__":
    main()
