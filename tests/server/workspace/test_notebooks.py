"""Notebooks: what the model sees of earlier cells, and where nothing is offered."""

from __future__ import annotations

import pytest

from dg_lsp.server.settings import ContextSettings, Settings
from dg_lsp.server.workspace.documents import Document
from dg_lsp.server.workspace.notebooks import joined

NOTEBOOK = "file:///work/cart.ipynb"
CODE, TEXT = 2, 1
CAPABLE = {"notebookDocument": {"synchronization": {"dynamicRegistration": True}}}


def uri(name: str) -> str:
    return f"vscode-notebook-cell:/work/cart.ipynb#{name}"


def cell(name: str, kind: int = CODE):
    return {"kind": kind, "document": uri(name)}


def item(name: str, text: str, language: str = "python"):
    return {"uri": uri(name), "languageId": language, "version": 1, "text": text}


CELLS = [
    ("a", "import math\n", "python", CODE),
    ("b", "# Carts\n", "markdown", TEXT),
    ("c", "SELECT 1", "sql", CODE),
    ("d", "%%bash\nls\n", "python", CODE),
    ("e", "%%time\ntotal = 1", "python", CODE),
    ("f", "x = ", "python", CODE),
    ("g", "later = 2", "python", CODE),
]


def open_notebook(editor, cells=CELLS) -> None:
    params = {
        "notebookDocument": {
            "uri": NOTEBOOK,
            "notebookType": "jupyter-notebook",
            "version": 1,
            "cells": [cell(name, kind) for name, _, _, kind in cells],
        },
        "cellTextDocuments": [item(name, text, lang) for name, text, lang, _ in cells],
    }
    editor.notify("notebookDocument/didOpen", params)


def change(editor, cells) -> None:
    version = {"uri": NOTEBOOK, "version": 2}
    params = {"notebookDocument": version, "change": {"cells": cells}}
    editor.notify("notebookDocument/didChange", params)


async def suggested(editor, name: str, line: int, character: int, kind: int = 2):
    document = {"textDocument": {"uri": uri(name)}}
    return await editor.texts(line, character, kind, **document)


@pytest.fixture
async def notebook(make_editor):
    editor = make_editor()
    await editor.begin(CAPABLE)
    open_notebook(editor)
    return editor


async def test_the_server_takes_notebooks_of_clients_that_know_them(make_editor):
    capable = await make_editor().begin(CAPABLE)
    plain = await make_editor().begin()
    assert capable["capabilities"]["notebookDocumentSync"]["notebookSelector"]
    assert "notebookDocumentSync" not in plain["capabilities"]


async def test_earlier_code_cells_of_the_language_are_the_text_before(notebook):
    assert await suggested(notebook, "f", 0, 4) == ["1"]

    [job] = notebook.engine.jobs
    assert job.prefix == "import math\n\n%%time\ntotal = 1\n\nx = "
    assert job.suffix == ""
    # What is before the cursor already is not shown once more; what comes later may help.
    assert "import math" not in "".join(one.text for one in job.snippets)


async def test_the_first_cell_has_nothing_before_it(notebook):
    await suggested(notebook, "a", 1, 0)
    [job] = notebook.engine.jobs
    assert (job.prefix, job.suffix) == ("import math\n", "")


async def test_the_model_is_told_of_a_script_and_not_of_json(notebook):
    await suggested(notebook, "f", 0, 4)
    assert notebook.engine.jobs[0].path == "cart.py"


async def test_a_rewrite_sees_them_as_well_and_its_edit_is_of_the_cell(notebook):
    notebook.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 9}}
    command = {"command": "dg-lsp.rewrite", "arguments": [{"uri": uri("g"), "range": span}]}
    await notebook.ask("workspace/executeCommand", command)

    [job] = notebook.engine.jobs
    assert job.prefix.endswith("total = 1\n\nx =\n\n") or job.prefix.endswith("x = \n\n")
    assert job.replaced == "later = 2"
    [params] = notebook.told("workspace/applyEdit")
    [edit] = params["edit"]["changes"][uri("g")]
    assert edit["range"]["start"]["line"] == 0


async def test_cells_are_edited_added_removed_and_moved(notebook):
    edit = {
        "range": {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 11}}
    }
    identifier = {"uri": uri("a"), "version": 2}
    change(
        notebook,
        {"textContent": [{"document": identifier, "changes": [{**edit, "text": "json"}]}]},
    )
    # The last cell goes to the top, and a new one takes the place of two.
    change(notebook, {"structure": {"array": {"start": 6, "deleteCount": 1}}})
    array = {"start": 0, "deleteCount": 0, "cells": [cell("g")]}
    change(notebook, {"structure": {"array": array}})
    array = {"start": 4, "deleteCount": 2, "cells": [cell("h")]}
    closed = [{"uri": uri("d")}, {"uri": uri("e")}]
    opened = {"didOpen": [item("h", "new = 3\n")], "didClose": closed}
    change(notebook, {"structure": {"array": array, **opened}})
    await suggested(notebook, "f", 0, 4)

    [job] = notebook.engine.jobs
    assert job.prefix == "later = 2\n\nimport json\n\nnew = 3\n\nx = "
    assert notebook.session.documents.get(uri("e")) is None


