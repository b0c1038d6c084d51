"""Which connections give way where there is no room for another."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dg_lsp.service.http import connections as module
from dg_lsp.service.http.connections import Bounds, Connections, bounds_here


@dataclass(eq=False)
class Line:
    is_waiting: bool = False
    is_idle: bool = False
    is_dropped: bool = False

    def drop(self) -> None:
        self.is_dropped = True


def waiting() -> Line:
    return Line(is_waiting=True, is_idle=True)


def idle() -> Line:
    return Line(is_idle=True)


def fill(table: Connections, lines: list[Line], peer: str = "") -> list[bool]:
    return [table.admit(line, peer) for line in lines]


def test_the_oldest_that_sent_nothing_gives_way_to_another_of_its_kind():
    table, busy = Connections(Bounds(10, waiting=3)), Line()
    lines = [busy, waiting(), waiting(), waiting(), waiting()]

    assert all(fill(table, lines))
    assert [line.is_dropped for line in lines] == [False, True, False, False, False]


def test_one_that_sent_nothing_goes_before_one_that_rests_and_a_busy_one_stays():
    table = Connections(Bounds(3, waiting=3))
    busy, resting, silent, new, newer = Line(), idle(), waiting(), Line(), Line()

    assert all(fill(table, [busy, resting, silent, new, newer]))
    assert silent.is_dropped
    assert resting.is_dropped
    assert not busy.is_dropped
    assert len(table) == 3
    # Now all are busy.
    assert not table.admit(Line(), "")
    table.forget(busy)
    assert table.admit(Line(), "")


def test_one_address_leaves_room_for_others():
    table = Connections(Bounds(8, waiting=8))
    greedy = [Line() for _ in range(8)]

    assert fill(table, greedy, "10.0.0.1") == [True] * 6 + [False] * 2
    assert fill(table, [Line(), Line()], "10.0.0.2") == [True, True]
    # The user's own socket has no address, and is bounded by the rest alone.
    own = Connections(Bounds(8, waiting=8))
    assert fill(own, [Line() for _ in range(9)]) == [True] * 8 + [False]


@pytest.mark.parametrize(
    ("descriptors", "expect"), [(128, 64), (40, 8), (1024, 960), (1_000_000, 1024), (-1, 1024)]
)
def test_descriptors_are_left_for_files(monkeypatch, descriptors, expect):
    resource = pytest.importorskip("resource", reason="Windows has no limit on descriptors")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (descriptors, descriptors))
    bounds = bounds_here()

    assert bounds.all == expect
    assert 0 < bounds.waiting <= min(64, expect)
    assert descriptors < 100 or bounds.all + module.RESERVED_DESCRIPTORS <= max(
        descriptors, 1088
    )
