"""The code of the workspace and of open files, indexed in the background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dg_lsp.document.seeds import find_seeds
from dg_lsp.job import Seed, SeedOrigin
from dg_lsp.server.workspace import workspace_code
from dg_lsp.server.workspace.workspace_code import OpenFile, WorkspaceCode

PATIENCE_S = 30.0
HERE = ("(y)\nplonk = ", "\n")


@pytest.fixture
def code() -> Iterator[WorkspaceCode]:
    code = WorkspaceCode(pause_share=0.0, quiet_s=0.0, walk_every_s=0.0)
    yield code
    code.close()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def seeds(
    code: WorkspaceCode,
    folders: Sequence[Path],
    own: Path | None = None,
    open_files: Sequence[OpenFile] = (),
    exclude: Sequence[str] = (),
) -> list[Seed]:
    """What is found once all is indexed."""

    def elsewhere() -> Sequence[workspace_code.Elsewhere]:
        names = [str(folder) for folder in folders]
        return code.elsewhere(str(own or "none.py"), open_files, names, exclude)

    elsewhere()
    assert code.wait_until_idle(PATIENCE_S)
    return [*find_seeds(*HERE, elsewhere(), limit=8)]


def texts(found: Sequence[Seed]) -> list[str]:
    return [seed.text for seed in found]


def test_a_made_up_vocabulary_is_found_at_once(code: WorkspaceCode, tmp_path: Path) -> None:
    write(tmp_path, {"lib/a.py": "plonk = frobnicate(wibble)\n"})
    (seed,) = seeds(code, [tmp_path])
    assert (seed.text, seed.origin) == ("frobnicate(wibble)", SeedOrigin.WORKSPACE)
    assert seed.path == str(tmp_path.resolve() / "lib" / "a.py")


def test_the_document_itself_is_left_out(code: WorkspaceCode, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "plonk = frobnicate(wibble)\n"})
    assert seeds(code, [tmp_path], own=tmp_path.resolve() / "a.py") == []


def test_an_open_file_is_looked_in_as_the_editor_has_it(
    code: WorkspaceCode, tmp_path: Path
) -> None:
    write(tmp_path, {"a.py": "plonk = old(1)\n"})
    path = str(tmp_path.resolve() / "a.py")
    (seed,) = seeds(code, [tmp_path], open_files=[OpenFile("a", path, "plonk = new(2)\n")])
    assert (seed.text, seed.origin, seed.path) == ("new(2)", SeedOrigin.OPEN_FILE, path)
    (seed,) = seeds(code, [tmp_path], open_files=[OpenFile("a", path, "plonk = newer(3)\n")])
    assert seed.text == "newer(3)"


def test_secrets_of_open_files_are_masked(code: WorkspaceCode, tmp_path: Path) -> None:
    secret = 'plonk = "ghp_' + "a1B2" * 9 + '"\n'
    assert seeds(code, [], open_files=[OpenFile("a", str(tmp_path / "a.py"), secret)]) == []


@pytest.mark.parametrize(
    "name", [".env", "id_rsa", "ignored.py", "named.py", "node_modules/x/a.js", "secret/a.py"]
)
def test_what_is_excluded_never_comes_back(
    code: WorkspaceCode, tmp_path: Path, name: str
) -> None:
    write(tmp_path, {name: "plonk = frobnicate(wibble)\n", "b.py": "other = 1\n"})
    write(tmp_path, {".gitignore": "ignored.py\nsecret/\n"})
    assert seeds(code, [tmp_path], exclude=["named.py"]) == []


def test_another_workspace_never_comes_back(code: WorkspaceCode, tmp_path: Path) -> None:
    write(tmp_path, {"one/a.py": "plonk = theirs(1)\n", "two/a.py": "plonk = ours(2)\n"})
    assert texts(seeds(code, [tmp_path / "one"])) == ["theirs(1)"]
    assert texts(seeds(code, [tmp_path / "two"])) == ["ours(2)"]
    assert seeds(code, []) == []


def test_a_glob_counts_from_the_next_lookup_on(code: WorkspaceCode, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "plonk = frobnicate(wibble)\n"})
    assert texts(seeds(code, [tmp_path])) == ["frobnicate(wibble)"]
    names = [str(tmp_path)]
    assert find_seeds(*HERE, code.elsewhere("none.py", [], names, ["a.py"])) == ()


def test_changed_new_and_deleted_files(code: WorkspaceCode, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "plonk = old(1)\n", "b.py": "plonk = gone(2)\n"})
    assert sorted(texts(seeds(code, [tmp_path]))) == ["gone(2)", "old(1)"]
    (tmp_path / "b.py").unlink()
    write(tmp_path, {"a.py": "plonk = changed(1)\n", "c.py": "plonk = fresh(3)\n"})
    assert sorted(texts(seeds(code, [tmp_path]))) == ["changed(1)", "fresh(3)"]


def test_a_file_that_is_ignored_from_now_on_goes(code: WorkspaceCode, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "plonk = frobnicate(wibble)\n"})
    assert seeds(code, [tmp_path])
    write(tmp_path, {".gitignore": "a.py\n"})
    assert seeds(code, [tmp_path]) == []


@pytest.mark.parametrize(
    ("bound", "value"), [("MAX_FILES", 5), ("MAX_DIRECTORIES", 5), ("MAX_CHARS", 150)]
)
def test_a_huge_workspace_is_indexed_in_part(
    code: WorkspaceCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bound: str,
    value: int,
) -> None:
    write(tmp_path, {f"{n}/a.py": f"plonk_{n} = frobnicate({n})\n" for n in range(20)})
    monkeypatch.setattr(workspace_code, bound, value)
    with caplog.at_level("INFO"):
        seeds(code, [tmp_path], own=tmp_path.resolve() / "7" / "b.py")
    (message,) = [record.getMessage() for record in caplog.records]
    assert str(value) in message
    paths = [
        path
        for shelf in code.elsewhere("x", [], [str(tmp_path)], [])
        for path in shelf.index.paths
    ]
    assert 0 < len(paths) < 20
    # Near the document first.
    assert str(tmp_path.resolve() / "7" / "a.py") in paths


def test_a_folder_that_is_not_there(code: WorkspaceCode, tmp_path: Path) -> None:
    assert seeds(code, [tmp_path / "missing"]) == []


def test_nothing_is_read_while_somebody_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {f"{n}.py": f"plonk = frobnicate({n})\n" for n in range(5)})
    monkeypatch.setattr(workspace_code, "MAX_WAIT_S", PATIENCE_S)
    code = WorkspaceCode(pause_share=0.0, quiet_s=PATIENCE_S)
    names = [str(tmp_path)]
    code.elsewhere("none.py", [], names, [])
    assert not code.wait_until_idle(0.2)
    assert code.elsewhere("none.py", [], names, []) == []
    code.close()


def test_it_is_read_all_the_same_where_somebody_types_on_and_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.py": "plonk = frobnicate(1)\n"})
    monkeypatch.setattr(workspace_code, "MAX_WAIT_S", 0.01)
    code = WorkspaceCode(pause_share=0.0, quiet_s=PATIENCE_S)
    names = [str(tmp_path)]
    code.elsewhere("none.py", [], names, [])
    assert code.wait_until_idle(PATIENCE_S)
    assert len(code.elsewhere("none.py", [], names, [])) == 1
    code.close()
