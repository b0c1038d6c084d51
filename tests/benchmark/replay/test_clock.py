"""The clock of the server under test: nothing but `advance` moves it."""

from __future__ import annotations

import asyncio
import time

from dg_lsp.benchmark.replay.clock import ClockedLoop


def run(main):
    loop = ClockedLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()


async def advance_to(loop, until_s):
    stops = []
    while loop.time() < until_s:
        stops.append(await loop.advance(until_s))
    return stops


def test_time_stops_at_each_timer_and_at_the_end():
    async def main(loop):
        woken = []

        async def sleeper(delay_s):
            await asyncio.sleep(delay_s)
            woken.append(loop.time())
            await asyncio.sleep(delay_s)
            woken.append(loop.time())

        tasks = [asyncio.create_task(sleeper(delay_s)) for delay_s in (1.0, 1.5)]
        stops = await advance_to(loop, 2.5)
        for task in tasks:
            task.cancel()
        return woken, stops

    assert run(main) == ([1.0, 1.5, 2.0], [1.0, 1.5, 2.0, 2.5])


def test_a_cancelled_timer_is_no_stop():
    async def main(loop):
        loop.call_later(1.0, print).cancel()
        return await advance_to(loop, 2.0)

    assert run(main) == [2.0]


def test_work_on_other_threads_takes_no_time():
    async def main(loop):
        seen = []

        async def work():
            await asyncio.to_thread(time.sleep, 0.05)
            seen.append(loop.time())

        task = asyncio.create_task(work())
        await loop.advance(5.0)
        await task
        return seen, loop.time()

    assert run(main) == ([0.0], 5.0)
