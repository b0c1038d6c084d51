"""What it takes to judge a suggestion by the syntax tree of a long document.

Prints milliseconds, p50/p95 over the keystrokes of a line in the middle: parsing the document
for the first time, again after a keystroke, and judging a text that is whole or broken.
"""

from __future__ import annotations

import statistics
import time

from dg_lsp.document import trees
from dg_lsp.document.wholeness import breaks

NUM_CHARS = 120_000
UNITS = {
    "javascript": (
        "function f(a) {\n  const b = a.map((x) => x + 1);\n  return { a, b };\n}\n\n",
        ";",
    ),
    "python": ("def f(a):\n    b = [x + 1 for x in a]\n    return {a: b}\n\n\n", ""),
    "c": (
        "int f(int a) {\n  if (a > 1) {\n    return g(a);\n  }\n  return a;\n}\n\n",
        ";",
    ),
    "lua": ("function f(a)\n  if a then\n    return {a, 1}\n  end\nend\n\n", ""),
}
TYPED = "value = compute(first, second"


def main() -> None:
    for language, (unit, ending) in UNITS.items():
        document = unit * (NUM_CHARS // len(unit))
        middle = document.index("\n", document.index(unit, len(document) // 2)) + 1
        prefix, suffix = document[:middle], document[middle:]
        trees.load(language)
        first = _ms(lambda p=prefix, s=suffix, la=language: trees.parsed_site(p, s, la))
        spent: dict[str, list[float]] = {"key": [], "whole": [], "broken": []}
        for length in range(len(TYPED)):
            before, after = prefix + TYPED[:length], "\n" + suffix
            around = before, after, language
            spent["key"].append(_ms(lambda at=around: trees.parsed_site(*at)))
            text = f"{TYPED[length:]}){ending}"
            spent["whole"].append(_ms(lambda at=around, text=text: breaks(text, *at)))
            spent["broken"].append(_ms(lambda at=around, text=text: breaks(text + "))", *at)))
        print(
            f"{language:12} first {first:6.1f}", *(_line(name, spent[name]) for name in spent)
        )


def _ms(call) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _line(name: str, spent: list[float]) -> str:
    return (
        f"  {name} {statistics.median(spent):.1f}/{sorted(spent)[int(len(spent) * 0.95)]:.1f}"
    )


if __name__ == "__main__":
    main()
