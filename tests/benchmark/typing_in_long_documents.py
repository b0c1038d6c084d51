"""What the front end takes for a key in long documents, with an engine that answers at once.

Prints a line per document: the median of an edit and of the request behind it, in milliseconds.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from conftest import URI, Editor, script

from dg_lsp.server.link.scripted import ScriptedLink
from dg_lsp.server.settings import Settings

NUM_KEYS, NUM_WARM_UPS = 10, 2
PLAIN = "    value = compute(first, second)  # a line of code\n"
LINES = {
    "ASCII": PLAIN,
    "not ASCII": "    Wert = rechne(größe, „zwei“)  # eine Zeile\n",
    "CR LF": PLAIN.replace("\n", "\r\n"),
}
PLAN = [
    ("ASCII", 100_000),
    ("ASCII", 1_000_000),
    *((kind, 10_000_000) for kind in LINES),
    ("one line, not ASCII", 100_000),
    ("one line, not ASCII", 1_000_000),
]


def document(kind: str, num_chars: int) -> str:
    line = LINES.get(kind)
    if line is None:
        return 'var s="…";' + "f(1);" * (num_chars // 5)
    return line * (num_chars // len(line))


async def measure(kind: str, num_chars: int) -> tuple[float, float]:
    editor = Editor(ScriptedLink(script, None), Settings(debounce_ms=0, draft_interval_ms=0))
    await editor.begin()
    text = document(kind, num_chars)
    editor.open(text, language="python" if kind in LINES else "javascript")
    lines = text.split("\n")
    line = len(lines) // 2
    column = len(lines[line].rstrip("\r"))
    edits_ms, requests_ms = [], []
    for key in range(NUM_WARM_UPS + NUM_KEYS):
        at = {"line": line, "character": column + key}
        change = {"range": {"start": at, "end": at}, "text": "x"}
        identifier = {"uri": URI, "version": key + 2}
        began = time.perf_counter()
        editor.notify(
            "textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]}
        )
        changed = time.perf_counter()
        await editor.answer(editor.send_inline(line, column + key + 1))
        edits_ms.append((changed - began) * 1e3)
        requests_ms.append((time.perf_counter() - changed) * 1e3)
    await editor.session.close()
    return (
        statistics.median(edits_ms[NUM_WARM_UPS:]),
        statistics.median(requests_ms[NUM_WARM_UPS:]),
    )


if __name__ == "__main__":
    for kind, num_chars in PLAN:
        edit_ms, request_ms = asyncio.run(measure(kind, num_chars))
        print(f"{num_chars / 1e6:5.1f} MB  {kind:20} {edit_ms:8.1f} {request_ms:8.1f}")
