"""`python -m dg_lsp.benchmark.prompt_changes`: how much of a prompt a keystroke changes.

Types parts of the standard library back into their files as an editor does, with brackets that
close themselves, indentation that comes with a line break, and typing errors that are taken
back. After each keystroke the job is made as the server makes it, and the tokens of the prompt
that the one before does not begin with are counted: those an engine has to read anew.
"""

from __future__ import annotations

import argparse
import ast
import csv
import dataclasses
import difflib
import json.decoder
import random
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dg_lsp.config import PromptSettings, PromptStyle
from dg_lsp.document.request import RequestContext, RequestOptions, build_job
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.models.gemma.prefix_cache import common_length
from dg_lsp.models.loading import LoadedModel, load
from dg_lsp.models.store import BUNDLED

app = typer.Typer(help=__doc__)

PAIRS = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}
TYPING_ERROR_SHARE = 0.04
MODULES = (argparse, ast, csv, dataclasses, difflib, json.decoder, shlex, textwrap)


@dataclass(frozen=True, slots=True)
class Keystroke:
    """The text on both sides of the cursor after a keystroke."""

    kind: str
    prefix: str
    suffix: str


def typed(prefix: str, text: str, suffix: str, rng: random.Random) -> Iterator[Keystroke]:
    """Every state of a file on the way from `prefix` and `suffix` to `text` between them."""
    at = 0
    yield Keystroke("start", prefix, suffix)
    while at < len(text):
        character = text[at]
        at += 1
        if rng.random() < TYPING_ERROR_SHARE:
            yield Keystroke("error", prefix + "q", suffix)
            yield Keystroke("error taken back", prefix, suffix)
        kind = "character"
        if character == "\n":
            kind = "line break"
            while at < len(text) and text[at] in " \t":
                character += text[at]
                at += 1
        elif character in PAIRS.values() and suffix.startswith(character):
            kind = "typed over"
            suffix = suffix[1:]
        elif character in PAIRS and (not suffix or suffix[0] in " \n)]}"):
            kind = "pair"
            suffix = PAIRS[character] + suffix
        prefix += character
        yield Keystroke(kind, prefix, suffix)


def prompt_ids(
    model: LoadedModel, settings: PromptSettings, path: str, state: Keystroke
) -> tuple[int, ...]:
    """The prompt of the job that the server would send in this state."""
    site = InsertionSite(path, path, "python", "\n", state.prefix, state.suffix)
    info = dataclasses.replace(
        model.info,
        prefix_tokens=settings.prefix_tokens,
        suffix_tokens=settings.suffix_tokens,
    )
    context = RequestContext(
        measure=lambda text: len(model.codec.encode(text)), masks_secrets=False
    )
    return build_prompt(
        build_job(site, RequestOptions(), info, context), model.codec, settings
    ).ids


@app.command()
def keystrokes(
    model: Annotated[str, typer.Option(help="Name or directory of the model.")] = BUNDLED,
    style: Annotated[
        PromptStyle, typer.Option(help="bare: the model's own; instruct: that of the 26B.")
    ] = PromptStyle.BARE,
    places: Annotated[int, typer.Option(help="Where code is typed.")] = 16,
    characters: Annotated[int, typer.Option(help="How many are typed there.")] = 150,
    seed: Annotated[int, typer.Option(help="Which places are drawn.")] = 1,
) -> None:
    """Print, by kind of keystroke, how many tokens of the prompt are read anew."""
    loaded = load(model)
    own = loaded.settings.prompt
    settings = own if style is own.style else PromptSettings(style=style)
    rng = random.Random(seed)
    counts: dict[str, list[int]] = {}
    lengths: list[int] = []
    for place in range(places):
        path = Path(MODULES[place % len(MODULES)].__file__ or "")
        text = path.read_text(encoding="utf-8")
        at = text.find("\n", rng.randrange(len(text) - 2 * characters)) + 1
        end = at + characters
        before: tuple[int, ...] = ()
        for state in typed(text[:at], text[at:end], text[end:], rng):
            ids = prompt_ids(loaded, settings, path.name, state)
            if before:
                anew = len(ids) - common_length(before, ids)
                counts.setdefault(state.kind, []).append(anew)
                lengths.append(len(ids))
            before = ids
    counts["all"] = [count for each in counts.values() for count in each]
    print(f"a prompt has {np.median(lengths):.0f} tokens (median)\n")
    print("| keystroke | n | median | mean | 95th percentile | most |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, each in counts.items():
        p50, p95 = np.percentile(each, [50, 95])
        print(
            f"| {kind} | {len(each)} | {p50:.0f} | {np.mean(each):.1f} | {p95:.0f} "
            f"| {max(each)} |"
        )


if __name__ == "__main__":
    app()
