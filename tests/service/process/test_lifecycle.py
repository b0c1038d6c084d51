"""Real engine processes: started once, found by all, killed, hung, replaced and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dg_lsp.job import InfillJob, JobState, ModelInfo
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service import address, runtime
from dg_lsp.service.address import local_address
from dg_lsp.service.client.refusals import EngineError, UnreachableError
from dg_lsp.service.process import lifecycle, losses, serving
from dg_lsp.service.process.lifecycle import (
    SharedEngine,
    ensure_engine,
    probe,
    stop_engine,
)
from dg_lsp.service.process.lock import holder, is_held, note_holder, try_lock

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no Unix sockets")

JOB = InfillJob("pid ", "")
LOSE = InfillJob("lose", "")
HANG = InfillJob("hang", "", document="a.py")


@pytest.fixture(autouse=True)
async def _within_a_minute():
    async with asyncio.timeout(60):
        yield


async def pid_of(engine: SharedEngine) -> int:
    """The process that answers a job."""
    infill = (await engine.submit(JOB).result()).infill
    assert infill.candidates, infill.reason
    return int(infill.candidates[0].text.removeprefix("pid "))


async def test_ten_front_ends_start_one_engine(spec, directory):
    addresses = await asyncio.gather(*(ensure_engine(spec, directory) for _ in range(10)))
    engines = [SharedEngine(spec, directory) for _ in addresses]
    pids = {await pid_of(engine) for engine in engines}
    for engine in engines:
        await engine.close()

    assert len({*addresses}) == 1
    assert pids == {holder(directory / "engine.lock")}
    assert len(json.loads((directory / "engine.starts").read_text())) == 1


async def test_the_socket_is_the_users_alone(spec, directory):
    address = await ensure_engine(spec, directory)

    assert address.socket.stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700


async def test_two_front_ends_survive_the_death_of_their_engine(spec, directory):
    engines = [SharedEngine(spec, directory) for _ in range(2)]
    pid = (await engines[0].start()).pid
    handles = [engine.submit(HANG) for engine in engines]
    for handle in handles:
        # The job is under way: a draft is there.
        assert (await anext(handle.drafts())).step == 1
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    for handle in handles:
        infill = (await handle.result()).infill
        assert (handle.state, infill.candidates) == (JobState.FAILED, ())
        assert infill.reason.code is ReasonCode.ENGINE_LOST
    assert time.monotonic() - killed < 2

    pids = [await pid_of(engine) for engine in engines]
    assert pids[0] == pids[1] != pid
    for engine in engines:
        await engine.close()


async def test_stale_files_are_no_obstacle(spec, directory):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(directory / "engine.sock"))
    (directory / "engine.lock").touch()
    (directory / "engine.pid").write_text("99999999\n")
    (directory / "engine.starting").write_text("")
    (directory / "engine.starts").write_text("no json")

    assert (await probe(await ensure_engine(spec, directory))).pid != 99999999


async def test_an_engine_that_cannot_start_says_why(spec, directory, monkeypatch):
    monkeypatch.setenv("DG_LSP_TEST_BROKEN", "1")
    engine = SharedEngine(spec, directory)
    infill = (await engine.submit(JOB).result()).infill

    assert infill.reason == Reason(ReasonCode.CANNOT_START, "broken for the test")
    # One crash is made good at once; one after the other is not.
    for _ in range(lifecycle.FREE_STARTS):
        await engine.submit(JOB).result()
    infill = (await engine.submit(JOB).result()).infill
    assert infill.reason.code is ReasonCode.CRASHING
    monkeypatch.delenv("DG_LSP_TEST_BROKEN")
    monkeypatch.setattr(lifecycle, "MAX_BACK_OFF_S", 0)
    assert await pid_of(engine) > 0
    await engine.close()


@pytest.mark.parametrize("code", [ReasonCode.CRASHING, ReasonCode.GPU_LOST])
async def test_a_clock_that_is_set_back_locks_nobody_out(code, spec, directory, monkeypatch):
    with monkeypatch.context() as patch:
        # An hour fast, while an engine crashes or loses its GPU too often.
        patch.setattr(time, "time", lambda now=time.time: now() + 3600)
        if code is ReasonCode.GPU_LOST:
            for _ in range(losses.MOST):
                losses.note(directory, "engine", "steps in graphs")
        patch.setenv("DG_LSP_TEST_BROKEN", "1")
        engine = SharedEngine(spec, directory)
        for _ in range(lifecycle.FREE_STARTS + 2):
            infill = (await engine.submit(JOB).result()).infill
        assert infill.reason.code is code
        await engine.close()

    engine = SharedEngine(spec, directory)
    assert await pid_of(engine) > 0
    await engine.close()


async def test_an_engine_that_loses_its_gpu_is_started_anew_once(spec, directory):
    engine = SharedEngine(spec, directory)
    pids, ways = [], []
    for _ in range(losses.MOST):
        pids.append(await pid_of(engine))
        model = (await engine.status()).model
        ways.append((model.runs_as, [note.code for note in model.notes]))
        infill = (await engine.submit(LOSE).result()).infill
        assert infill.reason.code is ReasonCode.GPU_LOST
        while is_held(directory / "engine.lock"):
            await asyncio.sleep(0.02)
    assert len({*pids}) == losses.MOST
    # The second one does not compute in the way in which the first one lost the GPU.
    assert ways == [
        ("steps in graphs", []),
        ("plain torch", [ReasonCode.GPU_LOST]),
    ]
    assert [one.runs_as for one in losses.recent(directory, "engine")] == [w for w, _ in ways]

    # From now on the reason is given at once, and no process is started.
    infill = (await engine.submit(JOB).result()).infill
    assert infill.reason.code is ReasonCode.GPU_LOST
    assert not is_held(directory / "engine.lock")
    # A user who has done something about it need not wait.
    await engine.restart()
    assert await pid_of(engine) not in pids
    await engine.close()


async def test_a_fault_in_native_code_is_told_to_the_window_and_by_the_next_engine(
    spec, directory
):
    window = SharedEngine(spec, directory)
    pid = await pid_of(window)
    handle = window.submit(InfillJob("map", ""))
    assert (await anext(handle.drafts())).step == 1
    infill = (await handle.result()).infill
    assert infill.reason.code is ReasonCode.ENGINE_LOST
    assert "bus error" in infill.reason.message

    assert await pid_of(window) != pid
    log = Path((await window.status()).log)
    assert log.read_text().count("bus error") == 1
    # One that is merely killed has no last words, not even those of the one before.
    handle = window.submit(HANG)
    assert (await anext(handle.drafts())).step == 1
    os.kill((await window.status()).pid, signal.SIGKILL)
    assert "bus error" not in (await handle.result()).infill.reason.message
    await pid_of(window)
    assert log.read_text().count("bus error") == 1
    await window.close()


async def test_a_loss_is_forgotten_after_a_while(directory, monkeypatch):
    for _ in range(losses.MOST):
        losses.note(directory, "engine", "steps in graphs")
    assert len(losses.recent(directory, "engine")) == losses.MOST
    monkeypatch.setattr(losses, "FORGET_S", 0.0)
    assert losses.recent(directory, "engine") == []


async def test_a_model_that_cannot_be_had_is_a_reason_and_the_engine_lives(spec, directory):
    engine = SharedEngine(dataclasses.replace(spec, model="absent"), directory)
    infill = (await engine.submit(JOB).result()).infill

    assert infill.reason.code is ReasonCode.NO_MODEL
    with pytest.raises(EngineError) as raised:
        await engine.wait_ready()
    assert raised.value.code is ReasonCode.NO_MODEL
    status = await engine.status()
    assert (status.state, status.error) == ("failed", infill.reason)
    await engine.close()


async def test_engines_differ_by_model(spec, directory):
    engines = [SharedEngine(dataclasses.replace(spec, model=name), directory) for name in "ab"]
    statuses = [await engine.wait_ready() for engine in engines]

    assert [status.model and status.model.name for status in statuses] == ["a", "b"]
    assert statuses[0].pid != statuses[1].pid
    for engine in engines:
        await engine.close()


async def test_an_idle_engine_of_another_version_is_replaced(spec, directory, monkeypatch):
    old = await probe(await ensure_engine(spec, directory))
    monkeypatch.setattr(lifecycle, "__version__", "9.9.9")
    lock = directory / "engine.lock"
    # The new one is of the old version too, which is where this test ends the game.
    await ensure_engine(spec, directory)

    assert holder(lock) != old.pid


async def test_a_command_that_is_not_there_is_a_reason(spec, directory):
    engine = SharedEngine(dataclasses.replace(spec, command=("/absent/python",)), directory)
    infill = (await engine.submit(JOB).result()).infill

    assert infill.reason.code is ReasonCode.CANNOT_START
    await engine.close()


async def test_an_engine_of_a_newer_version_is_left_alone(spec, directory, monkeypatch):
    newer = SharedEngine(spec, directory)
    pid = await pid_of(newer)
    await newer.close()
    for module in ("process.lifecycle", "client.infiller"):
        monkeypatch.setattr(f"dg_lsp.service.{module}.__version__", "0.0.9")
    engine = SharedEngine(spec, directory)
    infill = (await engine.submit(JOB).result()).infill

    assert infill.reason.code is ReasonCode.VERSION_MISMATCH
    assert "0.0.9" in infill.reason.message
    assert holder(directory / "engine.lock") == pid
    await engine.close()


@pytest.mark.parametrize(
    ("engine", "ours", "is_newer"),
    [
        ("1.0.0rc1", "1.0.0", False),
        ("1.0.0", "1.0.0rc1", True),
        ("1.0.0.dev3", "1.0.0a1", False),
        ("1.0.0.post1", "1.0.0", True),
        ("1.0.0+local.2", "1.0.0", True),
        ("1.0", "1.0.0", False),
        ("1.10.0", "1.9.0", True),
        ("2!1.0", "9.9", True),
        ("no version", "1.0.0", False),
        ("", "1.0.0", False),
    ],
)
def test_versions_are_ordered_as_releases_are(engine, ours, is_newer, monkeypatch):
    monkeypatch.setattr(lifecycle, "__version__", ours)

    assert lifecycle.is_newer(engine) is is_newer


async def test_a_busy_engine_of_another_version_is_left_alone(spec, directory, monkeypatch):
    engine = SharedEngine(spec, directory)
    handle = engine.submit(HANG)
    assert (await anext(handle.drafts())).step == 1
    monkeypatch.setattr(lifecycle, "__version__", "9.9.9")

    with pytest.raises(EngineError) as raised:
        await ensure_engine(spec, directory)
    assert raised.value.code is ReasonCode.VERSION_MISMATCH
    assert handle.state is JobState.RUNNING
    await engine.close()


async def test_an_engine_that_hangs_is_named_and_stopped(spec, directory, monkeypatch):
    engine = SharedEngine(spec, directory)
    pid = (await engine.start()).pid
    os.kill(pid, signal.SIGSTOP)

    with monkeypatch.context() as patch:
        patch.setattr("dg_lsp.service.client.connection.ANSWER_S", 0.2)
        with pytest.raises(EngineError) as raised:
            await ensure_engine(spec, directory, patience_s=0.5)
        assert raised.value.code is ReasonCode.ENGINE_SILENT
        assert await stop_engine(directory, "engine", patience_s=0.3)
    assert not is_held(directory / "engine.lock")
    assert (await engine.restart()).pid != pid
    await engine.close()


@pytest.mark.parametrize("has_socket", [True, False])
async def test_whoever_looks_for_a_stopped_engine_knows_that_it_does_not_answer(
    spec, directory, until, has_socket
):
    engine, window = SharedEngine(spec, directory), SharedEngine(spec, directory)
    pid = (await engine.start()).pid
    assert engine.unanswered_s == 0.0
    os.kill(pid, signal.SIGSTOP)
    try:
        if not has_socket:
            local_address(directory, "engine").socket.unlink()
        looking = asyncio.create_task(window.wait_ready())
        await until(lambda: window.unanswered_s > 0.1)
        assert not looking.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await looking).pid == pid
    assert window.unanswered_s == 0.0
    await engine.close()
    await window.close()


async def test_stopping_and_unloading(spec, directory):
    engine = SharedEngine(spec, directory)
    with pytest.raises(UnreachableError):
        await engine.status()
    assert not await stop_engine(directory, "engine")
    model = ModelInfo("scripted", "cpu", 9, 9, False, runs_as="steps in graphs")
    assert (await engine.wait_ready()).model == model
    await engine.unload()
    assert (await engine.status()).state == "unloaded"
    assert (await engine.wait_ready()).state == "ready"
    assert await stop_engine(directory, "engine")

    assert not local_address(directory, "engine").socket.exists()
    assert not (directory / "engine.starts").exists()
    await engine.close()


async def test_sigterm_ends_it_in_good_order(spec, directory):
    engine = SharedEngine(spec, directory)
    pid = (await engine.start()).pid
    handle = engine.submit(HANG)
    assert (await anext(handle.drafts())).step == 1
    os.kill(pid, signal.SIGTERM)

    assert (await handle.result()).infill.candidates == ()
    assert handle.state in (JobState.CANCELLED, JobState.FAILED)
    while is_held(directory / "engine.lock"):
        await asyncio.sleep(0.02)
    assert not (directory / "engine.sock").exists()
    await engine.close()


async def test_an_idle_process_ends_by_itself(spec, directory):
    short = dataclasses.replace(spec, idle_minutes=0.0002, exit_minutes=0.02)
    engine = SharedEngine(short, directory)
    assert await pid_of(engine) > 0
    while is_held(directory / "engine.lock"):
        await asyncio.sleep(0.02)
    # The next job brings it up again.
    assert await pid_of(engine) > 0
    await engine.close()


async def test_a_job_that_meets_the_end_of_an_engine_waits_for_the_next(spec, directory):
    engine = SharedEngine(spec, directory)
    pid = (await engine.start()).pid
    os.kill(pid, signal.SIGTERM)

    # Each of them is answered, by the engine that ends or by the next one.
    while await pid_of(engine) == pid:
        pass
    await engine.close()


async def test_the_log_has_starts_and_ends_and_nothing_of_a_job(spec, directory):
    engine = SharedEngine(spec, directory)
    await engine.start()
    await engine.submit(InfillJob("secret words ", "more secrets", path="secret.py")).result()
    log = Path((await engine.status()).log)
    before = log.read_text()
    await engine.submit(InfillJob("secret words 2", "more secrets", path="secret.py")).result()
    assert log.read_text() == before
    await engine.close()
    await stop_engine(directory, "engine")
    lines = [json.loads(line) for line in log.read_text().splitlines()]

    assert [line["level"] for line in lines] == ["info"] * len(lines)
    assert str(directory / "engine.sock") in lines[0]["event"]
    assert "secret" not in json.dumps(lines)


@pytest.mark.parametrize("obstacle", ["full disk", "no directory"])
async def test_a_log_that_cannot_be_written_stops_nothing(
    spec, directory, monkeypatch, obstacle
):
    logs = directory / "log"
    if obstacle == "full disk":
        logs.mkdir()
        (logs / "engine.log").symlink_to("/dev/full")
    else:
        logs.write_text("a file in the way")
    engine = SharedEngine(spec, directory)

    assert await pid_of(engine) == await pid_of(engine)
    expect = "" if obstacle == "no directory" else str(logs / "engine.log")
    assert (await engine.status()).log == expect
    await engine.close()


async def test_as_on_windows_a_port_and_a_token_only_the_user_can_read(
    spec, directory, monkeypatch
):
    # The same code as there; only the switch is thrown by hand, here and in the engine.
    for module in (address, serving):
        monkeypatch.setattr(module, "IS_WINDOWS", True)
    script = Path(spec.command[-1])
    switch = "from dg_lsp.service import address\n"
    switch += "from dg_lsp.service.process import lifecycle, serving\n"
    switch += "address.IS_WINDOWS = lifecycle.IS_WINDOWS = serving.IS_WINDOWS = True\n"
    script.write_text(switch + script.read_text())

    one, other = (SharedEngine(spec, directory) for _ in range(2))
    pid = await pid_of(one)
    assert await pid_of(other) == pid
    known = directory / "engine.json"
    assert one.address.url.startswith("http://127.0.0.1:")
    assert known.stat().st_mode & 0o777 == 0o600
    with pytest.raises(EngineError) as raised:
        await probe(dataclasses.replace(one.address, token="a" * 32))
    assert raised.value.code is ReasonCode.TOKEN_REFUSED

    # The file of an engine that was killed names a port where nobody listens.
    os.kill(pid, signal.SIGKILL)
    assert await pid_of(other) != pid
    for engine in (one, other):
        await engine.close()
    assert await stop_engine(directory, "engine")
    assert not known.exists()


ONE_OF_MANY = """
import asyncio, sys
from pathlib import Path
from dg_lsp.cli import run
from dg_lsp.service import address, runtime
from dg_lsp.service.process.lifecycle import EngineSpec, SharedEngine

