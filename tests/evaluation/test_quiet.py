"""Places where nothing is missing, and the curve of the confidence."""

from __future__ import annotations

import ast

import pytest

from dg_lsp.config import EngineSettings, PromptSettings, PromptStyle
from dg_lsp.evaluation.quiet import (
    QUIET_KINDS,
    THRESHOLDS,
    Shown,
    ask,
    curve,
    curve_table,
    quiet_by_kind,
    quiet_places,
)
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import ModelInfo
from dg_lsp.models.gemma.family import FAMILY
from dg_lsp.models.loading import LoadedModel
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.training.corpus import SourceFile

TEXT = '''"""Some words that stand in a docstring of this module."""

import math


def area(radius, scale):
    # A comment with several words in it
    if scale:
        return math.pow(radius, scale)
    return (radius +
            scale)
'''
FILES = [SourceFile(f"{name}.py", TEXT, "own") for name in "abc"]


def test_the_document_is_whole_at_every_place() -> None:
    places = quiet_places(FILES, per_kind=4, seed=1)

    assert {place.kind for place in places} == set(QUIET_KINDS)
    for place in places:
        assert place.text == ""
        assert place.prefix + place.suffix == TEXT


def test_the_kinds_are_what_they_are_called() -> None:
    for place in quiet_places(FILES, per_kind=30, seed=1):
        if place.kind == "finished statement":
            assert place.suffix.startswith("\n")
            assert not place.prefix.endswith((":", "+"))
            if not place.prefix.rpartition("\n")[2].startswith((" ", '"')):
                ast.parse(place.prefix)
        elif place.kind == "inside a word of prose":
            assert place.prefix[-1].isalpha()
            assert place.suffix[0].isalpha()
        elif place.kind == "end of the file":
            assert place.suffix == ""
        else:
            assert place.suffix[0] == ")"
            assert place.prefix[-1] not in "( "


def test_there_may_be_fewer_places_than_wanted() -> None:
    ends = [p for p in quiet_places(FILES, 30, 1) if p.kind == "end of the file"]

    assert len(ends) == len(FILES)
    assert quiet_places(FILES, 2, 1) == quiet_places(FILES, 2, 1)


def shown(
    is_missing: bool, confidence: float, text: str = "x", is_right: bool = False
) -> Shown:
    return Shown("some kind", is_missing, text, confidence, is_right)


ANSWERS = [
    shown(True, 0.9, is_right=True),
    shown(True, 0.4),
    shown(True, 0.0, text=""),
    shown(False, 0.5),
    shown(False, 0.0, text=""),
]


@pytest.mark.parametrize(
    ("threshold", "quiet", "show", "right_of_shown", "right"),
    [
        (0.0, 0.5, 2 / 3, 1 / 3, 1 / 3),
        (0.45, 0.5, 1 / 3, 0.5, 1 / 3),
        (0.6, 1.0, 1 / 3, 1.0, 1 / 3),
        (0.95, 1.0, 0.0, 0.0, 0.0),
    ],
)
def test_the_curve(threshold, quiet, show, right_of_shown, right) -> None:
    points = {point.threshold: point for point in curve(ANSWERS)}
    point = points[threshold]

    assert list(points) == list(THRESHOLDS)
    assert point.abstention_rate == pytest.approx(quiet)
    assert point.show_rate == pytest.approx(show)
    assert point.right_of_shown == pytest.approx(right_of_shown)
    assert point.right == pytest.approx(right)
    assert len(curve_table([*points.values()]).split("\n")) == len(points) + 2


def test_quiet_rates_by_kind() -> None:
    assert quiet_by_kind(ANSWERS, 0.0) == {"some kind": 0.5}
    assert quiet_by_kind(ANSWERS, 0.6) == {"some kind": 1.0}


def test_it_is_asked_as_an_editor_asks(tiny_codec) -> None:
    document = "def halved(n):\n    return n / 2\n\n\nx = 1\n"
    settings = EngineSettings(prompt=PromptSettings(style=PromptStyle.BARE))
    denoiser = ScriptedDenoiser(tiny_codec, document)
    model = LoadedModel(
        ModelInfo("own", "cpu", 9, 9), FAMILY, denoiser, tiny_codec, settings, None
    )  # type: ignore[arg-type]
    start, end = document.index("n / 2"), document.index("\n\n\n")
    span = TrueSpan("a.py", document[:start], document[end:], document[start:end], "rest")
    there = ask(model, span)
    whole = ask(
        model, TrueSpan("a.py", document[:end], document[end:], "", "finished statement")
    )

    assert (there.text, there.is_missing, there.is_right) == ("n / 2", True, True)
    assert there.confidence > 0.5
    assert (whole.text, whole.is_missing, whole.is_right) == ("", False, False)
