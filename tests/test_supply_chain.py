"""The lock file, its audit, and the list and the sums of what is shipped."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PINS = {"h11": "0.16.0", "anyio": "4.0.0"}


@pytest.fixture(scope="module")
def chain():
    spec = importlib.util.spec_from_file_location("chain", ROOT / ".ci" / "supply_chain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_has_all_that_the_project_needs(chain):
    pins = chain.read_lock()
    needed = {re.match(r"[\w.-]+", line)[0] for line in chain.direct_needs()}

    assert {name.lower().replace("_", "-").replace(".", "-") for name in needed} <= set(pins)
    # What those need in turn.
    assert {"anyio", "huggingface-hub", "regex"} & set(pins)
    assert all(re.fullmatch(r"\d[\w.]*", version) for version in pins.values())
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        assert not version or pins.get(name, version) == version


def test_a_known_vulnerability_fails_the_audit(chain, capsys):
    def fetch(url: str):
        ours = {"id": "PYSEC-1", "fixed_in": ["0.16.1"]}
        withdrawn = {"id": "PYSEC-2", "fixed_in": [], "withdrawn": "2026-01-01"}
        return {"vulnerabilities": [ours, withdrawn] if "/h11/0.16.0/" in url else []}

    assert chain.audit({"PyPI": lambda: chain.audit_python(PINS, fetch)}) == 1
    said = capsys.readouterr().out
    assert "h11 0.16.0: PYSEC-1, mended in 0.16.1" in said
    assert "PYSEC-2" not in said
    assert chain.audit({"PyPI": lambda: chain.audit_python({"anyio": "4.0.0"}, fetch)}) == 0
    assert "no known vulnerabilities" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [None, {}, {"message": "not found"}])
def test_a_service_that_does_not_answer_is_told_and_fails_nothing(chain, capsys, answer):
    def fetch(url: str):
        if answer is None:
            raise chain.UnreachableError("timed out")
        return answer

    assert chain.audit({"PyPI": lambda: chain.audit_python(PINS, fetch)}) == 0
    said = capsys.readouterr().out
    assert "NOT AUDITED" in said
    assert "no known vulnerabilities" not in said


def test_the_list_names_everything_once_by_its_address(chain):
    found = chain.sbom(chain.read_lock(), chain.npm_packages())
    refs = [one["bom-ref"] for one in found["components"]]

    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    assert len(refs) == len(set(refs))
    assert set(found["dependencies"][0]["dependsOn"]) == set(refs)
    assert any(ref.startswith("pkg:pypi/torch@") for ref in refs)
    assert any(ref.startswith("pkg:npm/vscode-languageclient@") for ref in refs)
    # Tools of development are not shipped.
    assert not any(ref.startswith(("pkg:pypi/pytest@", "pkg:npm/typescript@")) for ref in refs)
    assert found["metadata"]["component"]["version"] == "0.1.0"
    assert json.dumps(found) == json.dumps(chain.sbom(chain.read_lock(), chain.npm_packages()))


def test_sums_are_those_of_the_files(chain, tmp_path):
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    lines = chain.checksums([tmp_path / "b", tmp_path / "a"], tmp_path).splitlines()

    assert lines == [
        f"{hashlib.sha256(content).hexdigest()}  {name}"
        for name, content in (("a", b"one"), ("b", b"two"))
    ]
