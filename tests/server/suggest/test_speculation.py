"""What follows a suggestion is prepared while that one is shown, and never in the way."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite, Suggestion
from dg_lsp.job import Candidate, Draft, Infill, InfillJob, JobResult, JobState, Snippet
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest import suggestions as shell
from dg_lsp.server.suggest.answer import How, suggested
from dg_lsp.server.suggest.decide import Request, following
from dg_lsp.server.suggest.memory import MOST_ANSWERS
from dg_lsp.server.suggest.savings import Savings
from dg_lsp.server.suggest.speculation import Ahead
from dg_lsp.server.suggest.suggestions import Suggestions
from tests.fuzzing import effort
from tests.server.suggest.typed_text import TypedText

SITE = InsertionSite("file:///a.py", "a.py", "python", "\n", prefix="x = ", suffix="\n")
SETTINGS = Settings(debounce_ms=0, min_confidence=0.0)


@dataclass
class Running:
    """A job that ends when the test says so."""

    prefix: str
    on_draft: object
    wanted: asyncio.Event | None
    end: asyncio.Future
    is_withdrawn: bool = False

    @property
    def is_speculative(self):
        return self.wanted is not None and not self.wanted.is_set()

    def draft(self, text, step=1):
        self.on_draft(Draft(text, (0.99,) * len(text), step, 8))

    def write(self, *texts, state=JobState.DONE, steps=6):
        candidates = tuple(Candidate(text, 0.9, -float(n)) for n, text in enumerate(texts))
        self.end.set_result(JobResult(state, Infill(candidates, steps)))


class ByHand:
    """In place of `Jobs`: the jobs that were started."""

    def __init__(self):
        self.running = []

    def silence(self):
        return None

    async def fill(self, site, options, settings, on_draft, work, ahead=None, pause=None):
        if pause is not None:
            await pause()
        end = asyncio.get_running_loop().create_future()
        job = Running(site.prefix, on_draft, ahead and ahead.wanted, end)
        self.running.append(job)
        work.job = InfillJob(site.prefix, site.suffix)
        try:
            result = await end
            work.infill = result.infill
            return result
        except asyncio.CancelledError:
            job.is_withdrawn = True
            raise


class User:
    """Types in one document and sees what is suggested."""

    def __init__(self, savings):
        self.jobs = ByHand()
        self.suggestions = Suggestions(self.jobs, savings)
        self.site = SITE

    def type(self, text):
        """Without asking yet."""
        self.site = replace(self.site, prefix=self.site.prefix + text)
        self.suggestions.text_changed(SITE.uri, text)

    def ask(self, **options):
        return asyncio.create_task(self._shown(RequestOptions(**options)))

    async def _shown(self, options):
        request = Request(self.site, options)
        answer = await self.suggestions.suggest(request, SETTINGS)
        self.suggestions.look_ahead(request, answer, SETTINGS)
        return answer

    async def sees(self, *texts, **options):
        """A first suggestion, for which a job was needed."""
        asked = self.ask(**options)
        await pause()
        self.jobs.running[-1].write(*texts)
        answer = await asked
        await pause()
        return answer

    @property
    def ahead(self):
        """The speculative jobs until now, as what they assume before the cursor."""
        return [job.prefix for job in self.jobs.running if job.wanted is not None]

    @property
    def counts(self):
        ahead = self.suggestions.speculated
        return ahead.jobs, ahead.hits, ahead.steps, ahead.steps_used


async def pause():
    for _ in range(8):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(shell, "AHEAD_S", 0.0)


@pytest.fixture
def user():
    return User(Savings(pause=False))


def texts(answer):
    return [one.text for one in answer.suggestions]


async def test_what_follows_an_accepted_suggestion_is_there_without_a_job(user):
    await user.sees("abc", "q")
    [job] = user.jobs.running[1:]
    assert (job.prefix, job.is_speculative) == ("x = abc", True)
    job.write("(d)")
    await pause()
    user.type("abc")
    answer = await user.ask()

    assert (texts(answer), answer.how, answer.work) == (["(d)"], How.PREPARED, None)
    # Now that this one is shown, the next one is prepared, but not the one after that.
    assert user.ahead == ["x = abc", "x = abc(d)"]
    assert user.counts == (1, 1, 6, 6)


async def test_that_nothing_follows_is_known_too(user):
    await user.sees("abc")
    user.jobs.running[1].write()
    await pause()
    user.type("abc")
    answer = await user.ask()
    await pause()

    assert (texts(answer), answer.how) == ([], How.PREPARED)
    assert len(user.jobs.running) == 2


@pytest.mark.parametrize("ends", ["before", "after"])
async def test_typing_the_suggestion_to_its_end_or_accepting_it_in_parts(user, ends):
    await user.sees("a.b()")
    job = user.jobs.running[1]
    if ends == "before":
        job.write("+ 1")
    for part in ("a", ".b"):
        user.type(part)
        assert (await user.ask()).how is How.TYPED_THROUGH
        await pause()
    assert not job.is_withdrawn
    if ends == "after":
        job.write("+ 1")
        await pause()
    user.type("()")

    assert texts(await user.ask()) == ["+ 1"]
    assert user.counts[:2] == (1, 1)


async def test_a_request_for_what_is_being_prepared_waits_for_that_job(user):
    await user.sees("abc")
    job = user.jobs.running[1]
    job.draft("(d", step=2)
    user.type("abc")
    asked = user.ask()
    await pause()

    assert not job.is_speculative
    job.write("(d)")
    answer = await asked
    assert (texts(answer), answer.how) == (["(d)"], How.PREPARED)
    assert user.ahead[:1] == ["x = abc"]
    assert user.counts[1:] == (1, 2, 2)


@pytest.mark.parametrize(
    ("typed", "suffix"),
    [
        pytest.param("q", "\n", id="another text"),
        pytest.param("abcd", "\n", id="more than the suggestion"),
        pytest.param(None, "\n", id="a deletion"),
    ],
)
async def test_an_edit_that_departs_ends_the_job_at_once(user, typed, suffix):
    await user.sees("abc")
    user.suggestions.text_changed(SITE.uri, typed)
    await pause()

    assert [job.is_withdrawn for job in user.jobs.running] == [False, True]
    assert len(user.jobs.running) == 2


async def test_a_request_elsewhere_ends_the_job(user):
    await user.sees("abc")
    user.site = replace(SITE, suffix="\ny\n")
    asked = user.ask()
    await pause()

    assert [job.is_withdrawn for job in user.jobs.running] == [False, True, False]
    user.jobs.running[2].write()
    assert texts(await asked) == []
    assert user.counts == (1, 0, 0, 0)


async def test_a_known_answer_elsewhere_ends_the_job_too(user):
    user.site = replace(SITE, suffix="\ny\n")
    await user.sees("d")
    user.site = SITE
    await user.sees("abc")
    job = user.jobs.running[-1]
    user.site = replace(SITE, suffix="\ny\n")

    assert (await user.ask()).how is How.REMEMBERED
    await pause()
    assert job.is_withdrawn
    assert user.ahead == ["x = d", "x = abc", "x = d"]


async def test_an_edit_of_another_document_makes_it_useless(user):
    await user.sees("abc")
    user.jobs.running[1].write("(d)")
    await pause()
    user.suggestions.look_ahead(
        Request(replace(SITE, uri="file:///b.py"), RequestOptions()),
        suggested((Suggestion("z", 1.0, (1.0,)),)),
        SETTINGS,
    )
    await (asked := asyncio.create_task(pause()))
    assert asked.done()
    user.suggestions.text_changed("file:///b.py", "z")
    user.type("abc")
    again = user.ask()
    await pause()

    assert len(user.jobs.running) == 3
    assert not user.jobs.running[2].is_speculative
    again.cancel()


async def test_a_job_that_gave_way_leaves_nothing(user):
    await user.sees("abc")
    user.jobs.running[1].write(state=JobState.SUPERSEDED)
    await pause()
    user.type("abc")
    asked = user.ask()
    await pause()

    [wanted] = user.jobs.running[2:]
    assert wanted.wanted is None
    wanted.write("(d)")
    answer = await asked
    assert (texts(answer), answer.how) == (["(d)"], How.NEW_JOB)


@pytest.mark.parametrize(
    ("shown", "options", "savings"),
    [
        pytest.param((), {}, {}, id="nothing is shown"),
        pytest.param(("abc",), {"may_be_empty": False}, {}, id="asked by hand"),
        pytest.param(("abc",), {}, {"speculation": False}, id="switched off"),
        # After this, nothing would be asked.
        pytest.param(("'b'",), {}, {}, id="only closers to come"),
    ],
)
async def test_nothing_is_prepared(shown, options, savings):
    user = User(Savings(pause=False, **savings))
    if shown == ("'b'",):
        user.site = replace(SITE, prefix="print(", suffix=")\n")
    await user.sees(*shown, **options)

    assert user.ahead == []
    assert user.counts == (0, 0, 0, 0)


async def test_nothing_is_prepared_while_a_job_of_the_document_runs(user):
    request = Request(SITE, RequestOptions())
    soon = asyncio.create_task(user.suggestions.suggest(request, SETTINGS, 0.02))
    await pause()
    for _ in range(2):
        user.jobs.running[0].draft("a\nb\n")
    answer = await soon
    assert answer.how is How.DEADLINE
    user.suggestions.look_ahead(request, answer, SETTINGS)
    await pause()

    assert len(user.jobs.running) == 1


async def test_what_is_prepared_once_is_not_prepared_again(user):
    await user.sees("abc")
    user.jobs.running[1].write("(d)")
    await pause()
    for _ in range(3):
        assert (await user.ask()).how is How.LAST_ANSWER
        await pause()

    assert user.ahead == ["x = abc"]


async def test_a_departure_is_from_what_was_shown(user):
    """Not from what was prepared and never seen."""
    await user.sees("a.b()")
    user.jobs.running[1].write("+ 1")
    await pause()
    user.type("q")
    asked = user.ask()
    await pause()
    user.jobs.running[2].write("()")

    assert texts(await asked) == ["()"]


@pytest.mark.parametrize(
    ("request_", "expect"),
    [
        (Request(SITE, RequestOptions()), "x = abc"),
        (Request(SITE, RequestOptions(may_be_empty=False)), None),
        (Request(replace(SITE, replaced="y"), RequestOptions()), None),
    ],
)
def test_the_request_that_follows(request_, expect):
    shown = (Suggestion("abc", 0.9, (0.9,) * 3), Suggestion("d", 0.9, (0.9,)))
    next_ = following(request_, suggested(shown))

    assert (None if next_ is None else next_.site.prefix) == expect
    if next_ is not None:
        assert next_ == Request(replace(SITE, prefix="x = abc"), request_.options)


LAST = InfillJob("x = ", "\n", path="a.py", snippets=(Snippet("b.py", "y"),))


@pytest.mark.parametrize(
    ("changes", "expect"),
    [
        pytest.param({"prefix": "x = abc"}, True, id="it goes on"),
        pytest.param({"prefix": "x = ", "seed": 3}, True, id="what is not in the prompt"),
        pytest.param({"prefix": "= abc"}, False, id="the window moved"),
        pytest.param({"prefix": "x = abc", "suffix": "\n\n"}, False, id="at its other end"),
        pytest.param({"prefix": "x = abc", "snippets": ()}, False, id="other text of files"),
    ],
)
def test_the_prompt_that_the_next_key_needs_stays_in_the_cache(changes, expect):
    assert Ahead(LAST).keeps_prompt(replace(LAST, **changes)) is expect


KEYS = ["a", "b", "(", "\n", "back", "word", "all", "undo", "left"]
GOAL = "ab(a b)\nb a\nab ab(b)\n" * 3


class Writer:
    """A model that always writes towards the same goal; a speculative job may give way."""

    def __init__(self, rng):
        self.rng = rng

    def silence(self):
        return None

    async def fill(self, site, options, settings, on_draft, work, ahead=None, pause=None):
        if pause is not None:
            await pause()
        await asyncio.sleep(0)
        work.job = InfillJob(site.prefix, site.suffix)
        if ahead is not None and self.rng.random() < 0.3:
            return JobResult(JobState.SUPERSEDED, Infill((), 0))
        text = next(
            (
                GOAL[length : length + 9]
                for length in range(len(GOAL), 0, -1)
                if site.prefix.endswith(GOAL[:length])
            ),
            GOAL[:9],
        )
        found = (Candidate(text, 0.9, 0.0, (0.9,) * len(text)),) if text else ()
        return JobResult(JobState.DONE, Infill(found, 1))


@given(st.lists(st.sampled_from(KEYS), max_size=25), st.integers(0, 99))
@effort(examples=40)
def test_the_document_is_the_same_as_without_speculation(keys, seed):
    on, off = (
        asyncio.run(written(keys, Savings(rules=False, speculation=speculation), seed))
        for speculation in (True, False)
    )

    assert on == off


async def written(keys, savings, seed):
    """Everything that the user saw, and the document after keys that type, accept in parts or
    whole and undo what is shown."""
    rng = random.Random(seed)
    suggestions = Suggestions(Writer(rng), savings)
    document, shown, seen = TypedText(), "", []
    for key in keys:
        typed = document.press(key, shown)
        suggestions.text_changed(SITE.uri, typed)
        site = replace(SITE, prefix=document.before, suffix=document.after + "\n")
        request = Request(site, RequestOptions())
        answer = await suggestions.suggest(request, SETTINGS)
        suggestions.look_ahead(request, answer, SETTINGS)
        for _ in range(rng.randrange(8)):
            await asyncio.sleep(0)
        shown = texts(answer)[0] if answer.suggestions else ""
        seen.append(shown)
    return document.text, seen


async def test_memory_stays_bounded_in_20000_keystrokes():
    rng = random.Random(5)
    suggestions = Suggestions(Writer(rng), Savings(pause=False))
    text = ""
    for _ in range(20_000):
        # In no language, so that nothing is parsed.
        site = replace(SITE, prefix=text, language="plaintext")
        request = Request(site, RequestOptions())
        answer = await suggestions.suggest(request, SETTINGS)
        suggestions.look_ahead(request, answer, SETTINGS)
        for _ in range(rng.choice((0, 0, 20))):
            await asyncio.sleep(0)
        typed = rng.choice((*"ab( \n", *texts(answer)[:1], None))
        text = text[:-1] if typed is None or len(text) > 300 else text + typed
        suggestions.text_changed(SITE.uri, typed)

    [document] = suggestions._documents.values()
    assert suggestions.speculated.hits > 200
    assert len(document.memory) <= MOST_ANSWERS
    assert len(asyncio.all_tasks()) <= 3
