"""Where an answer comes from: the last answer, the job under way or a new job."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite, Suggestion
from dg_lsp.job import Earlier
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.suggest.answer import Answer, How, Outcome, suggested
from dg_lsp.server.suggest.decide import (
    JobUnderWay,
    Join,
    KnownAnswer,
    Request,
    Reuse,
    Start,
    decide,
    earlier_of,
)

SITE = InsertionSite("file:///a.py", "a.py", "python", "\n", prefix="return ", suffix="\n")
TYPING = RequestOptions()
INSISTING = RequestOptions(may_be_empty=False)
NOTHING_MISSING = Answer(Outcome.NOTHING, Reason(ReasonCode.NOTHING_MISSING, "complete"))
NOTHING_KNOWN = (None, None)


def suggestions(*texts):
    return tuple(Suggestion(text, 0.9, (0.9,) * len(text)) for text in texts)


def decide_in(state, request):
    last, under_way = state
    return decide([] if last is None else [last], under_way, request)


def at(typed="", options=TYPING, **changes):
    site = replace(SITE, prefix=SITE.prefix + typed)
    return Request(replace(site, **changes), options)


def answered(*texts, options=TYPING, whole=True, running=None):
    answer = suggested(suggestions(*texts)) if texts else NOTHING_MISSING
    return KnownAnswer(at(options=options), answer, whole), running


def running(*texts, options=TYPING, typed=""):
    return None, JobUnderWay(at(typed, options), texts)


@pytest.mark.parametrize(
    ("state", "request_", "expect"),
    [
        (answered("a + b"), at(), ["a + b"]),
        (answered("a + b"), at("a"), [" + b"]),
        (answered("a + b"), at("a +"), [" b"]),
        (answered("a + b", "a - b", "c"), at("a"), [" + b", " - b"]),
        # The same question has the same answer, be it none.
        (answered(), at(), []),
        (answered(options=INSISTING), at(options=INSISTING), []),
        (answered(options=INSISTING), at(), []),
        # A user who insists may well get what was suggested while typing.
        (answered("a + b"), at("a", INSISTING), [" + b"]),
        # What a deadline left of it agrees with what was typed.
        (answered("a\n", whole=False), at("a"), ["\n"]),
        # The last answer goes before a job under way.
        (answered("a + b", running=running("q")[1]), at("a"), [" + b"]),
    ],
)
def test_the_last_answer_is_reused(state, request_, expect):
    decision = decide_in(state, request_)

    assert isinstance(decision, Reuse)
    assert [one.text for one in decision.answer.suggestions] == expect
    is_same = request_.site == SITE
    assert decision.answer.how is (How.LAST_ANSWER if is_same else How.TYPED_THROUGH)
    assert decision.answer.work is None
    outcome = Outcome.SUGGESTED if expect else Outcome.NOTHING
    assert decision.answer.outcome is outcome
    assert (decision.answer.reason is None) is bool(expect)


@pytest.mark.parametrize(
    "request_",
    [
        at("q"),
        at("a + bc"),
        at("a", suffix="\n\n"),
        at(suffix=")\n"),
        at(prefix="yield "),
        at(prefix="retur"),
        at(replaced="x"),
        at(language="rust"),
        at(indent_unit="\t"),
        at(options=RequestOptions(candidates=3)),
    ],
    ids=str,
)
def test_another_question_starts_a_job(request_):
    assert isinstance(decide_in(answered("a + b"), request_), Start)
    assert isinstance(decide_in(running("a + b"), request_), Start)


def test_when_all_of_a_suggestion_was_typed_the_next_one_is_asked_for():
    assert isinstance(decide_in(answered("a + b"), at("a + b")), Start)


def test_a_user_who_insists_asks_anew_where_nothing_was_suggested():
    assert isinstance(decide_in(answered(), at(options=INSISTING)), Start)


def test_with_nothing_known_a_job_is_started():
    assert isinstance(decide_in(NOTHING_KNOWN, at()), Start)


@pytest.mark.parametrize(
    ("state", "request_", "expect"),
    [
        (running(), at(), Join),
        # Nobody knows yet what it will write.
        (running(), at("a"), Start),
        (running("a + b"), at("a"), Join),
        (running("q", "a + b"), at("a "), Join),
        # It may go on where that ends.
        (running("a + b"), at("a + b"), Join),
        (running("a + b"), at("b"), Start),
        (running(), at(options=INSISTING), Start),
        (running(options=INSISTING), at(options=INSISTING), Join),
        (running(options=INSISTING), at(), Join),
        (running(options=RequestOptions(candidates=3)), at(), Join),
        # Of an answer that a deadline cut short, the rest is on its way.
        (answered("a\n", whole=False, running=running("a\nb")[1]), at(), Join),
        # What was typed was taken back.
        (running(typed="a"), at(), Start),
    ],
)
def test_the_job_under_way_is_joined_where_it_is_about_this(state, request_, expect):
    assert isinstance(decide_in(state, request_), expect)


@pytest.mark.parametrize(
    ("under_way", "expect"),
    [
        (None, True),
        (running()[1], True),
        (running(typed="a")[1], True),
        (JobUnderWay(at(suffix="elsewhere")), False),
        # It began with a text that stands here no more.
        (running(typed="a + ")[1], False),
    ],
)
def test_a_job_for_another_site_is_of_no_more_use(under_way, expect):
    decision = decide_in(answered("a + b", running=under_way), at("a"))

    assert isinstance(decision, Reuse)
    assert decision.keeps_job is expect


texts = st.text("ab\n ", max_size=6)
options = st.builds(RequestOptions, candidates=st.integers(1, 3), may_be_empty=st.booleans())
requests = st.builds(at, texts, options, suffix=st.sampled_from(["\n", ""]))
answers = st.lists(texts.filter(bool), max_size=3).map(
    lambda found: suggested(suggestions(*found)) if found else NOTHING_MISSING
)
states = st.tuples(
    st.none() | st.builds(KnownAnswer, requests, answers, st.booleans()),
    st.none() | st.builds(JobUnderWay, requests, st.lists(texts, max_size=2).map(tuple)),
)


@given(states, requests)
def test_whatever_is_decided_would_be_the_answer_of_a_new_job_too(state, request_):
    decision = decide_in(state, request_)

    if isinstance(decision, Start):
        return
    last, under_way = state
    earlier = last if isinstance(decision, Reuse) else under_way
    assert earlier is not None
    asked, site = earlier.request, request_.site
    # The same site, but for what was typed at it.
    assert site.suffix == asked.site.suffix
    assert site.prefix.startswith(asked.site.prefix)
    typed = site.prefix[len(asked.site.prefix) :]
    assert request_.options.candidates <= asked.options.candidates
    if isinstance(decision, Reuse):
        assert last is not None
        known = {one.text for one in last.answer.suggestions}
        assert {typed + one.text for one in decision.answer.suggestions} <= known
        if not decision.answer.suggestions:
            # Only the very same question is answered with nothing.
            assert not typed
            assert not known
            assert last.is_whole
            assert request_.options.may_be_empty or not asked.options.may_be_empty
    else:
        assert request_.options.may_be_empty or not asked.options.may_be_empty
        assert not typed or any(text.startswith(typed) for text in under_way.texts)


@given(st.text("ab\n ", min_size=1, max_size=8), st.booleans())
def test_typing_through_a_suggestion_asks_no_engine_until_its_end(text, whole):
    state = answered(text, whole=whole)

    for typed in range(1, len(text)):
        decision = decide_in(state, at(text[:typed]))
        assert isinstance(decision, Reuse)
        assert [one.text for one in decision.answer.suggestions] == [text[typed:]]
    assert isinstance(decide_in(state, at(text)), Start)


def test_an_edit_of_a_cell_above_asks_anew():
    assert isinstance(decide_in(answered("a + b"), at(before="y = 1\n")), Start)
    assert isinstance(decide_in(running("a + b"), at("a", before="y = 1\n")), Start)


@pytest.mark.parametrize(
    ("known", "request_", "expect"),
    [
        (answered("a.size()"), at("b"), Earlier(".size()")),
        (answered("a.size()", "b.size()"), at("c"), Earlier(".size()")),
        (answered("a.size()"), at("a.sort", options=INSISTING), Earlier("()")),
        (answered("a.size()"), at("a.s"), None),
        (answered("a.size()"), at(), None),
        (answered("a.size()"), at("b", suffix=")\n"), None),
        (answered("a.size()"), at("b", options=RequestOptions(shown=("a",))), None),
        (answered(), at("b"), None),
        ((None, None), at("b"), None),
    ],
)
def test_a_job_starts_from_the_suggestion_that_the_user_departed_from(known, request_, expect):
    last, _ = known

    assert earlier_of([] if last is None else [last], request_) == expect
