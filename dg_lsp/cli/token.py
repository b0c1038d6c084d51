"""`dg-lsp token`: makes, lists and revokes the tokens of an engine that a team shares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

token = typer.Typer(add_completion=False, help="Make, list or revoke tokens of this engine.")

_File = Annotated[
    Path | None,
    typer.Option(
        "--tokens", metavar="FILE", help="The file of tokens; by default the user's own."
    ),
]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.")]


@token.command("new")
def new(
    name: _Name,
    admin: Annotated[
        bool, typer.Option("--admin", help="May also unload the model and stop the engine.")
    ] = False,
    tokens: _File = None,
) -> None:
    """Make a token for one client and print it, this once.

    Only a hash of it is stored. A running engine accepts it at once.
    """
    from dg_lsp.service.access.tokens import new_token, tokens_file

    path = tokens or tokens_file()
    made = new_token(path, name, is_admin=admin)
    print(
        f"dg-lsp: {name} can set this as dgLsp.engine.token; it is not shown again",
        file=sys.stderr,
    )
    print(made)


@token.command("list")
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each token.")
    ] = False,
    tokens: _File = None,
) -> None:
    """List the names of the tokens, and when they were made."""
    from dg_lsp.service.access.tokens import read_tokens, tokens_file

    path = tokens or tokens_file()
    known = read_tokens(path)
    for one in known:
        if as_json:
            print(json.dumps({"name": one.name, "created": one.created, "admin": one.is_admin}))
        else:
            print(f"{one.created}  {one.name}{'  (admin)' * one.is_admin}")
    if not known and not as_json:
        print(f"there are no tokens in {path}; dg-lsp token new NAME makes one")


@token.command("revoke")
def revoke(name: _Name, tokens: _File = None) -> None:
    """Revoke a token; a running engine refuses it at once."""
    from dg_lsp.service.access.tokens import revoke_token, tokens_file

    revoke_token(tokens or tokens_file(), name)
    print(f"revoked the token of {name}")
