"""The import table of docs/architecture.md, and what a light import leaves unloaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "dg_lsp").rglob("*.py"))
}

ANYTHING = ("",)
SEAM = ("dg_lsp.job", "dg_lsp.reason", "dg_lsp.config")
JOB = ("dg_lsp.job", "dg_lsp.reason")

# Package or module: what it may import besides itself and the standard library, by the start
# of the name. The second table adds what it may import inside functions only.
MAY_IMPORT = {
    "dg_lsp": (),
    "dg_lsp.__main__": ("dg_lsp.cli", "dg_lsp.interrupts", "dg_lsp.threads"),
    "dg_lsp.cli": (
        *SEAM,
        "dg_lsp.document",
        "dg_lsp.diagnosis.findings",
        "dg_lsp.diagnosis.reading",
        "dg_lsp.diagnosis.records",
        "dg_lsp.files",
        "dg_lsp.interrupts",
        "typer",
        "rich",
    ),
    "dg_lsp.server": (
        *SEAM,
        "dg_lsp.document",
        "dg_lsp.diagnosis.records",
        "dg_lsp.diagnosis.pages",
        "pygls",
        "lsprotocol",
    ),
    "dg_lsp.server.rpc": (
        "dg_lsp.reason",
        "dg_lsp.server.convert",
        "dg_lsp.server.lsp_ext",
        "dg_lsp.server.workspace",
        "cattrs",
        "pygls",
        "lsprotocol",
    ),
    "dg_lsp.server.workspace": (
        "dg_lsp.job",
        "dg_lsp.document",
        "dg_lsp.server.convert",
        "pygls",
        "lsprotocol",
    ),
    "dg_lsp.server.link": (*JOB, "dg_lsp.fed_job", "dg_lsp.document", "dg_lsp.server.settings"),
    "dg_lsp.server.suggest": (
        *JOB,
        "dg_lsp.document",
        "dg_lsp.server.settings",
        "dg_lsp.server.link",
    ),
    "dg_lsp.document": ("dg_lsp.job", "dg_lsp.reason", "dg_lsp.config"),
    "dg_lsp.engine": (*SEAM, "dg_lsp.fed_job"),
    "dg_lsp.service": (
        *JOB,
        "dg_lsp.files",
        "dg_lsp.fed_job",
        "dg_lsp.document",
        "h11",
        "platformdirs",
    ),
    "dg_lsp.diagnosis": (
        *SEAM,
        "dg_lsp.files",
        "dg_lsp.hardware",
        "dg_lsp.service",
        "platformdirs",
    ),
    "dg_lsp.benchmark": ("dg_lsp.server.rpc.frames", "numpy"),
    # These time the model itself.
    "dg_lsp.benchmark.gpu": ANYTHING,
    "dg_lsp.benchmark.infills": ANYTHING,
    "dg_lsp.benchmark.load": ANYTHING,
    "dg_lsp.benchmark.packing": ANYTHING,
    "dg_lsp.benchmark.peers": ANYTHING,
    "dg_lsp.benchmark.prompt_changes": ANYTHING,
    "dg_lsp.benchmark.rehearsal": ANYTHING,
    # It runs the server under a clock of its own.
    "dg_lsp.benchmark.replay": ANYTHING,
    "dg_lsp.models": (
        *SEAM,
        "dg_lsp.files",
        "dg_lsp.hardware",
        "dg_lsp.engine.codec",
        "dg_lsp.engine.denoiser",
        "dg_lsp.engine.family",
        "dg_lsp.engine.gemma",
        "dg_lsp.engine.masked",
        "dg_lsp.threads",
        "numpy",
        "torch",
        "transformers",
        "tokenizers",
        "bitsandbytes",
        "filelock",
        "huggingface_hub",
        "platformdirs",
        "psutil",
        "safetensors",
        "triton",
    ),
    "dg_lsp.training": (
        *SEAM,
        "dg_lsp.document",
        "dg_lsp.models",
        "dg_lsp.engine",
        "dg_lsp.threads",
        "torch",
        "transformers",
        "numpy",
        "safetensors",
        "platformdirs",
        "tokenizers",
        "typer",
        "rich",
    ),
    "dg_lsp.evaluation": ANYTHING,
    "dg_lsp.job": ("dg_lsp.reason",),
    "dg_lsp.fed_job": ("dg_lsp.job", "dg_lsp.reason"),
    "dg_lsp.hardware": ("dg_lsp.reason",),
    "dg_lsp.reason": (),
    "dg_lsp.files": (),
    "dg_lsp.interrupts": (),
    "dg_lsp.threads": (),
    "dg_lsp.config": (),
}
MAY_IMPORT_LAZILY = {
    "dg_lsp.cli": ANYTHING,
    "dg_lsp.diagnosis": ("psutil",),
    # And the grammars, by their packages' names.
    "dg_lsp.document": ("tree_sitter",),
    "dg_lsp.server.rpc": ("psutil",),
    "dg_lsp.service": (
        "certifi",
        "cryptography",
        "filelock",
        "packaging",
        "psutil",
        "starlette",
        "uvicorn",
    ),
}
# Where the tables allow anything; what is shared belongs to `document` or `config`.
MUST_NOT_IMPORT = {
    package: ("dg_lsp.server", "dg_lsp.cli")
    for package in (
        "dg_lsp.evaluation",
        "dg_lsp.benchmark.gpu",
        "dg_lsp.benchmark.infills",
        "dg_lsp.benchmark.load",
        "dg_lsp.benchmark.packing",
        "dg_lsp.benchmark.peers",
        "dg_lsp.benchmark.prompt_changes",
        "dg_lsp.benchmark.rehearsal",
    )
} | {"dg_lsp.benchmark.replay": ("dg_lsp.cli",)}
MAY_IMPORT_TORCH = {
    f"dg_lsp.engine.{name}"
    for name in (
        *("denoising", "lanes", "sampler", "stopping", "uniform"),
        *("masked.corruption", "masked.ranking"),
    )
}


@dataclass(frozen=True, slots=True)
class Import:
    line: int
    name: str
    lazy: bool


def imports_of(module: str, source: str) -> Iterator[Import]:
    """Every import that runs: those under `if TYPE_CHECKING` do not."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            children: list[ast.AST] = [*node.orelse]
        else:
            children = [*ast.iter_child_nodes(node)]
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield Import(node.lineno, full if full in MODULES else str(node.module), lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in children:
            yield from visit(child, inside)

    yield from visit(ast.parse(source), False)


def package_of(module: str) -> str:
    return max((key for key in MAY_IMPORT if within(module, (key,))), key=len)


def within(name: str, starts: tuple[str, ...]) -> bool:
    return any(start == "" or name == start or name.startswith(f"{start}.") for start in starts)


def forbidden_imports(module: str, source: str) -> list[str]:
    package = package_of(module)
    allowed = MAY_IMPORT[package] if package == "dg_lsp" else (*MAY_IMPORT[package], package)
    if module in MAY_IMPORT_TORCH:
        allowed = (*allowed, "torch")
    lazily = (*allowed, *MAY_IMPORT_LAZILY.get(package, ()))
    return [
        f"line {found.line}: {found.name}"
        for found in imports_of(module, source)
        if found.name.partition(".")[0] not in sys.stdlib_module_names
        # The package itself holds its version and nothing else.
        and found.name != "dg_lsp"
        and (
            not within(found.name, lazily if found.lazy else allowed)
            or within(found.name, MUST_NOT_IMPORT.get(package, ()))
        )
    ]


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_what_the_table_allows(module: str) -> None:
    assert forbidden_imports(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_the_table_allows_nothing_that_is_not_needed(package: str) -> None:
    used = [
        found.name
        for module, path in MODULES.items()
        if package_of(module) == package
        for found in imports_of(module, path.read_text(encoding="utf-8"))
    ]
    allowed = (*MAY_IMPORT[package], *MAY_IMPORT_LAZILY.get(package, ()))
    unused = [start for start in allowed if not any(within(name, (start,)) for name in used)]
    # Every package may use the seam.
    assert [start for start in unused if start not in (*SEAM, *ANYTHING)] == []


@pytest.mark.parametrize(
    ("module", "source", "expect"),
    [
        ("dg_lsp.engine.engine", "import torch", ["line 1: torch"]),
        ("dg_lsp.engine.sampler", "import torch\nfrom torch import nn", []),
        ("dg_lsp.engine.codec", "def f():\n    import torch.nn", ["line 2: torch.nn"]),
        ("dg_lsp.engine.codec", "if TYPE_CHECKING:\n    import torch", []),
        ("dg_lsp.engine.codec", "from dg_lsp import models", ["line 1: dg_lsp.models"]),
        ("dg_lsp.models.loading", "from dg_lsp.engine import denoiser, codec", []),
        (
            "dg_lsp.models.loading",
            "from dg_lsp.engine import sampler",
            ["line 1: dg_lsp.engine.sampler"],
        ),
        ("dg_lsp.cli.infill", "import dg_lsp.engine", ["line 1: dg_lsp.engine"]),
        ("dg_lsp.cli.infill", "async def f():\n    import dg_lsp.engine", []),
        ("dg_lsp.evaluation.spans", "import numpy\nfrom dg_lsp.document import edit", []),
        (
            "dg_lsp.evaluation.spans",
            "def f():\n    from dg_lsp.server import settings",
            ["line 2: dg_lsp.server.settings"],
        ),
        (
            "dg_lsp.server.suggest.decide",
            "from lsprotocol import types",
            ["line 1: lsprotocol"],
        ),
        ("dg_lsp.job", "import json\nimport rich", ["line 2: rich"]),
        ("dg_lsp.document.edit", "from dg_lsp import engine", ["line 1: dg_lsp.engine"]),
        ("dg_lsp", "from dg_lsp.job import Span", ["line 1: dg_lsp.job"]),
    ],
)
def test_the_table_is_read_as_it_is_meant(module: str, source: str, expect: list[str]) -> None:
    assert forbidden_imports(module, source) == expect


def test_light_modules_leave_slow_libraries_unloaded() -> None:
    light = [
        module
        for module in MODULES
        if module in ("dg_lsp", *SEAM, "dg_lsp.fed_job", "dg_lsp.engine.scheduler")
        or within(module, ("dg_lsp.document", "dg_lsp.cli", "dg_lsp.server"))
    ]
    script = f"""
import importlib, sys
for name in {light}:
    importlib.import_module(name)
    unwanted = {{"torch", "transformers", "filelock", "psutil", "tree_sitter"}}
    heavy = sorted(unwanted & set(sys.modules))
    assert not heavy, f"{{name}} loads {{heavy}}"
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )

    assert ended.stderr == ""
