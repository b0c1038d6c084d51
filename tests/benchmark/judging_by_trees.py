"""What it takes to judge a suggestion by the syntax of a long document.

Prints milliseconds. First: reading the document, which a thread does once; the longest time in
which it lets no other thread run; what the parser takes if it is asked on the event loop. Then,
over the keystrokes of a line in the middle, median/minimum/p95: finding what is around the
cursor, and judging a text that is whole, and one that is broken.
"""

from __future__ import annotations

import os
import statistics
import threading
import time

from dg_lsp.document import trees
from dg_lsp.document.outline import around, read
from dg_lsp.document.wholeness import breaks

NUM_CHARS = 120_000
ROUNDS = 5
# By language: what a line of code ends with, a document with `@` for its members, and a member
# that is about as long as functions are, with the place where a line is typed.
DOCUMENTS = {
    "javascript": (
        ";",
        "import x from 'x';\n\n@",
        "function f(a) {\n  const b = a.map((x) => x + 1);\n  if (b.length) {\n|"
        "    log(`${b}`, { a, b });\n  }\n  return { a, b };\n}\n\n",
    ),
    "typescript": (
        ";",
        "export class A {\n@}\n",
        "  f(a: string): B<string> {\n    const b = a.map((x) => x + 1);\n|"
        "    if (b) {\n      this.log(`${b}`);\n    }\n    return { a, b };\n  }\n\n",
    ),
    "python": (
        "",
        "class A:\n@",
        "    def f(self, a):\n        b = [x + 1 for x in a]\n|"
        "        if b:\n            self.log(f'{b}')\n        return {a: b}\n\n",
    ),
    "go": (
        "",
        "package a\n\n@",
        "func f(a []int) (int, error) {\n\tb := g(a)\n|"
        '\tif b == nil {\n\t\treturn 0, fmt.Errorf("%v", a)\n\t}\n\treturn b.c, nil\n}\n\n',
    ),
    "java": (
        ";",
        "package a;\n\npublic class A {\n@}\n",
        "    @Override\n    public int f(List<String> a) {\n        int b = 0;\n|"
        "        for (String c : a) {\n            b += c.length();\n        }\n"
        "        return b;\n    }\n\n",
    ),
    "c": (
        ";",
        "#include <a.h>\n\n@",
        "static int f(int *a)\n{\n  int b = g(a);\n|"
        '  if (b > 1) {\n    fprintf(stderr, "%d", b);\n  }\n  return b;\n}\n\n',
    ),
    "lua": (
        "",
        "local M = {}\n\n@\nreturn M\n",
        "function M.f(a)\n  local b = g(a)\n|"
        "  if a then\n    return {b, 1}\n  end\n  return nil\nend\n\n",
    ),
}
TYPED = "value = compute(first, second"


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.1f}")
    for language, (ending, frame, member) in DOCUMENTS.items():
        member, place = member.replace("|", ""), member.index("|")
        document = frame.replace("@", member * (NUM_CHARS // len(member)))
        at = document.index(member, len(document) // 2) + place
        prefix, suffix = document[:at], document[at:]
        indent = suffix[: len(suffix) - len(suffix.lstrip())]
        trees.load(language)
        on_loop = _ms(lambda p=prefix, s=suffix, la=language: trees.parsed_site(p, s, la))
        reading, gap = _in_thread(lambda p=prefix, s=suffix, la=language: read(p, s, la))
        spent: dict[str, list[float]] = {"around": [], "whole": [], "broken": []}
        verdicts = set()
        for number in range(ROUNDS):
            for length in range(len(TYPED)):
                # Another document in every round, so that nothing is found in a cache.
                before = f"{prefix}{indent}{'x' * number}{TYPED[:length]}"
                place = before, "\n" + suffix, language
                text = f"{TYPED[length:]}){ending}"
                broken = text + "))"
                spent["around"].append(_ms(lambda at=place: around(*at)))
                spent["whole"].append(_ms(lambda at=place, text=text: breaks(text, *at)))
                spent["broken"].append(_ms(lambda at=place, text=broken: breaks(text, *at)))
                verdicts.add((breaks(text, *place), breaks(broken, *place)))
        assert verdicts == {(False, True)}, (language, verdicts)
        print(
            f"{language:12}first {reading:4.0f} {gap:4.0f} {on_loop:4.0f}",
            *(_line(name, spent[name]) for name in spent),
        )


def _in_thread(work) -> tuple[float, float]:
    """How long work takes in a thread, and the longest time that this one had to wait."""
    done, gap, began = threading.Event(), 0.0, time.perf_counter()
    threading.Thread(target=lambda: (work(), done.set())).start()
    last = began
    while not done.is_set():
        time.sleep(0.001)
        now = time.perf_counter()
        gap, last = max(gap, now - last), now
    return (time.perf_counter() - began) * 1e3, gap * 1e3


def _ms(call) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _line(name: str, spent: list[float]) -> str:
    ordered = sorted(spent)
    low, high = ordered[0], ordered[int(len(ordered) * 0.95)]
    return f"  {name} {statistics.median(ordered):.2f}/{low:.2f}/{high:.2f}"


if __name__ == "__main__":
    main()
