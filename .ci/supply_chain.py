"""What dg-lsp is made of: locks the versions, audits and lists them, and sums what is shipped.

    supply_chain.py lock        writes requirements.lock from the packages that are installed
    supply_chain.py audit       asks PyPI and npm for known vulnerabilities of what is locked
    supply_chain.py sbom        writes dist/sbom.cdx.json, a CycloneDX list of what is locked
    supply_chain.py checksums   writes dist/SHA256SUMS of the wheel, the extension and the model

Standard library only, apart from `packaging`, which pip's own metadata needs.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK, NPM_LOCK = ROOT / "requirements.lock", ROOT / "vscode-extension" / "package-lock.json"
DIST, BUNDLED = ROOT / "dist", ROOT / "dg_lsp" / "models" / "bundled"
PYPI = "https://pypi.org/pypi/{name}/{version}/json"
FETCH_S = 10.0
Fetch = Callable[[str], dict[str, Any]]


class UnreachableError(Exception):
    """A service that knows of vulnerabilities did not answer."""


def direct_needs() -> list[str]:
    """What `pyproject.toml` says that a user's installation needs, also that with a GPU."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["cuda"]]


def installed_closure() -> dict[str, str]:
    """Every package that a user's installation has, with its version."""
    found: dict[str, str] = {}
    needs = [(line, frozenset({""})) for line in direct_needs()]
    while needs:
        line, extras = needs.pop()
        needed = Requirement(line)
        if needed.marker and not any(needed.marker.evaluate({"extra": one}) for one in extras):
            continue
        name = canonicalize_name(needed.name)
        if name not in found:
            # A local part, such as +cpu, names a build of the same version.
            found[name] = metadata.version(name).partition("+")[0]
            own = frozenset({"", *needed.extras})
            needs += [(each, own) for each in metadata.requires(name) or ()]
    return dict(sorted(found.items()))


def read_lock(path: Path = LOCK) -> dict[str, str]:
    """Versions by name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name: version for name, version in pins}


def npm_packages(path: Path = NPM_LOCK) -> dict[str, str]:
    """What the extension ships; tools of its development are left out."""
    listed = json.loads(path.read_text(encoding="utf-8"))["packages"]
    return {
        place.rpartition("node_modules/")[2]: entry["version"]
        for place, entry in sorted(listed.items())
        if place and not entry.get("dev")
    }


def fetch_json(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=FETCH_S) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{url}: {error}") from error
    return found


def audit_python(pins: dict[str, str], fetch: Fetch = fetch_json) -> Iterator[str]:
    """A line for each known vulnerability; `UnreachableError` where PyPI does not tell."""
    for name, version in pins.items():
        said = fetch(PYPI.format(name=name, version=version))
        if "vulnerabilities" not in said:
            raise UnreachableError(f"PyPI says nothing about vulnerabilities of {name}")
        for one in said["vulnerabilities"]:
            if not one.get("withdrawn"):
                fixed = ", ".join(one.get("fixed_in") or ()) or "no version"
                yield f"{name} {version}: {one['id']}, mended in {fixed}"


def audit_npm(directory: Path = NPM_LOCK.parent) -> Iterator[str]:
    """The same for the extension."""
    try:
        done = subprocess.run(
            ["npm", "audit", "--json", "--omit=dev"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UnreachableError(f"npm audit: {error}") from error
    if "vulnerabilities" not in said:
        raise UnreachableError(f"npm audit: {said.get('message', 'no answer')}")
    for name, one in said["vulnerabilities"].items():
        yield f"{name} {one['range']}: {one['severity']}"


def audit(services: dict[str, Callable[[], Iterator[str]]]) -> int:
    """Tell what is known; the exit status is 1 only if something is.

    A service that does not answer is told and does not fail: nothing is known about it.
    """
    status = 0
    for name, look in services.items():
        try:
            found = [*look()]
        except UnreachableError as error:
            print(f"{name}: NOT AUDITED, the service does not answer ({error})")
            continue
        for line in found:
            print(f"{name}: {line}")
        print(f"{name}: {len(found) or 'no'} known vulnerabilities")
        status = status or int(bool(found))
    return status


def sbom(pins: dict[str, str], packages: dict[str, str]) -> dict[str, Any]:
    """The list in CycloneDX 1.5, in a fixed order and without a time, so that it can be
    compared."""
    version = re.search(
        r'__version__ = "([^"]+)"', (ROOT / "dg_lsp" / "__init__.py").read_text("utf-8")
    )
    kinds = (("pypi", pins), ("npm", packages))
    components = [
        {
            "type": "library",
            "name": name,
            "version": number,
            "bom-ref": f"pkg:{kind}/{name.replace('@', '%40')}@{number}",
            "purl": f"pkg:{kind}/{name.replace('@', '%40')}@{number}",
        }
        for kind, pinned in kinds
        for name, number in pinned.items()
    ]
    sums = dict(
        line.split()[::-1] for line in (BUNDLED / "SHA256SUMS").read_text().splitlines()
    )
    model = {
        "type": "machine-learning-model",
        "name": "bundled",
        "bom-ref": "dg-lsp/bundled",
        "hashes": [{"alg": "SHA-256", "content": sums["model.safetensors"]}],
    }
    root = {
        "type": "application",
        "name": "dg-lsp",
        "bom-ref": "dg-lsp",
        "version": version[1] if version else "0",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": root},
        "components": [*components, model],
        "dependencies": [
            {"ref": "dg-lsp", "dependsOn": [one["bom-ref"] for one in [*components, model]]}
        ],
    }


def checksums(paths: list[Path], root: Path = ROOT) -> str:
    """Lines as `sha256sum --check` reads them, with names relative to the root."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n"
        for path in sorted(paths)
    )


def main(command: str) -> int:
    DIST.mkdir(exist_ok=True)
    if command == "lock":
        pins = "".join(f"{name}=={number}\n" for name, number in installed_closure().items())
        head = "# What a user's installation had when the tests ran; `make lock` writes it.\n"
        LOCK.write_text(head + pins, encoding="utf-8")
    elif command == "audit":
        return audit({"PyPI": lambda: audit_python(read_lock()), "npm": audit_npm})
    elif command == "sbom":
        text = json.dumps(sbom(read_lock(), npm_packages()), indent=1)
        (DIST / "sbom.cdx.json").write_text(text + "\n", encoding="utf-8")
    elif command == "checksums":
        shipped = [*DIST.glob("*.whl"), *DIST.glob("*.cdx.json"), *BUNDLED.glob("*.*")]
        shipped += [*(ROOT / "vscode-extension").rglob("dist/*.vsix")]
        (DIST / "SHA256SUMS").write_text(checksums(shipped), encoding="utf-8")
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
