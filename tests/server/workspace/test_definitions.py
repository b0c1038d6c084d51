"""What open and imported files define, read in the background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dg_lsp.document.definitions import definitions_near
from dg_lsp.server.workspace.definitions import Place, WorkspaceDefinitions
from dg_lsp.server.workspace.documents import Document

PATIENCE_S = 30.0
CART = "def add_item(item):\n    return item\n"
HERE = "from shop.cart import add_item\n\n"


@pytest.fixture
def definitions() -> Iterator[WorkspaceDefinitions]:
    definitions = WorkspaceDefinitions()
    yield definitions
    definitions.close()


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class Window:
    """An editor in which main.py is written, line by line."""

    def __init__(self, definitions: WorkspaceDefinitions, root: Path) -> None:
        self.definitions, self.root = definitions, root
        self.above = HERE
        self.open_files: list[Document] = []

    def shown(self, exclude: Sequence[str] = (), folders: Sequence[str] | None = None):
        """Paths and texts of the snippets at the place of the cursor."""
        place = Place((self.root / "main.py").as_uri(), "python", self.above, "")
        folders = [str(self.root)] if folders is None else folders
        known = self.definitions.known(place, self.open_files, folders, exclude)
        self.definitions.wait_until_idle(PATIENCE_S)
        files = [file for _, file in known]
        found = definitions_near(self.above, "", files, 9_999, "main.py")
        return {snippet.path: snippet.text for snippet in found}

    def next_line(self, line: str = "add_item(1)\n", **asked):
        self.above += line
        return self.shown(**asked)


@pytest.fixture
def window(definitions, tmp_path: Path) -> Window:
    write(tmp_path, "shop/cart.py", CART)
    return Window(definitions, tmp_path)


def test_an_imported_file_is_there_in_the_next_line_but_changes_nothing_in_this(window) -> None:
    assert window.shown() == {}
    assert window.shown() == {}
    assert window.next_line() == {"shop/cart.py": CART}


def test_an_open_file_is_shown_as_it_is_in_the_editor(window) -> None:
    text = "def add_item(item, count):\n    pass\n"
    uri = (window.root / "shop" / "cart.py").as_uri()
    window.open_files = [Document(uri, "python", 1, text)]
    window.shown()
    assert window.next_line() == {"shop/cart.py": text}

    # It is edited, and one is in another line again.
    newer = "def add_item(anything):\n    pass\n"
    window.open_files = [Document(uri, "python", 2, newer)]
    window.next_line()
    assert window.next_line() == {"shop/cart.py": newer}


def test_a_file_that_has_changed_on_the_disk_is_read_again(window) -> None:
    window.shown()
    newer = "def add_item(anything_else):\n    pass\n"
    write(window.root, "shop/cart.py", newer)
    window.next_line()
    assert window.next_line() == {"shop/cart.py": newer}
    (window.root / "shop" / "cart.py").unlink()
    window.next_line()
    assert window.next_line() == {}


def test_excluded_files_are_never_read(window, monkeypatch) -> None:
    window.shown(exclude=["cart.py"])
    assert window.next_line(exclude=["cart.py"]) == {}

    write(window.root, ".gitignore", "shop/\n")
    window.next_line()
    assert window.next_line() == {}
    assert not window.definitions._kept


def test_files_outside_the_workspace_are_not_read(window) -> None:
    inner = window.root / "inner"
    inner.mkdir()
    (inner / "shop").symlink_to(window.root / "shop")
    window.root = inner
    window.shown()
    assert window.next_line() == {}
    assert window.next_line(folders=[]) == {}


def test_secrets_are_masked(window) -> None:
    secret = "tiger#1942-Qx7"
    text = f'def add_item(item, password="{secret}"):\n    pass\n'
    write(window.root, "shop/cart.py", text)
    window.open_files = [Document("file:///b.py", "python", 1, text.replace("add", "drop"))]
    window.shown()
    shown = window.next_line("add_item(drop_item(1))\n")
    assert set(shown) == {"shop/cart.py", "/b.py"}
    assert not any(secret in text for text in shown.values())


def test_what_is_kept_is_bounded(window, monkeypatch) -> None:
    monkeypatch.setattr("dg_lsp.server.workspace.definitions.MOST_KEPT", 3)
    for number in range(9):
        uri = f"file:///{number}.py"
        window.open_files = [Document(uri, "python", 1, CART)]
        window.next_line()
    assert len(window.definitions._kept) <= 3
