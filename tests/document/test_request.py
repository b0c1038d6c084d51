"""From a place in a document to a job: what is shown, masked, picked and refused."""

from __future__ import annotations

import dataclasses

import pytest

from dg_lsp.document.request import (
    RequestContext,
    RequestOptions,
    RequestRefusedError,
    build_job,
)
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import EXTRA_CANDIDATES, Earlier, InfillJob, ModelInfo, Seed, Snippet, Span
from dg_lsp.reason import ReasonCode

MODEL = ModelInfo("small", "cpu", prefix_tokens=300, suffix_tokens=100)
DEAF = dataclasses.replace(MODEL, follows_instructions=False)
ASKED = RequestOptions()
CONTEXT = RequestContext(len)
TOKEN = "ghp_0123456789abcdefghij0123456789abcdef"
RELATED = "def total_price(items, tax_rate):\n    return sum(items) * tax_rate\n" * 3


def site(marked: str, **changes: str) -> InsertionSite:
    """A cursor at the one mark, or the selection between two."""
    prefix, *inner, suffix = marked.split("|")
    place = InsertionSite(
        uri="file:///a.py",
        path="a.py",
        language="python",
        newline="\n",
        prefix=prefix,
        suffix=suffix,
        replaced=inner[0] if inner else None,
    )
    return dataclasses.replace(place, **changes)


def refused(
    place: InsertionSite,
    options: RequestOptions = ASKED,
    model: ModelInfo = MODEL,
    context: RequestContext = CONTEXT,
) -> ReasonCode:
    with pytest.raises(RequestRefusedError) as error:
        build_job(place, options, model, context)
    return error.value.reason.code


def test_a_job_has_all_that_was_asked_for():
    options = RequestOptions(
        candidates=3,
        may_be_empty=False,
        max_tokens=40,
        instruction="shorter",
        strength=0.25,
        seed=5,
        earlier=Earlier("2", 1),
        deadline_s=1.5,
        lane="rewrite",
    )
    context = dataclasses.replace(CONTEXT, client="c")
    job = build_job(site("def f():\n    |return 1|\n"), options, MODEL, context)

    assert job == InfillJob(
        prefix="def f():\n    ",
        suffix="\n",
        path="a.py",
        language="python",
        replaced="return 1",
        instruction="shorter",
        strength=0.25,
        candidates=3,
        extra_candidates=EXTRA_CANDIDATES,
        max_tokens=40,
        may_be_empty=False,
        deadline_s=1.5,
        seed=5,
        earlier=Earlier("2", 1),
        document="c:rewrite:file:///a.py",
    )


def test_blanks_at_the_edges_of_a_selection_are_context():
    job = build_job(site("x\n|\n  y = 1\n\n|z\n"), ASKED, MODEL, CONTEXT)
    assert (job.prefix, job.replaced, job.suffix) == ("x\n\n  ", "y = 1", "\n\nz\n")
    job = build_job(site("x|  |z"), ASKED, MODEL, CONTEXT)
    assert (job.prefix, job.replaced, job.suffix) == ("x  ", None, "z")


def test_what_the_model_sees_before_the_document_comes_first():
    job = build_job(site("b = |\n", before="a = 1\n"), ASKED, MODEL, CONTEXT)
    assert (job.prefix, job.suffix) == ("a = 1\nb = ", "\n")


