"""What it costs to look for seeds, and to read the workspace meanwhile.

Takes a folder with source files, the standard library's by default, as the workspace. Prints
milliseconds of a lookup by the size of the document and of the workspace, what indexing takes,
and what an edit and a request for ghost text take with and without the workspace being read.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from conftest import Editor, script

from dg_lsp.document.code_files import code_files, read_code
from dg_lsp.document.code_index import building_index
from dg_lsp.document.code_store import CodeStore
from dg_lsp.document.seeds import Elsewhere, find_seeds
from dg_lsp.job import SeedOrigin
from dg_lsp.server.link.scripted import ScriptedLink
from dg_lsp.server.settings import ContextSettings, Settings

DOCUMENT_CHARS = (20_000, 120_000)
WORKSPACE_CHARS = (0, 1_000_000, 20_000_000)
NUM_PLACES = 200
NUM_ROUNDS, NUM_KEYS, KEY_EVERY_S = 5, 60, 0.1
NUM_FIRST_KEYS = 5
"""Keys at the start of a round that are not counted, because modules are imported."""
WORST = 0.95


def read_workspace(folder: Path, most_chars: int) -> list[tuple[str, str]]:
    files, size = [], 0
    for file in code_files(folder, ()):
        text = read_code(file) if file else None
        if file and text and size + len(text) <= most_chars:
            files.append((file.path, text))
            size += len(text)
    return files


def document_of(files: Sequence[tuple[str, str]], num_chars: int) -> str:
    """A document of real code, put together from files."""
    return "".join(text for _, text in reversed(files))[:num_chars]


def times(values_ms: Sequence[float]) -> str:
    ordered = sorted(values_ms)
    return f"{statistics.median(ordered):8.2f} {ordered[int(len(ordered) * WORST)]:8.2f}"


def measure_lookups(files: Sequence[tuple[str, str]]) -> None:
    print("document   workspace   median     95 %   ms of a lookup")
    for workspace_chars in WORKSPACE_CHARS:
        store, size, taken = CodeStore(), 0, []
        for path, text in files:
            if size + len(text) <= workspace_chars:
                taken.append((path, text))
                size += len(text)
        for _ in store.put(taken):
            pass
        elsewhere = [
            Elsewhere(shelf.index, SeedOrigin.WORKSPACE, 1, shelf.hidden)
            for shelf in store.shelves
        ]
        for num_chars in DOCUMENT_CHARS:
            text = document_of(files, num_chars)
            spent_ms = []
            for number in range(NUM_PLACES):
                at = (number + 1) * len(text) // (NUM_PLACES + 1)
                # The processor's time, which does not depend so much on what else runs.
                began = time.process_time()
                find_seeds(text[:at], text[at:], elsewhere)
                spent_ms.append((time.process_time() - began) * 1e3)
            print(f"{len(text) / 1e3:5.0f} kB {size / 1e6:8.1f} MB {times(spent_ms)}")


def measure_indexing(files: Sequence[tuple[str, str]]) -> None:
    size = sum(len(text) for _, text in files)
    pieces_ms, store = [], CodeStore()
    began = at = time.process_time()
    for _ in store.put(files):
        now = time.process_time()
        pieces_ms.append((now - at) * 1e3)
        at = now
    spent_s = time.process_time() - began
    held = sum(
        sys.getsizeof(shelf.index.text) + sys.getsizeof(shelf.index.entries)
        for shelf in store.shelves
    )
    print(
        f"\nindexing {size / 1e6:.1f} MB in {len(files)} files: {spent_s:.1f} s, pieces of "
        f"{statistics.median(pieces_ms):.1f} ms, the longest {max(pieces_ms):.1f} ms; "
        f"{held / 1e6:.0f} MB held"
    )
    first = max(files, key=lambda file: len(file[1]))
    began = time.process_time()
    for _ in building_index([first]):
        pass
    spent_ms = (time.process_time() - began) * 1e3
    print(f"an open file of {len(first[1]) / 1e3:.0f} kB: {spent_ms:.0f} ms")


WITHOUT, WHILE = "without a workspace", "while the workspace is read"
AFTER = "after it was read"


async def measure_typing(
    folder: Path, text: str, workspace: str
) -> tuple[list[float], list[float], bool]:
    """Milliseconds of each key, those of the event loop's thread on the processor, and whether
    the workspace was read until the last key."""
    context = ContextSettings(workspace_files=workspace != WITHOUT)
    settings = Settings(debounce_ms=0, draft_interval_ms=0, context=context)
    editor = Editor(ScriptedLink(script, None), settings)
    params: Any = {"processId": None, "rootUri": folder.as_uri(), "capabilities": {}}
    await editor.ask("initialize", params)
    editor.notify("initialized", {})
    uri = (folder / "new.py").as_uri()
    editor.open(text, uri=uri)
    lines = text.split("\n")
    line = len(lines) // 2
    column = len(lines[line])
    if workspace == AFTER:
        await editor.answer(editor.send_inline(line, column, textDocument={"uri": uri}))
        await asyncio.to_thread(editor.session.context.code.wait_until_idle, 120.0)
    keys_ms, cpu_ms = [], []
    for key in range(NUM_KEYS):
        at = {"line": line, "character": column + key}
        change = {"range": {"start": at, "end": at}, "text": "x"}
        identifier = {"uri": uri, "version": key + 2}
        began, cpu_began = time.perf_counter(), time.thread_time()
        editor.notify(
            "textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]}
        )
        await editor.answer(
            editor.send_inline(line, column + key + 1, textDocument={"uri": uri})
        )
        keys_ms.append((time.perf_counter() - began) * 1e3)
        cpu_ms.append((time.thread_time() - cpu_began) * 1e3)
        await asyncio.sleep(KEY_EVERY_S)
    is_busy = not editor.session.context.code.wait_until_idle(0.0)
    await editor.session.close()
    return keys_ms[NUM_FIRST_KEYS:], cpu_ms[NUM_FIRST_KEYS:], is_busy


def show_typing(folder: Path, text: str) -> None:
    """Prints what a key takes with and without the reading, measured in turns."""
    all_ms: dict[tuple[str, str], list[float]] = {}
    was_busy = True
    for _ in range(NUM_ROUNDS):
        for workspace in (WITHOUT, WHILE, AFTER):
            keys_ms, cpu_ms, is_busy = asyncio.run(measure_typing(folder, text, workspace))
            all_ms.setdefault((workspace, "answer"), []).extend(keys_ms)
            all_ms.setdefault((workspace, "processor"), []).extend(cpu_ms)
            was_busy = was_busy and (is_busy or workspace != WHILE)
    print(
        f"\nms of a key (edit and request) in a document of {len(text) / 1e3:.0f} kB, "
        f"{NUM_ROUNDS} rounds in turns\n{'':32} {'answer':>17} {'processor':>17}\n"
        f"{'':32} {'median     95 %':>17} {'median     95 %':>17}"
    )
    for what in (WITHOUT, WHILE, AFTER):
        print(f"{what:32} {times(all_ms[what, 'answer'])} {times(all_ms[what, 'processor'])}")
    if not was_busy:
        print("  (the workspace was read before the last key; name a larger folder)")


def main() -> None:
    folder = Path(sys.argv[1] if sys.argv[1:] else sysconfig.get_paths()["stdlib"])
    files = read_workspace(folder, max(WORKSPACE_CHARS))
    measure_lookups(files)
    measure_indexing(files)
    text = document_of(files, max(DOCUMENT_CHARS))
    show_typing(folder, text)


if __name__ == "__main__":
    main()
