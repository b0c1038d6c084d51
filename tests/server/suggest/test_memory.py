"""Answers that the user comes back to are there, and never those of another text."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite, Suggestion
from dg_lsp.job import Candidate, Infill, JobResult, JobState
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import How, suggested
from dg_lsp.server.suggest.decide import KnownAnswer, Request, Start, decide
from dg_lsp.server.suggest.memory import MOST_ANSWERS, MOST_CHARS, Memory
from dg_lsp.server.suggest.pace import KEPT_GAPS, Pace
from dg_lsp.server.suggest.savings import Savings
from dg_lsp.server.suggest.suggestions import Suggestions
from tests.fuzzing import effort
from tests.server.suggest.typed_text import TypedText

SITE = InsertionSite("file:///a.py", "a.py", "python", "\n", prefix="x = ", suffix="\n")
NO_MEMORY = Savings(typed_through=False, remembered=False, joined=False, rules=False)
ALL_BUT_RULES = Savings(rules=False)


class Writer:
    """In place of `Jobs`: each job ends at once, with a text that depends on its site alone."""

    def __init__(self, write):
        self.write = write
        self.num_jobs = 0

    async def fill(self, site, options, settings, on_draft, work, ahead=None, pause=None):
        if pause is not None:
            await pause()
        self.num_jobs += 1
        text = self.write(site)
        found = (Candidate(text, 0.9, 0.0, (0.9,) * len(text)),) if text else ()
        return JobResult(JobState.DONE, Infill(found, 1))


def request_at(prefix, suffix="\n", uri=SITE.uri, language=SITE.language):
    site = replace(SITE, prefix=prefix, suffix=suffix, uri=uri, language=language)
    return Request(site, RequestOptions())


async def ask(suggestions, prefix, suffix="\n", **site):
    settings = Settings(min_confidence=0.0)
    return await suggestions.suggest(request_at(prefix, suffix, **site), settings)


def texts(answer):
    return [one.text for one in answer.suggestions]


@pytest.fixture
def writer():
    return Writer(lambda site: "total + rest" if site.prefix.endswith("= ") else "other")


@pytest.fixture
def suggestions(writer):
    return Suggestions(writer)


@pytest.mark.parametrize(
    "prefixes",
    [
        pytest.param(["x = ", "x = q", "x = "], id="backspace"),
        pytest.param(["x = ", "x = to", "x = tq", "x = t"], id="a wrong letter in the middle"),
        pytest.param(["x = ", "x = total", "x = total # note", "x = total"], id="undo"),
        pytest.param(["x = ", "x = qa", "x = qb", "x = qc", "x = tot"], id="typed anew"),
    ],
)
async def test_what_was_shown_is_restored_without_a_job(suggestions, writer, prefixes):
    answers = [await ask(suggestions, prefix) for prefix in prefixes]
    before = writer.num_jobs
    again = await ask(suggestions, prefixes[-1])

    assert prefixes[-1] + texts(answers[-1])[0] == "x = total + rest"
    assert answers[-1].how is How.REMEMBERED
    assert texts(again) == texts(answers[-1])
    assert writer.num_jobs == before


async def test_a_cursor_that_moves_away_and_back(suggestions, writer):
    await ask(suggestions, "x = ", "\ny\n")
    await ask(suggestions, "x = \ny", "\n")
    back = await ask(suggestions, "x = ", "\ny\n")

    assert (texts(back), back.how) == (["total + rest"], How.REMEMBERED)
    assert writer.num_jobs == 2


async def test_an_edit_of_another_document_is_a_reason_to_ask_again(suggestions, writer):
    await ask(suggestions, "x = ")
    suggestions.text_changed(SITE.uri)
    assert (await ask(suggestions, "x = ")).how is How.LAST_ANSWER
    suggestions.text_changed("file:///b.py")
    assert (await ask(suggestions, "x = ")).how is How.NEW_JOB


async def test_a_shown_draft_of_a_job_that_was_stopped_is_restored():
    shown = asyncio.Event()

    class Drafting(Writer):
        async def fill(self, site, options, settings, on_draft, work, ahead=None, pause=None):
            if pause is not None:
                await pause()
            if site.prefix != "x = ":
                return await super().fill(site, options, settings, on_draft, work)
            from dg_lsp.job import Draft

            candidate = Candidate("abc", 0.9, 0.0, (0.9,) * 3)
            on_draft(Draft("abc", (0.9,) * 3, 1, 8, candidate=candidate))
            shown.set()
            await asyncio.Event().wait()

    writer = Drafting(lambda site: "")
    suggestions = Suggestions(writer)
    settings = Settings(min_confidence=0.0)
    waiting = asyncio.create_task(
        suggestions.suggest(
            request_at("x = "), settings, on_draft=lambda draft_now: draft_now()
        )
    )
    await shown.wait()
    await ask(suggestions, "x = q")
    await waiting
    again = await ask(suggestions, "x = ")

    assert (texts(again), again.how) == (["abc"], How.REMEMBERED)


def known(prefix, text="abc"):
    return KnownAnswer(
        request_at(prefix), suggested((Suggestion(text, 0.9, (0.9,) * len(text)),))
    )


def test_the_newest_comes_first_and_the_oldest_goes():
    memory = Memory(most_answers=2)
    for prefix in ("a", "b", "c", "b"):
        memory.add(known(prefix, prefix.upper()))

    assert [one.request.site.prefix for one in memory] == ["b", "c"]


def test_long_documents_leave_room_for_fewer():
    memory = Memory(most_chars=100)
    for number in range(10):
        memory.add(known("x" * 40 + str(number)))

    assert len(memory) == 2
    assert memory.num_chars <= 100
    memory.add(known("y" * 1000))
    assert len(memory) == 1


WORDS = ["a", "b", "a(b)", "ab ab", "b\na"]


def writes(site):
    """A text of a model that goes on from the last letters."""
    rng = random.Random(site.prefix[-3:] + site.suffix[:2])
    return rng.choice([*WORDS, ""])


@given(
    st.lists(
        st.sampled_from(["a", "b", "(", "\n", "back", "word", "line", "all", "undo", "left"]),
        max_size=25,
    )
)
@effort(examples=40)
def test_the_document_is_the_same_as_without_any_memory(keys):
    assert asyncio.run(written(keys, ALL_BUT_RULES)) == asyncio.run(written(keys, NO_MEMORY))


async def written(keys, savings):
    """The document after keys that type, accept and undo what is shown after each of them.

    What is accepted is looked up in what the user saw; with and without memory, the same text
    must have been shown wherever both have it from a job of the same text.
    """
    suggestions = Suggestions(Writer(writes_on), savings)
    document, shown = TypedText(), ""
    for key in keys:
        document.press(key, shown)
        # No syntax decides here: it judges what was typed with what was not yet.
        after = document.after + "\n"
        answer = await ask(suggestions, document.before, after, language="text")
        shown = texts(answer)[0] if answer.suggestions else ""
    return document.text


GOAL = "ab(a b)\nb a\nab ab(b)\n" * 3


def writes_on(site):
    """A model that always writes towards the same goal, so that typing along and asking anew
    give the same text."""
    for length in range(len(GOAL), 0, -1):
        if site.prefix.endswith(GOAL[:length]):
            # To the end of a line, so that all texts that go through a place end alike.
            return GOAL[length : GOAL.find("\n", length + 1)]
    return GOAL[: GOAL.find("\n")]


def test_caches_stay_bounded_in_20000_keystrokes():
    rng = random.Random(7)
    memory, pace = Memory(), Pace()
    text, num_jobs = "", 0
    for key in range(20_000):
        text = text[:-1] if rng.random() < 0.2 else (text + rng.choice("ab( \n"))[-3000:]
        pace.key(key * 0.15)
        request = request_at(text)
        if isinstance(decide(memory, None, request), Start):
            num_jobs += 1
            memory.add(known(text, writes(request.site) or "a"))
            pace.job_took(0.25)

    assert 0 < num_jobs < 20_000
    assert len(memory) == MOST_ANSWERS
    assert memory.num_chars <= MOST_CHARS
    assert {len(gaps) for gaps in pace.gaps_s.values()} <= {*range(KEPT_GAPS + 1)}
