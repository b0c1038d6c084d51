"""`dg-lsp bench peers`: a small masked model on this CPU beside llama.cpp.

The measurement itself is in dg_lsp/benchmark/peers.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dg_lsp.cli.options import JsonOption


def peers(
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often each method is timed.")
    ] = 3,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads of each method; by default torch's."),
    ] = None,
    grow: Annotated[
        bool,
        typer.Option("--grow", help="Also measure other lengths of the text and the span."),
    ] = False,
    llama: Annotated[bool, typer.Option(help="Whether to measure llama.cpp.")] = True,
    layers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Layers; fewer make a smaller model.")
    ] = 24,
    hidden: Annotated[
        int, typer.Option(metavar="N", min=64, help="Width of the model, a multiple of 64.")
    ] = 896,
    vocabulary: Annotated[
        int, typer.Option(metavar="N", min=1024, help="Tokens of the vocabulary.")
    ] = 151_936,
    as_json: JsonOption = False,
) -> None:
    """Time an infill with a masked 0.5B model on this CPU, and with llama.cpp.

    All methods have the shape of Open-dCoder-0.5B (Qwen2) and the same random weights: the
    official way, with one pass over everything for each token, our exact loop, our cached loop,
    and an autoregressive model in llama.cpp (F16 and Q8_0). An infill has 32 tokens, with 512
    tokens around it. Needs `pip install 'dg-lsp[bench]'`, 8 GB of memory and 3 GB of disk.
    """
    import torch
    from rich.console import Console

    from dg_lsp.benchmark.peers.measuring import BASE, SCENARIOS
    from dg_lsp.benchmark.peers.report import as_text, to_json
    from dg_lsp.benchmark.peers.run import run_peers
    from dg_lsp.benchmark.peers.weights import shape

    if hidden % 64:
        raise typer.BadParameter(f"--hidden is {hidden}; must be a multiple of 64")
    # Shown on a terminal only.
    status = Console(stderr=True, highlight=False).status("")
    with status:
        outcome = run_peers(
            shape(layers=layers, hidden=hidden, vocabulary=vocabulary),
            SCENARIOS if grow else [BASE],
            rounds=rounds,
            threads=threads or torch.get_num_threads(),
            with_llama=llama,
            told=status.update,
        )
    print(json.dumps(to_json(outcome)) if as_json else as_text(outcome))
