"""How long a waiting thread keeps its core is decided before torch is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import dg_lsp.threads

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize(
    ("set_by_user", "expected", "is_ours"),
    [
        ({}, dg_lsp.threads.ROUNDS, True),
        ({"GOMP_SPINCOUNT": "7"}, "7", False),
        ({"OMP_WAIT_POLICY": "active"}, None, False),
    ],
    ids=["nothing", "rounds", "policy"],
)
def test_threads_wait_briefly_unless_the_user_decided(
    monkeypatch: pytest.MonkeyPatch,
    set_by_user: dict[str, str],
    expected: str | None,
    is_ours: bool,
) -> None:
    environ = dict(set_by_user)
    monkeypatch.setattr(dg_lsp.threads.os, "environ", environ)

    dg_lsp.threads.wait_briefly()

    assert environ.get("GOMP_SPINCOUNT") == expected
    assert dg_lsp.threads.waits_briefly() is is_ours


def test_every_command_decides_it() -> None:
    program = (
        "import os, sys; sys.argv[1:] = ['--version']\n"
        "from dg_lsp.__main__ import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(os.environ['GOMP_SPINCOUNT'])\n"
    )
    environ = {name: value for name, value in os.environ.items() if name not in NAMES}

    said = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True
    )

    assert (said.returncode, said.stderr) == (0, dg_lsp.threads.ROUNDS)
