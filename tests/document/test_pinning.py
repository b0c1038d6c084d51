"""Pinning: what is left to write around pinned words, and that nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.holes import MAX_HOLES, HolesError, between, joined, within
from dg_lsp.document.pinning import free_parts
from dg_lsp.document.request import RequestOptions, build_job
from dg_lsp.document.suggestions import InsertionSite, Standard, suggestions_for
from dg_lsp.job import Candidate, Earlier, PinnedText, Span
from dg_lsp.reason import ReasonCode
from tests.document.test_request import CONTEXT, MODEL

TEXT = "total = width * height + 1\n"
RANGE = Span(8, 26)
HEIGHT = Span(16, 22)


def site_of(text: str, free: tuple[Span, ...], language: str = "plaintext") -> InsertionSite:
    start, end = free[0].start, free[-1].end
    return InsertionSite(
        uri="file:///a.txt",
        path="a.txt",
        language=language,
        newline="\n",
        prefix=text[:start],
        suffix=text[end:],
        replaced=text[start:end],
        holes=within(free),
    )


@pytest.mark.parametrize(
    ("pinned", "free"),
    [
        ([HEIGHT], ["width * ", " + 1"]),
        ([], ["width * height + 1"]),
        ([Span(8, 13)], [" * height + 1"]),
        ([Span(25, 26)], ["width * height + "]),
        # Blanks between pinned words stay.
        ([Span(14, 15), HEIGHT], ["width ", " + 1"]),
        ([Span(10, 18), HEIGHT], ["wi", " + 1"]),
        ([HEIGHT, HEIGHT], ["width * ", " + 1"]),
        # An empty range pins nothing.
        ([Span(16, 16)], ["width * height + 1"]),
        ([Span(8, 8), HEIGHT, Span(24, 24), Span(26, 26)], ["width * ", " + 1"]),
        ([HEIGHT, Span(18, 18)], ["width * ", " + 1"]),
    ],
)
def test_what_is_left_to_write(pinned, free):
    found = free_parts(TEXT, RANGE, pinned)
    assert [TEXT[one.start : one.end] for one in found] == free


@pytest.mark.parametrize(
    ("pinned", "code"),
    [
        ([Span(0, 5)], ReasonCode.INVALID_REQUEST),
        ([Span(20, 27)], ReasonCode.INVALID_REQUEST),
        ([Span(0, 27)], ReasonCode.INVALID_REQUEST),
        ([RANGE], ReasonCode.NO_HOLES),
        ([Span(8, 22), Span(23, 26)], ReasonCode.NO_HOLES),
    ],
)
def test_what_cannot_be_pinned(pinned, code):
    with pytest.raises(HolesError) as refused:
        free_parts(TEXT, RANGE, pinned)
    assert refused.value.code is code


def test_too_many_pins():
    text = "a b " * (MAX_HOLES + 1)
    pinned = [Span(at, at + 1) for at in range(2, len(text), 4)]
    with pytest.raises(HolesError) as refused:
        free_parts(text, Span(0, len(text)), pinned)
    assert refused.value.code is ReasonCode.TOO_MANY_HOLES


@pytest.mark.parametrize("is_warm", [False, True])
def test_the_job_starts_from_what_stands_there(is_warm):
    site = site_of(TEXT, free_parts(TEXT, RANGE, [HEIGHT]))
    job = build_job(site, RequestOptions(is_warm=is_warm), MODEL, CONTEXT)
    first, last = (Earlier(one) if is_warm else None for one in ("width * ", " + 1"))

    assert job.pinned == (PinnedText("height", first),)
    assert (job.earlier, job.prefix, job.suffix) == (last, "total = ", "\n")
    assert job.replaced is None


@pytest.mark.parametrize(
    ("pinned", "segments", "text"),
    [
        # The word is longer than the one that stays.
        ([HEIGHT], ("width * ", "s + 1"), None),
        ([HEIGHT], ("width * my", " + 1"), None),
        ([Span(23, 24)], ("width * height ", "+ 1"), None),
        # What stays is at the start or at the end.
        ([Span(8, 13)], ("s * height",), None),
        ([Span(8, 13)], (" width * height",), None),
        ([Span(25, 26)], ("width * height + 1",), None),
        # Only blanks differ.
        ([HEIGHT], ("\n  width * ", " + 1"), None),
        ([HEIGHT], ("width *  ", "+ 1"), None),
        ([HEIGHT], ("\n  2 * ", " + 1"), "2 * height + 1"),
        ([HEIGHT], ("width * ", " - 1\n"), "width * height - 1"),
        # It was a part of a longer word before.
        ([Span(16, 19)], ("width * ", "r + 1"), "width * heir + 1"),
    ],
)
def test_what_stays_stays_a_word_and_blanks_are_no_answer(pinned, segments, text):
    site = site_of(TEXT, free_parts(TEXT, RANGE, pinned))
    job = build_job(site, RequestOptions(is_warm=True), MODEL, CONTEXT)
    whole = joined(segments, between(site.replaced, site.holes))
    candidate = Candidate(whole, 0.5, 0.0, segments=segments if len(segments) > 1 else ())
    found = suggestions_for([candidate], site, Standard(), job)

    assert [one.text for one in found] == ([] if text is None else [text])


WORDS = st.text("ab()\n =.é漢🙂", max_size=6)


@given(st.lists(WORDS, min_size=3, max_size=9), st.lists(WORDS, min_size=5, max_size=5))
def test_pinned_text_is_there_verbatim_and_nothing_outside_changes(parts, written):
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + len(part))
    text = "".join(parts)
    span = Span(ends[1], ends[-2])
    pinned = [Span(*ends[at : at + 2]) for at in range(2, len(parts) - 2, 2)]
    try:
        free = free_parts(text, span, pinned)
    except HolesError:
        return
    site = site_of(text, free)
    kept = between(site.replaced, site.holes)
    segments = tuple(written[: len(free)]) if len(free) <= len(written) else ()
    if not segments:
        return
    whole = "".join(a + b for a, b in zip(segments, [*kept, ""], strict=True))
    candidate = Candidate(whole, 0.5, 0.0, segments=segments if kept else ())
    for one in suggestions_for([candidate], site, Standard()):
        rest = one.text
        for hole, pin in zip(one.holes, [*kept, ""], strict=True):
            assert rest.startswith(hole + pin)
            rest = rest[len(hole) + len(pin) :]
        assert rest == ""
    assert site.prefix + site.replaced + site.suffix == text
    for pin in pinned:
        # Every pinned text is in a text that is kept, or outside the holes altogether.
        assert pin.start == pin.end or not any(
            hole.start < pin.end and pin.start < hole.end for hole in free
        )
