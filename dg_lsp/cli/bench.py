"""`dg-lsp bench`: measurements, with one module per command."""

from __future__ import annotations

import typer

from dg_lsp.cli.bench_gpu import gpu
from dg_lsp.cli.bench_keystrokes import keystrokes
from dg_lsp.cli.bench_load import load
from dg_lsp.cli.bench_packing import packing
from dg_lsp.cli.bench_peers import peers
from dg_lsp.cli.bench_profile import profile
from dg_lsp.cli.bench_rehearsal import rehearsal
from dg_lsp.cli.bench_server import server
from dg_lsp.cli.bench_soak import soak

bench = typer.Typer(add_completion=False, help="Measure how fast dg-lsp is on this machine.")
bench.command("server")(server)
bench.command("load")(load)
bench.command("keystrokes")(keystrokes)
bench.command("profile")(profile)
bench.command("gpu")(gpu)
bench.command("packing")(packing)
bench.command("rehearsal")(rehearsal)
bench.command("peers")(peers)
bench.command("soak")(soak)
