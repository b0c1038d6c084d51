"""Settings at the start and live, and what is registered because of them."""

from __future__ import annotations

VS_CODE = {
    "workspace": {
        "configuration": True,
        "didChangeConfiguration": {"dynamicRegistration": True},
    },
    "textDocument": {
        "inlineCompletion": {"dynamicRegistration": True},
        "completion": {"dynamicRegistration": True},
    },
}


def registered(editor) -> set[str]:
    methods = []
    for params in editor.told("client/registerCapability"):
        methods += [one["method"] for one in params["registrations"]]
    for params in editor.told("client/unregisterCapability"):
        for one in params["unregisterations"]:
            methods.remove(one["method"])
    return set(methods)


async def test_a_client_without_dynamic_registration_is_told_in_initialize(make_editor):
    editor = make_editor()
    capabilities = (await editor.begin())["capabilities"]
    assert capabilities["inlineCompletionProvider"] == {"workDoneProgress": True}
    assert capabilities["textDocumentSync"]["change"] == 2
    assert capabilities["codeActionProvider"]["resolveProvider"] is True
    assert "dg-lsp.rewrite" in capabilities["executeCommandProvider"]["commands"]
    assert "completionProvider" not in capabilities
    assert editor.told("client/registerCapability") == []


async def test_settings_register_and_unregister(make_editor):
    editor = make_editor()
    now: dict = {}
    editor.replies["workspace/configuration"] = lambda params: [now]
    capabilities = (await editor.begin(VS_CODE))["capabilities"]
    assert "inlineCompletionProvider" not in capabilities
    inline, listed = "textDocument/inlineCompletion", "textDocument/completion"
    configured = "workspace/didChangeConfiguration"
    await editor.until(lambda: registered(editor) == {configured, inline})

    now["completionFallback"] = True
    editor.notify(configured, {"settings": None})
    await editor.until(lambda: registered(editor) == {configured, inline, listed})
    now["enable"] = False
    editor.notify(configured, {"settings": None})
    await editor.until(lambda: registered(editor) == {configured})
    now.clear()
    editor.notify(configured, {"settings": None})
    await editor.until(lambda: registered(editor) == {configured, inline})


async def test_a_client_that_pushes_its_settings(make_editor):
    editor = make_editor()
    await editor.begin(options={"candidates": 2, "debounceMs": 0})
    editor.open("return ")
    assert len(await editor.texts(0, 7, kind=1)) == 2
    editor.notify(
        "workspace/didChangeConfiguration", {"settings": {"dgLsp": {"candidates": 3}}}
    )
    await editor.until(lambda: editor.session.settings.candidates == 3)
    assert len(await editor.texts(0, 7, kind=1)) == 3


async def test_what_is_not_valid_is_named_and_the_rest_holds(make_editor):
    editor = make_editor()
    await editor.begin(options={"candidates": -1, "debounceMs": 5, "colour": "red"})
    [shown] = editor.told("window/showMessage")
    assert "dgLsp.candidates" in shown["message"]
    assert "dgLsp.colour" in shown["message"]
    assert editor.session.settings.debounce_ms == 5
    assert editor.session.settings.candidates == 3


async def test_who_made_the_session_is_told_the_settings(make_editor):
    editor = make_editor()
    told = []
    editor.session._on_settings = told.append
    await editor.begin(options={"engine": {"address": "127.0.0.1:1"}})
    assert told[-1].engine.address == "127.0.0.1:1"
