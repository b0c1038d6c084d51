"""Work shared among threads: all of it, in at most so many, each with one thread of torch."""

from __future__ import annotations

import threading
import time

import torch

from dg_lsp.models.kernels.sharing import for_each


def test_threads_of_torch_start_no_further_ones():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    done: list[tuple[int, int, str]] = []

    def work(part: int) -> None:
        torch.ones(1_000_000).mul_(2)
        done.append((part, torch.get_num_threads(), threading.current_thread().name))

    try:
        for_each(range(20), work)
        for_each(range(20, 40), work)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert sorted(part for part, _, _ in done) == list(range(40))
    assert {threads for _, threads, _ in done} == {1}
    assert len({name for _, _, name in done}) <= 3


def test_fewer_threads_take_the_place_of_more():
    before = torch.get_num_threads()
    try:
        for threads in (4, 3, 2):
            torch.set_num_threads(threads)
            for_each(range(20), lambda _: None)
    finally:
        torch.set_num_threads(before)

    give_up = time.monotonic() + 30
    while len(decoding()) > 2:
        assert time.monotonic() < give_up
    assert len(decoding()) == 2


def decoding() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("dg-lsp-decode")]
