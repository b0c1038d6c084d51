"""Spans with known text, cut out of files."""

from __future__ import annotations

from dg_lsp.evaluation.spans import KINDS, draw_spans
from dg_lsp.training.corpus import SourceFile

FILES = [
    SourceFile(
        f"shapes/{name}.py",
        f"import math\n\n\ndef area_{name}(radius, scale=1):\n"
        + "".join(f"    side_{n} = scale * radius ** {n} + math.pi\n" for n in range(9))
        + "\n    return side_3, side_4\n",
        "shapes",
    )
    for name in "abc"
]


def test_every_span_stands_in_its_file_and_is_not_blank():
    texts = {file.path: file.text for file in FILES}

    spans = draw_spans(FILES, per_kind=30, seed=1)
    assert [span.kind for span in spans] == [kind for kind in KINDS for _ in range(30)]
    for span in spans:
        assert span.text.strip()
        assert span.prefix + span.text + span.suffix in texts[span.path]


def test_whole_lines_are_whole():
    for span in draw_spans(FILES, per_kind=30, seed=1):
        if span.kind == "whole line":
            assert not span.prefix.rpartition("\n")[2].strip()
            assert span.suffix.startswith("\n")
            assert "\n" not in span.text


def test_the_seed_decides():
    assert draw_spans(FILES, 5, seed=1) == draw_spans(FILES, 5, seed=1)
    assert draw_spans(FILES, 5, seed=1) != draw_spans(FILES, 5, seed=2)
