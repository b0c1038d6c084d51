"""What the model is shown of a workspace, as an editor brings it about."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dg_lsp.server.settings import ContextSettings, Settings

SLOW_GLOB = "*a" * 25 + "b"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "build").mkdir(parents=True)
    return root


async def begun(make_editor, settings: Settings | None = None, **where: Any):
    editor = make_editor(settings=settings)
    params = {"processId": None, "rootUri": None, "capabilities": {}, **where}
    await editor.ask("initialize", params)
    editor.notify("initialized", {})
    return editor


async def texts(editor, uri: str) -> list[str]:
    return await editor.texts(0, 4, textDocument={"uri": uri})


async def test_a_folder_that_is_added_later_has_a_say(make_editor, root):
    editor = await begun(make_editor, workspaceFolders=[])
    uri = (root / "build" / "a.py").as_uri()
    editor.open("x = ", uri=uri)
    assert await texts(editor, uri) == ["1"]

    # As if it had been there all the time.
    (root.parent / ".gitignore").write_text("build/\n")
    folder = {"uri": root.parent.as_uri(), "name": "work"}
    event: dict[str, Any] = {"added": [folder], "removed": []}
    editor.notify("workspace/didChangeWorkspaceFolders", {"event": event})
    assert await texts(editor, uri) == []


async def test_a_root_that_is_a_symlink_has_a_say(make_editor, root):
    (root / ".gitignore").write_text("build/\n")
    (root.parent / "link").symlink_to(root)
    editor = await begun(make_editor, rootUri=(root.parent / "link").as_uri())
    uri = (root / "build" / "a.py").as_uri()
    editor.open("x = ", uri=uri)

    assert await texts(editor, uri) == []


async def test_without_a_root_the_repository_of_the_file_has_a_say(make_editor, root):
    (root / ".git").mkdir()
    (root / ".gitignore").write_text("build/\n")
    editor = await begun(make_editor)
    for name, expect in (("build/a.py", []), ("a.py", ["1"])):
        uri = (root / name).as_uri()
        editor.open("x = ", uri=uri)
        assert await texts(editor, uri) == expect


@pytest.mark.parametrize(
    "uri", ["vscode-notebook-cell:{}#W0sZmlsZQ%3D%3D", 'git:{}?{{"ref":"HEAD"}}']
)
async def test_other_views_of_ignored_files_are_ignored(make_editor, root, uri):
    (root / ".gitignore").write_text("ignored.*\n")
    editor = await begun(make_editor, rootUri=root.as_uri())
    for name, expect in (("ignored.ipynb", []), ("kept.ipynb", ["1"])):
        view = uri.format(root / name)
        editor.open("x = ", uri=view)
        assert await texts(editor, view) == expect


@pytest.mark.parametrize("settings", [Settings(debounce_ms=0, exclude=(SLOW_GLOB,)), None])
async def test_a_glob_full_of_asterisks_costs_no_time(make_editor, root, settings):
    (root / ".gitignore").write_text(f"{SLOW_GLOB}\n")
    editor = await begun(make_editor, settings, rootUri=root.as_uri())
    uri = (root / ("a" * 100)).as_uri()
    editor.open("x = ", uri=uri)

    assert await texts(editor, uri) == ["1"]


async def test_while_a_huge_ignore_file_is_read_other_files_are_completed(make_editor, root):
    inner = root / "inner"
    inner.mkdir()
    (inner / ".gitignore").write_text("".join(f"name_{n}*\n" for n in range(100_000)))
    editor = await begun(make_editor, rootUri=root.as_uri())
    slow, quick = (inner / "a.py").as_uri(), (root / "b.py").as_uri()
    editor.open("x = ", uri=slow)
    editor.open("x = ", uri=quick)

    assert await texts(editor, slow) == []
    assert await texts(editor, quick) == ["1"]
    while not await texts(editor, slow):
        pass


@pytest.mark.parametrize(
    ("uri", "expect"), [("git:{}/a.py?HEAD", 0), ("git:{}/b.py?HEAD", 1), ("file://{}/b.py", 1)]
)
async def test_the_version_of_a_file_in_git_is_not_related_to_it(
    make_editor, root, uri, expect
):
    editor = await begun(make_editor, rootUri=root.as_uri())
    related = "def total_price(items, tax_rate):\n    return sum(items) * tax_rate\n" * 3
    here = (root / "a.py").as_uri()
    editor.open(related, uri=uri.format(root))
    editor.open("x = \ntotal_price(items, tax_rate)\n", uri=here)
    assert await texts(editor, here) == ["1"]

    [job] = editor.engine.jobs
    assert len(job.snippets) == expect


HERE = "(y)\nplonk = \n"


async def seeds(editor, uri: str) -> list[tuple[str, str]]:
    """What the engine is told to start from, once everything is indexed: texts and paths."""
    for _ in range(2):
        # Another text each time, as the same question gets the same answer.
        before = len(editor.engine.jobs)
        editor.replace(f"{'#' * before}\n{HERE}", uri=uri)
        await editor.inline(2, 8, textDocument={"uri": uri})
        assert len(editor.engine.jobs) == before + 1
        code = editor.session.context.code
        assert await asyncio.to_thread(code.wait_until_idle, 30.0)
    return [(seed.text, seed.path) for seed in editor.engine.jobs[-1].seeds]


async def test_the_workspace_and_open_files_are_looked_in(make_editor, root):
    (root / "lib.py").write_text("plonk = frobnicate(wibble)\n")
    editor = await begun(make_editor, rootUri=root.as_uri())
    other, uri = (root / "b.py").as_uri(), (root / "a.py").as_uri()
    editor.open("plonk = wobble(1)\n", uri=other)
    editor.open(HERE, uri=uri)
    expected = [("wobble(1)", "b.py"), ("frobnicate(wibble)", "lib.py")]
    assert sorted(await seeds(editor, uri)) == sorted(expected)


async def test_the_workspace_is_not_read_where_the_user_does_not_want_it(make_editor, root):
    (root / "lib.py").write_text("plonk = frobnicate(wibble)\n")
    settings = Settings(debounce_ms=0, context=ContextSettings(workspace_files=False))
    editor = await begun(make_editor, settings, rootUri=root.as_uri())
    uri = (root / "a.py").as_uri()
    editor.open(HERE, uri=uri)
    assert await seeds(editor, uri) == []


async def test_a_file_that_was_excluded_since_it_was_read_is_not_shown(make_editor, root):
    (root / "lib.py").write_text("plonk = frobnicate(wibble)\n")
    editor = await begun(make_editor, rootUri=root.as_uri())
    uri = (root / "a.py").as_uri()
    editor.open(HERE, uri=uri)
    assert await seeds(editor, uri) == [("frobnicate(wibble)", "lib.py")]
    (root / ".gitignore").write_text("lib.py\n")
    editor.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
    assert await seeds(editor, uri) == []


async def test_an_excluded_open_file_is_not_looked_in(make_editor, root):
    settings = Settings(debounce_ms=0, exclude=("b.py",))
    editor = await begun(make_editor, settings, rootUri=root.as_uri())
    uri = (root / "a.py").as_uri()
    editor.open("plonk = wobble(1)\n", uri=(root / "b.py").as_uri())
    editor.open(HERE, uri=uri)
    assert await seeds(editor, uri) == []


CART = "def add_item(item, count):\n    return item\n"


async def jobs_in_two_lines(make_editor, root: Path, settings: Settings | None = None):
    """The jobs at the end of a document that imports a file, and one line further down."""
    (root / "cart.py").write_text(CART)
    editor = await begun(make_editor, settings, rootUri=root.as_uri())
    uri = (root / "a.py").as_uri()
    editor.open("from cart import add_item\n\nx = \n", uri=uri)
    assert await editor.texts(2, 4, textDocument={"uri": uri}) == ["1"]
    for line in range(3, 200):
        text = "from cart import add_item\n\n" + "add_item(1, 2)\n" * (line - 2) + "x = \n"
        editor.replace(text, uri)
        assert await editor.texts(line, 4, textDocument={"uri": uri}) == ["1"]
        if editor.engine.jobs[-1].snippets:
            break
        await asyncio.sleep(0.05)
        if settings is not None and line > 12:
            break
    return editor.engine.jobs


async def test_the_model_sees_what_imported_files_define(make_editor, root) -> None:
    jobs = await jobs_in_two_lines(make_editor, root)
    [snippet] = jobs[-1].snippets
    assert (snippet.path, snippet.text) == ("cart.py", CART)
    assert not jobs[-1].is_masked


@pytest.mark.parametrize("name", ["related_files", "workspace_files"])
async def test_imported_files_are_read_only_if_the_settings_say_so(make_editor, root, name):
    context = ContextSettings(**{name: False})
    jobs = await jobs_in_two_lines(make_editor, root, Settings(debounce_ms=0, context=context))
    assert [job for job in jobs if job.snippets] == []
