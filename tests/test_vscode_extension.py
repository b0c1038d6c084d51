"""What the VS Code extension has in common with the server has one source."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path

from dg_lsp import __version__

ROOT = Path(__file__).parent.parent
EXTENSION = ROOT / "vscode-extension"


def test_the_settings_are_those_of_the_server() -> None:
    spec = importlib.util.spec_from_file_location("settings", EXTENSION / "scripts/settings.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    package = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))

    assert package["contributes"]["configuration"] == script.configuration(), (
        "run vscode-extension/scripts/settings.py"
    )


def test_every_setting_says_who_may_set_it_and_what_its_choices_mean() -> None:
    package = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    properties = package["contributes"]["configuration"]["properties"]
    for name, entry in properties.items():
        assert entry["scope"], name
        assert entry["markdownDescription"].endswith("."), name
        assert len(entry.get("enumDescriptions", [])) == len(entry.get("enum", [])), name
    restricted = package["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]
    assert set(restricted) <= set(properties)


def test_the_version_is_that_of_the_server_that_it_carries() -> None:
    package = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    assert package["version"] == __version__


def test_every_picture_of_the_walkthrough_is_there() -> None:
    package = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    [walkthrough] = package["contributes"]["walkthroughs"]
    for step in walkthrough["steps"]:
        [file] = [
            step["media"][kind] for kind in ("image", "markdown") if kind in step["media"]
        ]
        assert (EXTENSION / file).is_file(), file


def test_every_picture_of_the_documents_is_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = {ROOT / name for name in listed.stdout.split("\0")}
    documents = [ROOT / "README.md", EXTENSION / "README.md", *(ROOT / "docs").glob("*.md")]
    for document in documents:
        for link in re.findall(
            r"!\[[^\]]*\]\(([^):]+)\)", document.read_text(encoding="utf-8")
        ):
            assert (document.parent / link).resolve() in tracked, f"{link} in {document}"


def test_the_licence_is_the_licence() -> None:
    assert (EXTENSION / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (EXTENSION / "package-lock.json").read_text(encoding="utf-8")
