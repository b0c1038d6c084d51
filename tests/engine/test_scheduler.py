"""Which job is next."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.engine.scheduler import Scheduler


@dataclass(slots=True)
class Request:
    document_key: str
    number: int = 0
    superseded: bool = False
    is_speculative: bool = False

    @property
    def is_urgent(self) -> bool:
        return not self.document_key.isupper()

    def supersede(self) -> None:
        self.superseded = True

    def hand_over(self, to):
        is_same = (self.document_key, self.number) == (to.document_key, to.number)
        if not self.is_speculative or to.is_speculative or not is_same:
            return False
        self.supersede()
        return True


def run(script: str) -> tuple[list[str], list[str]]:
    """What ran and what was superseded, by name, for words such as `a1 a2 take`.

    `a1` puts wish 1 for document a, `A1` one that is not urgent, `-1` one for no document,
    and `?a1` a speculative one;
    `take` runs the next one to its end, `begin` leaves it running and `end` ends it.
    """
    scheduler: Scheduler[Request] = Scheduler()
    requests: list[Request] = []
    ran: list[Request] = []
    for word in script.split():
        if word in ("take", "begin"):
            taken = scheduler.take()
            assert taken is not None
            ran.append(taken)
        if word in ("take", "end"):
            scheduler.finish()
        if word not in ("take", "begin", "end"):
            name = word.removeprefix("?")
            key, number = name[0].replace("-", ""), int(name[1:])
            requests.append(Request(key, number, is_speculative=name != word))
            scheduler.put(requests[-1])

    def named(some: list[Request]) -> list[str]:
        return [f"{request.document_key or '-'}{request.number}" for request in some]

    return named(ran), named([request for request in requests if request.superseded])


@pytest.mark.parametrize(
    ("script", "ran", "superseded"),
    [
        ("a1 take", "a1", ""),
        ("A1 b1 take take", "b1 A1", ""),
        ("A1 B1 c1 take take take", "c1 A1 B1", ""),
        ("A1 b1 c1 d1 e1 f1" + 6 * " take", "b1 c1 d1 e1 A1 f1", ""),
        ("A1 b1 take b2 take b3 take b4 take b5 take b6 take", "b1 b2 b3 b4 A1 b6", "b5"),
        ("a1 a2 take", "a2", "a1"),
        ("a1 b1 c1 take take take", "a1 b1 c1", ""),
        ("a1 b1 a2 take take", "a2 b1", "a1"),
        ("a1 begin a2 end take", "a1 a2", "a1"),
        ("a1 begin b1 end take", "a1 b1", ""),
        ("a1 begin b1 a2 end take take", "a1 b1 a2", "a1"),
        ("a1 begin end a2 take", "a1 a2", ""),
        ("a1 begin a2 a3 end take", "a1 a3", "a1 a2"),
        ("-1 -2 -3 take take take", "-1 -2 -3", ""),
        ("-1 begin -2 end take", "-1 -2", ""),
        # A speculative job waits for all others, and any other one ends it.
        ("?a1 b1 C1 take take take", "b1 C1 a1", ""),
        ("?a1 ?b1 take take", "a1 b1", ""),
        ("?a1 begin b1 end take", "a1 b1", "a1"),
        ("?a1 begin -1 end take", "a1 -1", "a1"),
        ("?a1 begin a2 end take", "a1 a2", "a1"),
        ("?a1 begin ?b1 end take", "a1 b1", ""),
        ("?a1 begin ?a2 end take", "a1 a2", "a1"),
        ("?a1 a2 take", "a2", "a1"),
        # It never takes the place of one that somebody waits for.
        ("a1 ?a2 take", "a1", "a2"),
        ("a1 begin ?a2 end b1 take", "a1 b1", "a2"),
        ("b1 begin ?a1 end take", "b1 a1", ""),
        ("A1 ?b1 take take", "A1 b1", ""),
        # The same job, now wanted, goes on with its work, and is treated like any other.
        ("?a1 begin a1 end b1 take", "a1 b1", "a1"),
        ("?a1 begin a1 b1 end take", "a1 b1", "a1"),
        ("?a1 begin a1 ?a2 end b1 take", "a1 b1", "a1 a2"),
        ("?a1 begin a1 a2 end take", "a1 a2", "a1 a1"),
    ],
)
def test_the_newest_of_a_document_wins_and_documents_take_turns(script, ran, superseded):
    assert run(script) == (ran.split(), superseded.split())


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=30))
def test_a_busy_document_starves_no_other(documents):
    """Document a wishes anew after each job; the others wish once in a while."""
    scheduler: Scheduler[Request] = Scheduler()
    waiting: list[str] = []
    for number, document in enumerate(["a", *documents]):
        for key in dict.fromkeys((document, "a")):
            scheduler.put(Request(key, number))
            if key not in waiting:
                waiting.append(key)
        taken = scheduler.take()
        assert taken is not None
        assert taken.document_key == waiting.pop(0)
        assert not taken.superseded
        scheduler.finish()


def test_take_waits_for_a_job():
    scheduler: Scheduler[Request] = Scheduler()
    taken: list[Request | None] = []
    thread = threading.Thread(target=lambda: taken.append(scheduler.take()))
    thread.start()
    scheduler.put(Request("a"))
    thread.join(10)

    assert taken == [Request("a")]


def test_closing_wakes_the_taker_and_gives_back_what_is_left():
    scheduler: Scheduler[Request] = Scheduler()
    for document in ("a", "b", "c"):
        scheduler.put(Request(document))
    running = scheduler.take()
    left = scheduler.close()

    assert sorted(request.document_key for request in left) == ["a", "b", "c"]
    assert running in left
    taken: list[Request | None] = []
    thread = threading.Thread(target=lambda: taken.append(scheduler.take()))
    thread.start()
    thread.join(10)
    assert taken == [None]


def test_an_idle_taker_is_woken_by_closing():
    scheduler: Scheduler[Request] = Scheduler()
    taken: list[Request | None] = []
    thread = threading.Thread(target=lambda: taken.append(scheduler.take()))
    thread.start()

    assert scheduler.close() == []
    thread.join(10)
    assert taken == [None]


def test_a_closed_scheduler_refuses_jobs():
    scheduler: Scheduler[Request] = Scheduler()
    scheduler.close()

    with pytest.raises(RuntimeError, match="closed"):
        scheduler.put(Request("a"))
