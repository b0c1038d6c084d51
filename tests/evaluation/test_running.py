"""Problems are filled and judged: known good, known bad and misbehaving infills."""

from __future__ import annotations

import pytest

from dg_lsp.config import EngineSettings, PromptSettings, PromptStyle
from dg_lsp.evaluation.data import Problem
from dg_lsp.evaluation.figures import figures_of
from dg_lsp.evaluation.methods import Outcome
from dg_lsp.evaluation.results import ResultLog
from dg_lsp.evaluation.running import (
    CANONICAL,
    Filler,
    Judging,
    estimate_s,
    filler_of,
    run,
    spread,
)
from dg_lsp.evaluation.sandbox import Limits, Sandbox, find_sandbox
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import ModelInfo
from dg_lsp.models.gemma.family import FAMILY
from dg_lsp.models.loading import LoadedModel
from dg_lsp.models.scripted import ScriptedDenoiser

HALVED = Problem(
    "Own/0",
    TrueSpan("a.py", "def halved(n):\n", "    return result\n", "    result = n / 2\n", "line"),
    "0",
    "def check(halved):\n    assert halved(8) == 4\n\ncheck(halved)\n",
)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    limits = Limits(cpu_s=1, wall_s=60.0, memory_bytes=256 << 20)
    return find_sandbox(allow_limits_only=True, limits=limits)


def answering(text: str) -> Filler:
    return Filler("own", None, text, lambda _: Outcome(text, 0.9, 4, 200.0, 50.0), len)


@pytest.mark.parametrize(
    ("text", "verdict", "exact"),
    [
        ("    result = n / 2\n", "passed", True),
        ("    result = n * 0.5\n", "passed", False),
        ("    result = n\n", "failed", False),
        ("    result = \n", "failed", False),
        ("", "failed", False),
        ("    while True: pass\n", "timed out", False),
        ("    import os\n    while True: os.fork()\n", "failed", False),
        ("    result = bytearray(1 << 40)\n", "failed", False),
        ("    open('/tmp/x', 'wb').write(bytes(1 << 24))\n", "failed", False),
        ("    import os\n    os._exit(0)\n", "failed", False),
        ("    while True: print('x' * 1_000_000)\n", "timed out", False),
    ],
)
def test_an_infill_is_as_good_as_its_tests_say(sandbox, text, verdict, exact) -> None:
    [result] = run([HALVED], answering(text), Judging(sandbox=sandbox))

    assert (result.verdict, result.is_exact) == (verdict, exact)
    assert (result.is_quiet, result.tokens) == (not text, len(text))


def test_canonical_solutions_pass_without_exception(sandbox) -> None:
    results = run([HALVED], CANONICAL, Judging(sandbox=sandbox))
    found = figures_of("all", results)

    assert found.pass_at_1 is not None
    assert found.pass_at_1.value == found.exact_match.value == 1.0


def test_without_a_sandbox_nothing_is_run() -> None:
    [result] = run([HALVED], answering("    raise SystemExit(7)\n"), Judging())

    assert result.verdict is None


@pytest.mark.parametrize(
    ("text", "suffix", "language", "valid"),
    [
        ("x = 1\n", "y = 2\n", "python", True),
        ("x = \n", "y = 2\n", "python", False),
        ("x = \n", "y = 2\n", "go", None),
        # A file that did not parse before says nothing of the infill.
        ("x = 1\n", "y = (\n", "python", None),
    ],
)
def test_whether_the_document_parses_with_the_infill(text, suffix, language, valid) -> None:
    span = TrueSpan("a.py", "a = 0\n", suffix, "b = 1\n", "line", language)
    [result] = run([Problem("a", span, "a")], answering(text), Judging(syntax=True))

    assert result.parses is valid


def test_a_log_spares_the_work(tmp_path) -> None:
    log = ResultLog(tmp_path / "log", {"filler": "own"})
    first = run([HALVED], answering("x"), Judging(), log)
    log.close()
    log = ResultLog(tmp_path / "log", {"filler": "own"})

    # Nothing is filled: this would answer otherwise.
    assert run([HALVED], answering("y"), Judging(), log) == first
    log.close()


def test_the_estimate_is_for_all_problems() -> None:
    assert estimate_s([HALVED] * 30, answering("x")) == pytest.approx(30 * 0.2)
    assert estimate_s([HALVED], answering("x")) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("limit", "expect"), [(None, [0, 1, 2, 3]), (9, [0, 1, 2, 3]), (2, [0, 2]), (1, [0])]
)
def test_a_limit_takes_problems_from_first_to_last(limit, expect) -> None:
    problems = [Problem(str(n), HALVED.span, "c") for n in range(4)]

    assert [int(problem.name) for problem in spread(problems, limit)] == expect


def test_the_engine_fills_problems(tiny_codec) -> None:
    span = TrueSpan("a.py", "def halved(n):\n    return ", "\n\n\nx = 1\n", "n / 2", "rest")
    problem = Problem("Own/1", span, "1")
    document = span.prefix + span.text + span.suffix
    settings = EngineSettings(prompt=PromptSettings(style=PromptStyle.BARE))
    # Certain enough to settle, too unsure for a threshold of 1.
    denoiser = ScriptedDenoiser(tiny_codec, document)
    model = LoadedModel(
        ModelInfo("own", "cpu", 9, 9), FAMILY, denoiser, tiny_codec, settings, None
    )  # type: ignore[arg-type]
    loud, quiet = (filler_of(model, 64, least) for least in (0.0, 1.0))

    [result] = run([problem], loud, Judging())
    assert (result.text, result.is_exact, result.is_quiet) == (span.text, True, False)
    assert result.steps > 0
    assert result.tokens == len(tiny_codec.encode(span.text))
    [result] = run([problem], quiet, Judging())
    assert (result.text, result.is_quiet) == ("", True)
    assert loud.identity != quiet.identity
