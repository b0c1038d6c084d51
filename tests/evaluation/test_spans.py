"""Spans with known text, cut out of files."""

from __future__ import annotations

from dg_lsp.evaluation.spans import (
    AS_ASKED,
    CONTEXT_CHARACTERS,
    KINDS,
    MAX_TOKENS,
    PUBLIC,
    TrueSpan,
    draw_spans,
    job_of,
)
from dg_lsp.job import InfillJob
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


def test_a_job_shows_the_text_around_the_span_as_it_is():
    token = "ghp_0123456789abcdefghij0123456789abcdef"
    line = f"token = '{token}'\n"
    span = TrueSpan("a.py", line * 1000 + "x = '", "'\n" + line * 1000, token, "whole line")

    assert job_of(span) == InfillJob(
        prefix=span.prefix[-CONTEXT_CHARACTERS:],
        suffix=span.suffix[:CONTEXT_CHARACTERS],
        path="a.py",
        language="python",
        max_tokens=MAX_TOKENS,
        may_be_empty=False,
    )


def test_seeds_are_looked_for_in_the_whole_document_where_they_are_wanted():
    far = "# nothing\n" * (CONTEXT_CHARACTERS // 10)
    prefix = (
        f"def area(radius):\n    return radius * scale\n\n\n{far}def area(radius):\n    return "
    )
    span = TrueSpan("a.py", prefix, "\n\n\n# end\n", "radius * scale", "rest of line")

    assert job_of(span).seeds == ()
    job = job_of(span, AS_ASKED, PUBLIC)
    assert job.seeds[0].text == "radius * scale"
    assert span.text not in job.prefix
