"""Which lengths of several segments are tried together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.engine.joint_lengths import MOST_LANES, Option, combinations, probes
from dg_lsp.engine.prompt import Edges

FREE, HEALED = Edges((), ()), Edges((7,), (8,))
LENGTHS = (1, 2, 4, 8, 16)


def lengths_of(starts) -> list[tuple[int, ...]]:
    return [tuple(map(len, one)) for one in starts]


def options(*nats_by_length: dict[int, float]) -> list[list[Option]]:
    return [
        [Option((-1,) * length, nats) for length, nats in one.items()] for one in nats_by_length
    ]


def test_the_first_step_has_every_length_in_every_segment():
    assert lengths_of(probes([FREE, FREE], [[], []], LENGTHS, room=40)) == [
        (n, n) for n in LENGTHS
    ]


def test_a_length_for_which_all_have_no_room_is_tried_in_one_segment_at_a_time():
    tried = lengths_of(probes([FREE, FREE], [[], []], LENGTHS, room=20))

    assert tried == [(1, 1), (2, 2), (4, 4), (8, 8), (16, 4), (4, 16)]
    assert lengths_of(probes([FREE, FREE], [[], []], LENGTHS, room=17))[-2:] == [
        (16, 1),
        (1, 16),
    ]


def test_a_segment_that_has_a_text_keeps_it_and_a_healed_one_its_least_length():
    known = [[Option((5, 6, 7), 0.0)], []]

    tried = probes([FREE, HEALED], known, LENGTHS, room=20)

    assert all(one[0] == (5, 6, 7) for one in tried)
    assert {len(one[1]) for one in tried} == {2, 4, 8, 16}


def test_the_best_combination_comes_first_and_few_race():
    given_ = options({4: 0.0, 2: -0.1, 8: -3.0}, {16: 0.0, 8: -0.2, 1: -5.0})

    tried = lengths_of(combinations(given_, room=40))

    assert tried[:4] == [(4, 16), (2, 16), (4, 8), (2, 8)]
    many = options(*[{n: -0.1 * n for n in range(1, 13)}] * 5)
    assert len(combinations(many, room=60)) == MOST_LANES


@given(
    st.lists(
        st.dictionaries(st.integers(1, 30), st.floats(-50, 0), min_size=1),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 60),
)
def test_every_combination_fits_and_there_is_one_if_the_shortest_fit(found, more):
    given_ = options(*found)
    room = sum(min(one) for one in found) + more

    tried = combinations(given_, room)

    assert 1 <= len(tried) <= MOST_LANES
    assert all(sum(lengths) <= room for lengths in lengths_of(tried))
