"""What reaches the user of a client that shows no status of ours."""

from __future__ import annotations

import pytest

from dg_lsp.job import ModelInfo
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.link.engine_link import EnginePhase, EngineState, failed

STATUS = {"experimental": {"dgLsp": {"status": True}}}
CAUSES = [
    Reason(ReasonCode.NO_MODEL, "no model here is called 'no-such-model'"),
    Reason(ReasonCode.NO_DEVICE, "no GPU with 18 GB"),
    Reason(ReasonCode.NO_ENGINE, "nobody answers at 127.0.0.1:9999"),
    Reason(ReasonCode.BAD_DIRECTORY, "/run/user/0/dg-lsp belongs to somebody else"),
]


def warnings(editor) -> list[str]:
    return [shown["message"] for shown in editor.told("window/showMessage")]


async def fail(editor, cause: Reason) -> None:
    editor.link.refusal = cause
    assert await editor.texts(0, 4) == []


@pytest.mark.parametrize("cause", CAUSES)
async def test_why_there_is_no_engine_is_said_once(editor, cause):
    editor.open("x = ")
    for _ in range(3):
        await fail(editor, cause)
    [said] = warnings(editor)
    assert cause.message in said
    assert "dg-lsp doctor" in said


async def test_each_cause_is_said_once_whatever_its_message(editor):
    editor.open("x = ")
    for cause in [
        Reason(ReasonCode.NO_ENGINE, "port 4000 is closed"),
        Reason(ReasonCode.NO_DEVICE, "no GPU"),
        Reason(ReasonCode.NO_ENGINE, "nobody listens at port 4001"),
        Reason(ReasonCode.NO_DEVICE, "no GPU"),
    ]:
        await fail(editor, cause)
    assert len(warnings(editor)) == 2


async def test_a_job_that_fails_at_every_key_is_said_once(editor):
    editor.open("x = ")
    editor.engine.error = Reason(ReasonCode.OUT_OF_MEMORY, "out of memory")
    for _ in range(3):
        assert await editor.texts(0, 4) == []
    [said] = warnings(editor)
    assert "out of memory" in said


async def test_a_client_with_our_status_gets_no_message(make_editor):
    editor = make_editor()
    await editor.begin(STATUS)
    editor.open("x = ")
    await fail(editor, CAUSES[0])
    assert warnings(editor) == []
    told = editor.told("dgLsp/status")[-1]
    assert (told["kind"], told["code"], told["message"]) == (
        *("Error", "no-model"),
        CAUSES[0].message,
    )


async def test_what_failed_before_the_client_listens_is_said_when_it_does(make_editor):
    editor = make_editor()
    params = {"processId": None, "rootUri": None, "capabilities": {}}
    await editor.ask("initialize", params)
    editor.session.status.engine_changed(failed(CAUSES[1]))
    assert warnings(editor) == []
    editor.notify("initialized", {})
    await editor.until(lambda: len(warnings(editor)) == 1)


async def test_what_is_used_instead_of_the_first_choice_is_in_the_status(make_editor):
    editor = make_editor()
    await editor.begin(STATUS)
    note = Reason(ReasonCode.DOES_NOT_FIT, "small is used, because large needs 18 GB")
    model = ModelInfo("small", "cuda:0", 100, 100, notes=(note,))
    editor.session.status.engine_changed(EngineState(EnginePhase.READY, model=model))
    await editor.until(lambda: editor.told("dgLsp/status"))

    told = editor.told("dgLsp/status")[-1]
    assert (told["kind"], told["code"], told["message"]) == (
        *("Normal", "does-not-fit"),
        note.message,
    )


async def test_while_the_engine_starts_again_the_status_says_so(make_editor):
    editor = make_editor()
    await editor.begin(STATUS)
    status = editor.session.status
    status.job_failed(Reason(ReasonCode.ENGINE_LOST, "the engine ended"))
    assert status.now.code == "engine-lost"
    for percent in (None, 40):
        message = "loading the model"
        status.engine_changed(EngineState(EnginePhase.STARTING, message, percent=percent))
        assert (status.now.kind, status.now.code) == ("Normal", "loading")
    # What fails meanwhile is told.
    status.job_failed(Reason(ReasonCode.ENGINE_SILENT, "the engine does not answer"))
    status.engine_changed(EngineState(EnginePhase.STARTING, message, percent=60))
    assert status.now.code == "engine-silent"


async def test_staying_quiet_on_purpose_is_no_message(editor):
    editor.open("x = ", "file:///work/.env")
    assert await editor.texts(0, 4, textDocument={"uri": "file:///work/.env"}) == []
    editor.open("none = ")
    assert await editor.texts(0, 7) == []
    assert warnings(editor) == []
