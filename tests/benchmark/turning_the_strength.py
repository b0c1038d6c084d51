"""How much the text of a rewrite changes when its strength is turned by one notch.

Takes a number of selections, 4 by default: bodies of functions of the standard library. The
bundled model rewrites each at every strength of the dial. Prints which share of the characters
two neighbouring strengths differ by, and how many of them have the same text,

- as the dial asks: with one seed, so that noise at one strength is noise at all higher ones;
- with positions of their own at each strength, but the same noise in them;
- with another seed at each strength.
"""

from __future__ import annotations

import ast
import difflib
import statistics
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

from dg_lsp.document.request import RequestContext, RequestOptions, build_job
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.engine.infilling import Filling
from dg_lsp.engine.prompt import noised
from dg_lsp.job import InfillJob
from dg_lsp.models.loading import LoadedModel, load

STRENGTHS = tuple(notch / 10 for notch in range(1, 11))
LINES = range(2, 7)


class PositionsOfTheirOwn(Filling):
    """Starts noise at positions that have nothing to do with those of another strength."""

    def _noised(self, ids: Sequence[int], kept: frozenset[int] = frozenset()) -> list[int]:
        strength = self._job.strength
        return noised(ids, strength, f"{self._job.seed} {strength}", kept)


def selections(folder: Path) -> Iterator[InsertionSite]:
    """One body of a function of each file, its first that has so many lines."""
    for file in sorted(folder.glob("*.py")):
        text = file.read_text()
        lines = text.splitlines(keepends=True)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is None:
                first, last = node.body[0].lineno - 1, node.body[-1].end_lineno or 0
                if last - first in LINES and first > node.lineno - 1:
                    yield InsertionSite(
                        uri=file.as_uri(),
                        path=file.name,
                        language="python",
                        newline="\n",
                        prefix="".join(lines[:first]),
                        suffix="".join(lines[last:]),
                        replaced="".join(lines[first:last]),
                    )
                    break


def written(model: LoadedModel, job: InfillJob, filling: type[Filling]) -> str:
    settings = replace(model.settings, min_confidence=0.0)
    family = model.family(settings)
    rest = family, settings, lambda: False, lambda draft: None
    infill = filling(job, model.denoiser, model.codec, *rest).run()
    return infill.candidates[0].text if infill.candidates else ""


def differ(one: str, other: str) -> float:
    return 1 - difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def main(num_selections: int) -> None:
    model = load("bundled", "cpu")
    context = RequestContext(measure=lambda text: len(model.codec.encode(text)))
    ways = {
        "the dial": (Filling, 0),
        "positions of their own": (PositionsOfTheirOwn, 0),
        "another seed": (Filling, 1),
    }
    changes: dict[str, list[float]] = {way: [] for way in ways}
    for site in islice(selections(Path(sysconfig.get_path("stdlib"))), num_selections):
        job = build_job(site, RequestOptions(may_be_empty=False), model.info, context)
        for way, (filling, stride) in ways.items():
            texts = [
                written(model, replace(job, strength=strength, seed=stride * number), filling)
                for number, strength in enumerate(STRENGTHS)
            ]
            changes[way] += [differ(*pair) for pair in pairwise(texts)]
    print(f"{'':24}  mean   95 %   same text   (n = {len(changes['the dial'])})")
    for way, found in changes.items():
        worst = sorted(found)[int(len(found) * 0.95)]
        same = sum(one == 0 for one in found) / len(found)
        print(f"{way:24} {statistics.mean(found):5.1%} {worst:6.1%} {same:8.0%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