async def test_a_cell_that_becomes_text_is_none_of_them(notebook):
    change(notebook, {"data": [cell("a", TEXT)]})
    await suggested(notebook, "f", 0, 4)
    assert notebook.engine.jobs[0].prefix == "%%time\ntotal = 1\n\nx = "


async def test_they_are_bounded_and_whole_the_nearest_first(make_editor):
    settings = Settings(debounce_ms=0, context=ContextSettings(budget_chars=600))
    editor = make_editor(settings=settings)
    await editor.begin(CAPABLE)
    cells = [(f"c{n}", f"value_{n} = '{'v' * 200}'\n", "python", CODE) for n in range(9)]
    open_notebook(editor, [*cells, ("f", "x = ", "python", CODE)])
    await suggested(editor, "f", 0, 4)

    [job] = editor.engine.jobs
    assert len(job.prefix) < 600
    assert "value_8" in job.prefix
    texts = [Document(uri(name), "python", 1, text) for name, text, *_ in cells]
    assert joined(texts, 500) == f"{cells[-2][1]}\n{cells[-1][1]}\n"
    assert joined(texts, 10) == ""


async def test_secrets_in_earlier_cells_are_not_shown(make_editor):
    editor = make_editor()
    await editor.begin(CAPABLE)
    secret = "ghp_0123456789abcdefghij0123456789abcdef"
    cells = [("a", f"token = '{secret}'\n", "python", CODE), ("f", "x = ", "python", CODE)]
    open_notebook(editor, cells)
    assert await suggested(editor, "f", 0, 4) == ["1"]
    [job] = editor.engine.jobs
    assert "token = " in job.prefix
    assert secret not in job.prefix


async def test_nothing_comes_by_itself_in_a_text_cell(notebook):
    assert await suggested(notebook, "b", 1, 0) == []
    assert notebook.engine.jobs == []
    assert await suggested(notebook, "b", 1, 0, kind=1) == ["infilled"]


async def test_unless_the_settings_name_its_language(make_editor):
    editor = make_editor(
        settings=Settings(debounce_ms=0, languages={"*": True, "markdown": True})
    )
    await editor.begin(CAPABLE)
    open_notebook(editor)
    assert await suggested(editor, "b", 1, 0) == ["infilled"]


async def test_a_markdown_file_is_no_text_cell(make_editor):
    editor = make_editor()
    await editor.begin(CAPABLE)
    editor.open("# Carts\n", language="markdown")
    assert await editor.texts(1, 0) == ["infilled"]


async def test_a_closed_notebook_is_forgotten(notebook):
    cells = [{"uri": uri(name)} for name, *_ in CELLS]
    params = {"notebookDocument": {"uri": NOTEBOOK}, "cellTextDocuments": cells}
    notebook.notify("notebookDocument/didClose", params)
    assert await suggested(notebook, "f", 0, 4) == []
    # A client that opens a cell by itself later has it completed by itself.
    notebook.open("x = ", uri=uri("f"))
    assert await suggested(notebook, "f", 0, 4) == ["1"]
    assert notebook.engine.jobs[-1].prefix == "x = "


@pytest.mark.parametrize(
    "cells",
    [
        {"structure": {"array": {"start": None, "deleteCount": 1}}},
        {"textContent": [{"document": {"uri": 7}, "changes": []}]},
        {"structure": 7},
    ],
)
async def test_a_change_that_cannot_be_read_costs_this_notebook_alone(notebook, cells):
    notebook.open("x = ")
    change(notebook, cells)
    assert await notebook.texts(0, 4) == ["1"]
    assert await suggested(notebook, "f", 0, 4) == []
    open_notebook(notebook)
    assert await suggested(notebook, "f", 0, 4) == ["1"]


async def test_an_odd_part_that_decides_nothing_costs_no_change(notebook):
    odd = {**cell("a", TEXT), "metadata": 7, "executionSummary": {"executionOrder": -1}}
    change(notebook, {"data": [odd]})
    await suggested(notebook, "f", 0, 4)
    assert notebook.engine.jobs[0].prefix == "%%time\ntotal = 1\n\nx = "


async def test_a_change_of_a_notebook_that_is_not_open_is_ignored(editor):
    change(editor, {"structure": {"array": {"start": 0, "deleteCount": 3}}})
    editor.open("x = ")
    assert await editor.texts(0, 4) == ["1"]
