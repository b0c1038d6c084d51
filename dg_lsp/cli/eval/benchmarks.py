"""`dg-lsp eval humaneval-infilling`, `santacoder-fim` and `repo`: benchmarks of infilling.

Reads the problems, fills them, and prints a Markdown table or one JSON object.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dg_lsp.cli.options import DeviceOption, ModelOption, SpanSeedOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dg_lsp.evaluation.data import Problem
    from dg_lsp.evaluation.elsewhere import Contexts
    from dg_lsp.evaluation.running import Judging

_Data = Annotated[
    Path,
    typer.Option("--data", metavar="FILE", help="The benchmark's file.", show_default=False),
]
_Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", min=1, help="Maximum number of problems, spread over the file."
    ),
]
_MaxTokens = Annotated[
    int,
    typer.Option(
        "--max-tokens", metavar="N", min=1, help="Maximum number of tokens of an infill."
    ),
]
_MinConfidence = Annotated[
    float,
    typer.Option(
        "--min-confidence",
        metavar="SHARE",
        min=0,
        max=1,
        help="Suggest nothing below this confidence.",
    ),
]
_Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Store results here; run again to continue."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


@dataclass(frozen=True, slots=True)
class _Options:
    """Options that all three commands share."""

    model: str | None
    device: str | None
    max_tokens: int
    min_confidence: float
    log: Path | None
    as_json: bool
    seeds: str = "none"
    shown: str = "none"


def humaneval_infilling(
    data: _Data,
    limit: _Limit = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    max_tokens: _MaxTokens = 256,
    min_confidence: _MinConfidence = 0.0,
    log: _Log = None,
    canonical: Annotated[
        bool,
        typer.Option("--canonical", help="Judge the true solutions, to check the harness."),
    ] = False,
    allow_execution: Annotated[
        bool,
        typer.Option("--allow-execution", help="Run generated code even without a sandbox."),
    ] = False,
    no_execution: Annotated[
        bool, typer.Option("--no-execution", help="Do not run code; there is no pass@1 then.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Measure pass@1 and more on HumanEval-Infilling, in JSON lines, gzipped or not.

    The tests of each problem run in a sandbox, without network or your files, and with limits
    on time, memory, files and processes. If the machine has no sandbox, --allow-execution is
    required.
    """
    from dg_lsp.evaluation.data import missing_problems, read_humaneval
    from dg_lsp.evaluation.running import Judging
    from dg_lsp.evaluation.sandbox import find_sandbox

    problems = read_humaneval(data)
    if note := missing_problems(problems):
        _say(note)
    sandbox = None
    if not no_execution:
        sandbox = find_sandbox(allow_limits_only=allow_execution)
        _say(f"sandbox: {sandbox.isolation.value}")
    options = _Options(model, device, max_tokens, min_confidence, log, as_json)
    _evaluate(
        "humaneval-infilling",
        data,
        limit,
        problems,
        Judging(sandbox=sandbox),
        options,
        canonical,
    )


def santacoder_fim(
    data: _Data,
    limit: _Limit = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    max_tokens: _MaxTokens = 128,
    min_confidence: _MinConfidence = 0.0,
    log: _Log = None,
    as_json: _Json = False,
) -> None:
    """Measure exact match of single lines of Java, JavaScript and Python on SantaCoder-FIM.

    The file is Parquet (which needs `pip install 'dg-lsp[eval]'`) or JSON lines.
    """
    from dg_lsp.evaluation.data import read_santacoder
    from dg_lsp.evaluation.running import Judging
    from dg_lsp.evaluation.scores import is_stripped_match

    options = _Options(model, device, max_tokens, min_confidence, log, as_json)
    judging = Judging(match=is_stripped_match)
    _evaluate("santacoder-fim", data, limit, read_santacoder(data), judging, options)