root, script, *command = sys.argv[1:]
runtime.SESSIONS, runtime.SHORT_PARENT = f"{root}/sessions", root

async def front_ends():
    wish = EngineSpec(command=(sys.executable, "-P", script))
    engines = [SharedEngine(wish) for _ in range(2)]
    print(*[(await engine.start()).pid for engine in engines])
    for engine in engines:
        await engine.close()

sys.exit(run(command) if command else asyncio.run(front_ends()))
"""


async def test_without_a_variable_there_is_one_engine_that_all_commands_see(
    spec, directory, monkeypatch
):
    monkeypatch.delenv("DG_LSP_RUNTIME_DIR")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    async def process(*command: str) -> str:
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ONE_OF_MANY, str(directory), spec.command[-1], *command),
            stdout=asyncio.subprocess.PIPE,
        )
        return (await run.communicate())[0].decode()

    pids = [pid for _ in range(2) for pid in (await process()).split()]
    said = await process("engine", "status", "--json")
    status = [json.loads(line) for line in said.splitlines()]

    assert len(pids) == 4
    assert {*pids} == {str(one["pid"]) for one in status}
    assert await process("engine", "stop") == "stopped 1 engine\n"
    assert "stopped" not in await process("engine", "stop")


async def has_ended(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            await asyncio.sleep(0.05)


async def test_an_engine_makes_its_socket_again(spec, directory):
    open_window = SharedEngine(spec, directory)
    pid = await pid_of(open_window)
    for _ in range(2):
        (directory / "engine.sock").unlink()
        # Another window, which knows nothing of that.
        other = SharedEngine(spec, directory)
        assert await pid_of(other) == pid
        await other.close()
        assert await pid_of(open_window) == pid
    assert (directory / "engine.sock").stat().st_mode & 0o777 == 0o600
    # Something else in its place.
    (directory / "engine.sock").unlink()
    (directory / "engine.sock").write_text("not a socket")
    other = SharedEngine(spec, directory)
    assert await pid_of(other) == pid
    assert "was removed" in Path((await other.status()).log).read_text()
    for engine in (open_window, other):
        await engine.close()
    # The socket that it made itself is also the one that it takes with it.
    await stop_engine(directory, "engine")
    assert not (directory / "engine.sock").exists()


@pytest.mark.parametrize("gone", ["lock", "directory"])
@pytest.mark.parametrize("job", ["idle", "at work"])
async def test_an_engine_that_nobody_finds_any_more_makes_way(spec, directory, gone, job):
    root = Path(tempfile.mkdtemp(prefix="dgl"))
    place = root / "d"
    window = SharedEngine(spec, place)
    pid = await pid_of(window)
    if job == "at work":
        handle = window.submit(HANG)
        assert (await anext(handle.drafts())).step == 1
    if gone == "directory":
        shutil.rmtree(place)
    else:
        (place / "engine.lock").unlink()

    # The next one begins only when the first has ended.
    other = SharedEngine(spec, place)
    if gone == "lock":
        # The socket is still there, until the engine notices.
        await has_ended(pid)
    assert await pid_of(other) != pid
    # Its guard is free as soon as it ends; for a moment more it is there to be reaped.
    await has_ended(pid)
    # It has left the files of the other one alone.
    assert (await probe(other.address)).pid == holder(place / "engine.lock")
    # And the first window goes on with the new one.
    assert await pid_of(window) == (await other.status()).pid
    for engine in (window, other):
        await engine.close()
    await stop_engine(place, "engine")
    shutil.rmtree(root)


async def test_a_window_outlives_the_session_directory(spec, directory, monkeypatch):
    monkeypatch.delenv("DG_LSP_RUNTIME_DIR")
    monkeypatch.setattr(runtime, "SESSIONS", str(directory / "none"))
    monkeypatch.setattr(runtime, "SHORT_PARENT", str(directory))
    session = directory / "run" / "1000"
    session.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    window = SharedEngine(spec)
    pid = await pid_of(window)
    assert window.address.socket.parent == session / "dg-lsp"
    # A logout removes the session's directory, and the user cannot make it again.
    shutil.rmtree(directory / "run")
    (directory / "run").touch()

    await has_ended(pid)
    assert await pid_of(window) != pid
    assert window.address.socket.parent == directory / f"dg-lsp-{os.getuid()}"
    assert (await window.restart()).state in ("unloaded", "loading", "ready")
    await window.close()
    await stop_engine(window.address.socket.parent, "engine")


async def test_an_engine_that_lost_its_socket_and_stays_is_named(spec, directory):
    lock = try_lock(directory / "engine.lock")
    note_holder(directory / "engine.lock")
    with pytest.raises(EngineError) as raised:
        await ensure_engine(spec, directory, patience_s=0.2)
    assert raised.value.code is ReasonCode.ENGINE_SILENT
    assert str(os.getpid()) in str(raised.value)
    lock.release()
