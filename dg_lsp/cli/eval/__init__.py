"""`dg-lsp eval`: how well a model infills, on benchmarks, on the user's own code, in research.

One module per family of commands; this one puts them together.
"""

from __future__ import annotations

import typer

from dg_lsp.cli.eval import benchmarks, research

eval = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Measure how well a model infills."
)
eval.command("humaneval-infilling")(benchmarks.humaneval_infilling)
eval.command("santacoder-fim")(benchmarks.santacoder_fim)
eval.command("repo")(benchmarks.repo)
eval.command("spans")(research.spans)
eval.command("quiet")(research.quiet)
eval.command("lengths")(research.lengths)
eval.command("tune")(research.tune)
eval.command("profile")(research.profile)