def repo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of source code.")],
    per_kind: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Spans of each kind and language."),
    ] = 20,
    seed: SpanSeedOption = 0,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", metavar="ID", help="Only files of this language."),
    ] = None,
    seeds: Annotated[
        Literal["none", "document", "folder"],
        typer.Option(
            "--seeds",
            metavar="SOURCE",
            help="Where to look for texts to start from: none, document or folder.",
        ),
    ] = "folder",
    files_shown: Annotated[
        Literal["none", "similar", "definitions", "both"],
        typer.Option(
            "--shown",
            metavar="TEXT",
            help="Text of other files in the prompt: none, similar, definitions or both.",
        ),
    ] = "none",
    model: ModelOption = None,
    device: DeviceOption = None,
    max_tokens: _MaxTokens = 128,
    min_confidence: _MinConfidence = 0.0,
    log: _Log = None,
    as_json: _Json = False,
) -> None:
    """Measure how well the model fills spans of your own code, on your own machine.

    Cuts names, call arguments, lines, blocks and ends of words out of the files of a folder,
    except those that .gitignore excludes or that look like secrets. Nothing is written there.
    """
    from dg_lsp.evaluation import SeedSource
    from dg_lsp.evaluation.context import OtherFiles, with_text
    from dg_lsp.evaluation.data import DataError
    from dg_lsp.evaluation.elsewhere import contexts
    from dg_lsp.evaluation.repository import cut_spans, find_files
    from dg_lsp.evaluation.running import Judging

    found = find_files(directory)
    files = [file for file in found.files if not language or file.language in language]
    if not files:
        known = ", ".join(sorted({file.language for file in found.files}))
        raise DataError(f"no file of {', '.join(language or [])}; there are {known}")
    left_out = "".join(f", {count} {why}" for why, count in found.left_out.items())
    _say(f"source files: {len(files)}; left out: {left_out.removeprefix(', ') or 'none'}")
    problems = cut_spans(files, per_kind, seed)
    context_of = contexts(SeedSource(seeds), [(file.path, file.text) for file in found.files])
    context_of = with_text(context_of, OtherFiles(files), files_shown)
    options = _Options(
        model, device, max_tokens, min_confidence, log, as_json, seeds, files_shown
    )
    judging = Judging(syntax=True)
    _evaluate("repo", directory, None, problems, judging, options, context_of=context_of)


def _evaluate(
    benchmark: str,
    data: Path,
    limit: int | None,
    problems: Sequence[Problem],
    judging: Judging,
    options: _Options,
    is_canonical: bool = False,
    context_of: Contexts | None = None,
) -> None:
    """Fill the problems and print the figures."""
    from rich.console import Console

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.figures import grouped, table
    from dg_lsp.evaluation.results import ResultLog
    from dg_lsp.evaluation.running import CANONICAL, estimate_s, filler_of, run, spread

    problems = spread(problems, limit)
    filler = CANONICAL
    if not is_canonical:
        loaded = load_model(options.model, options.device)
        filler = filler_of(loaded, options.max_tokens, options.min_confidence, context_of)
    identity = {
        "benchmark": benchmark,
        "data": str(data.resolve()),
        "filler": filler.identity,
        "executes": judging.sandbox is not None,
        "seeds": options.seeds,
        **({"shown": options.shown} if options.shown != "none" else {}),
    }
    log = None if options.log is None else ResultLog(options.log, identity)
    left = [one for one in problems if log is None or one.name not in log.results]
    if left and not is_canonical:
        _say(f"{len(left)} infills, about {_duration(estimate_s(left, filler))}")
    try:
        results = run(problems, filler, judging, log, Console(stderr=True))
    finally:
        if log is not None:
            log.close()
    rows = grouped(results, by_language=benchmark == "repo")
    if not options.as_json:
        print(table(rows, "spans"))
        return
    isolation = judging.sandbox.isolation.name.lower() if judging.sandbox else None
    report = {
        "benchmark": benchmark,
        "model": filler.name,
        "device": filler.device,
        "sandbox": isolation,
        **rows[-1].to_json(),
        "groups": [row.to_json() for row in rows],
        "problems": [asdict(result) for result in results],
    }
    print(json.dumps(report, ensure_ascii=False))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _say(note: str) -> None:
    typer.echo(f"dg-lsp: {note}", err=True)
