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
    client: str = ""
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
            scheduler.finish(ran[-1])
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
        scheduler.finish(taken)


def drained(scheduler: Scheduler[Request]) -> list[Request]:
    """Run everything that waits, one after the other."""
    taken = []
    while (one := scheduler.take_beside()) is not None:
        scheduler.finish(one)
        taken.append(one)
    return taken


def test_a_client_with_a_hundred_jobs_does_not_keep_another_waiting():
    scheduler: Scheduler[Request] = Scheduler()
    for number in range(100):
        scheduler.put(Request("", number, client="tool"))
    scheduler.put(Request("", 1, client="editor"))
    scheduler.put(Request("", 2, client="editor"))

    order = [(one.client, one.number) for one in drained(scheduler)]
    assert order[:4] == [("tool", 0), ("editor", 1), ("tool", 1), ("editor", 2)]
    assert order[4:] == [("tool", number) for number in range(2, 100)]
    assert len(order) == 102


def test_a_client_gains_nothing_by_asking_again_and_again():
    """Neither under the same name, although nothing of it waits when it asks, nor under new
    ones."""
    for name in ("eager", "eager {}"):
        scheduler: Scheduler[Request] = Scheduler()
        for number in range(3):
            scheduler.put(Request("", number, client="patient"))
        served = []
        for number in range(6):
            scheduler.put(Request("", number, client=name.format(number)))
            taken = scheduler.take()
            assert taken is not None
            scheduler.finish(taken)
            served.append(taken.client.split()[0])
        assert served.count("patient") == 3


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "take"]), max_size=60))
def test_who_asks_for_one_thing_waits_for_two_jobs_of_each_other_client_at_most(events):
    scheduler: Scheduler[Request] = Scheduler()
    waiting: list[Request] = []
    served_since: dict[int, list[str]] = {}
    for number, event in enumerate([*events, *["take"] * len(events)]):
        if event != "take":
            if not any(one.client == event for one in waiting):
                served_since[number] = []
            waiting.append(Request("", number, client=event))
            scheduler.put(waiting[-1])
        elif (taken := scheduler.take_beside()) is not None:
            scheduler.finish(taken)
            waiting.remove(taken)
            others = served_since.pop(taken.number, [])
            assert all(others.count(client) <= 2 for client in "abc")
            for served in served_since.values():
                served.append(taken.client)
    assert waiting == []


def test_several_jobs_run_at_once_and_each_is_superseded_by_its_own_document():
    scheduler: Scheduler[Request] = Scheduler()
    for document in "ab":
        scheduler.put(Request(document))
    running = [scheduler.take(), scheduler.take()]
    assert [one.document_key for one in running if one] == ["a", "b"]
    scheduler.put(Request("b", 2))
    assert [one.superseded for one in running if one] == [False, True]
    assert running[0] is not None
    scheduler.finish(running[0])
    scheduler.put(Request("a", 2))
    assert not running[0].superseded


def test_a_speculative_job_never_runs_beside_others_and_leaves_when_another_comes():
    scheduler: Scheduler[Request] = Scheduler()
    scheduler.put(Request("a"))
    running = scheduler.take()
    guessed = Request("b", is_speculative=True)
    scheduler.put(guessed)
    assert scheduler.take_beside() is None
    assert running is not None
    scheduler.finish(running)
    assert scheduler.take() is guessed
    scheduler.put(Request("c"))
    assert guessed.superseded
    assert scheduler.take_beside() == Request("c")


def test_work_that_was_handed_over_ends_with_the_job_that_it_began_with():
    scheduler: Scheduler[Request] = Scheduler()
    guessed = Request("a", is_speculative=True)
    scheduler.put(guessed)
    assert scheduler.take() is guessed
    scheduler.put(asked := Request("a"))
    assert scheduler.close() == [asked]
    scheduler.finish(guessed)
    assert scheduler.close() == []


def test_a_rewrite_is_left_waiting_where_only_urgent_jobs_are_taken():
    scheduler: Scheduler[Request] = Scheduler()
    scheduler.put(Request("A"))
    assert scheduler.take_beside(only_urgent=True) is None
    taken = []
    for number in range(6):
        scheduler.put(Request("a", number))
        taken.append(scheduler.take_beside(only_urgent=True))
    # After as many as may overtake it, it is the rewrite's turn.
    assert [one is not None for one in taken] == [True] * 4 + [False] * 2
    assert scheduler.take_beside() == Request("A")


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