@pytest.mark.parametrize(("budget_chars", "most_chars"), [(24_000, 1200), (600, 400)])
def test_the_smaller_of_both_budgets_holds(budget_chars, most_chars):
    place = site("line of text\n" * 200 + "|" + "line of text\n" * 200)
    context = RequestContext(lambda text: len(text) // 3, budget_chars)
    job = build_job(place, ASKED, MODEL, context)

    assert most_chars * 0.7 < len(job.prefix) + len(job.suffix) <= most_chars
    assert place.prefix.endswith(job.prefix)
    assert place.suffix.startswith(job.suffix)


def test_secrets_are_masked_on_both_sides_and_in_other_files():
    place = site(f"a = '{TOKEN}'\ntotal_price(items, tax_rate)\nx = |\nb = '{TOKEN}'\n")
    files = (Snippet("b.py", f"{RELATED}c = '{TOKEN}'\n"),)
    job = build_job(place, ASKED, MODEL, RequestContext(len, files=files))

    assert job.prefix.endswith("\ntotal_price(items, tax_rate)\nx = ")
    assert [snippet.path for snippet in job.snippets] == ["b.py"]
    everything = job.prefix + job.suffix + job.snippets[0].text
    assert TOKEN not in everything
    assert everything.count("*" * len(TOKEN)) == 3


@pytest.mark.parametrize(
    "marked",
    [
        f"a = '{TOKEN}|'\n",
        f"a = '{TOKEN[:9]}|{TOKEN[9:]}'\n",
        f"|a = '{TOKEN}'|\n",
        f"a = '|{TOKEN[:12]}|{TOKEN[12:]}'\n",
        f"|x = 1\n\na = '{TOKEN}'\n|y = 2\n",
        f"{TOKEN}|  x = 1|\n",
    ],
)
def test_a_place_with_a_secret_is_refused(marked):
    assert refused(site(marked)) is ReasonCode.SECRET


def test_public_text_is_shown_as_it_is():
    context = RequestContext(len, masks_secrets=False)
    job = build_job(site(f"a = '{TOKEN}|'\n"), ASKED, MODEL, context)
    assert job.prefix == f"a = '{TOKEN}"


def test_a_selection_longer_than_the_model_rewrites_is_refused():
    def select(lines: int) -> InsertionSite:
        return site("x\n" * 10 + "|" + "y = 1\n" * lines + "|z\n")

    assert refused(select(51)) is ReasonCode.TOO_LONG
    assert build_job(select(50), ASKED, MODEL, CONTEXT).replaced is not None
    # Lines are counted in the whole document, of which the place may hold a part.
    far = dataclasses.replace(select(51), first_line=101)
    with pytest.raises(RequestRefusedError, match=r"\b111\b.*\b160\b"):
        build_job(far, ASKED, MODEL, CONTEXT)


def test_instructions_for_a_model_that_follows_none_are_refused():
    told = RequestOptions(instruction="shorter")
    assert refused(site("|x = 1|"), told, DEAF) is ReasonCode.NO_INSTRUCTIONS
    assert build_job(site("|x = 1|"), ASKED, DEAF, CONTEXT).replaced == "x = 1"
    assert build_job(site("|x = 1|"), told, MODEL, CONTEXT).instruction == "shorter"


def test_what_cannot_be_encoded_is_replaced():
    place = site("a\ud83d|b\udc00|\udc01", path="\udcff.py", uri="\udcff.py")
    job = build_job(place, ASKED, MODEL, RequestContext(len, client="c"))

    assert (job.prefix, job.replaced, job.suffix) == ("a\ufffd", "b\ufffd", "\ufffd")
    assert (job.path, job.document) == ("\ufffd.py", "c:inline:\ufffd.py")


def test_related_files_stay_the_same_while_one_types_in_a_line():
    context = RequestContext(len, files=(Snippet("b.py", RELATED), Snippet("a.py", RELATED)))
    jobs = [
        build_job(
            site(f"total_price(items, tax_rate)\nx = {typed}|\n"),
            ASKED,
            MODEL,
            context,
        )
        for typed in ("", "items", "items, tax_rate)")
    ]

    assert [snippet.path for snippet in jobs[0].snippets] == ["b.py"]
    assert [job.snippets for job in jobs] == [jobs[0].snippets] * 3


def holed(prefix: str, replaced: str, suffix: str, *holes: Span) -> InsertionSite:
    return dataclasses.replace(site(f"{prefix}|{replaced}|{suffix}"), holes=holes)


@pytest.fixture
def looked_up():
    """A context that finds a seed for each question, and the questions."""
    asked = []

    def find(prefix: str, suffix: str, replaced: str) -> tuple[Seed, ...]:
        asked.append((prefix, suffix, replaced))
        return (Seed(f"found {len(asked)}"),)

    return dataclasses.replace(CONTEXT, find_seeds=find), asked


def test_the_seeds_of_each_hole_are_looked_up_with_the_others_empty(looked_up):
    context, asked = looked_up
    place = holed("a = ", "… + … * …", "\n", Span(0, 1), Span(4, 5), Span(8, 9))
    job = build_job(place, ASKED, MODEL, context)

    assert asked == [
        ("a = ", "\n", ""),
        ("a = ", " +  * \n", ""),
        ("a =  + ", " * \n", ""),
        ("a =  +  * ", "\n", ""),
    ]
    assert [one.text for one in job.seeds] == ["found 1"]
    assert [seed.text for [seed] in job.segment_seeds] == ["found 2", "found 3", "found 4"]


def test_around_a_kept_word_seeds_are_of_the_whole_text(looked_up):
    context, asked = looked_up
    place = holed("a = ", "x + y", "\n", Span(0, 1), Span(4, 5))
    job = build_job(place, RequestOptions(is_warm=True), MODEL, context)

    assert asked == [("a = ", "\n", "")]
    assert ([one.text for one in job.seeds], job.segment_seeds) == (["found 1"], ())


def test_a_single_hole_has_the_seeds_of_a_span(looked_up):
    context, asked = looked_up
    job = build_job(holed("a = ", "…", "\n", Span(0, 1)), ASKED, MODEL, context)

    assert asked == [("a = ", "\n", "")]
    assert ([one.text for one in job.seeds], job.segment_seeds) == (["found 1"], ())


def test_a_text_with_a_masked_secret_is_no_seed_of_a_hole():
    before = f'key = "{TOKEN}"\nother = 3\nkey = "'
    place = holed(before, '…"\nother = …', "\n", Span(0, 1), Span(11, 12))
    job = build_job(place, ASKED, MODEL, CONTEXT)

    assert "3" in [seed.text for seed in job.segment_seeds[1]]
    assert not any("***" in seed.text or TOKEN in seed.text for seed in job.all_seeds)
