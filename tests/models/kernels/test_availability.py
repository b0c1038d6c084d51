"""Whether the kernels run here."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.models import kernels


@pytest.mark.parametrize("can", [True, False])
def test_it_is_asked_within_compiled_code(monkeypatch, can):
    """The answer is found by looking at files, which no compiler follows."""
    looked = []
    monkeypatch.setattr(kernels, "kernel_obstacle", lambda found: None if can else "no gcc")
    monkeypatch.setattr(kernels, "installed", lambda: looked.append(1))
    kernels.can_compile.cache_clear()

    def ask(x):
        return x + 1 if kernels.available_on(torch.device("cuda:0")) else x

    try:
        torch._dynamo.reset()
        compiled = torch.compile(ask, fullgraph=True, backend="eager")
        assert compiled(torch.zeros(())).item() == int(can)
        assert looked
    finally:
        kernels.can_compile.cache_clear()
