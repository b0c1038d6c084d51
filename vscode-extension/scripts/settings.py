"""Generates the settings in package.json from the server's.

Run it after changing dg_lsp/server/settings.py; a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dg_lsp.server.settings import SECTION, json_schema

PACKAGE = Path(__file__).parent.parent / "package.json"

MACHINE = {
    "engine.address",
    "engine.token",
    "engine.tokenFile",
    "engine.fingerprint",
    "engine.backendModel",
    "engine.model",
    "engine.device",
}
"""Settings of the machine, which a folder must not change: they say what runs, and where the
user's text is sent."""

WORDS = {
    "trigger": ["While you type.", "Only on request: Alt+\\\\ or the command *Suggest Here*."],
    "multiLine": [
        "If the code around the cursor leaves room for them.",
        "At most one line.",
        "Whenever the model writes several.",
    ],
    "speculate": ["Always.", "Not on battery, and not with an engine elsewhere.", "Never."],
    "nextEdits": [
        "Nothing.",
        "Uses of what you have renamed, and arguments of a removed parameter.",
        "Also arguments for a new parameter, and lines like the one you have changed.",
    ],
    "trace": ["Nothing.", "Sizes and times.", "The text as well, without secrets."],
}
"""What the values of each enum mean, in order."""

OWN: dict[str, dict[str, Any]] = {
    "server.path": {
        "type": "string",
        "default": "",
        "scope": "machine-overridable",
        "markdownDescription": "Absolute path of the program `dg-lsp`. If empty, the extension "
        "looks in the selected Python environment, in an environment in the folder, on the "
        "PATH and where uv and pipx put programs, and then uses the server that it installed.",
    },
    "server.installFrom": {
        "type": "string",
        "default": "",
        "scope": "machine-overridable",
        "markdownDescription": "What pip installs into the extension's own environment: a "
        "requirement, a wheel or a directory. If empty, the server that comes with the "
        "extension.",
    },
    "drafts.show": {
        "type": "string",
        "default": "auto",
        "enum": ["auto", "on", "off"],
        "enumDescriptions": [
            "Unless the editor is set up for a screen reader.",
            "Always.",
            "Never: a suggestion appears when it has settled.",
        ],
        "scope": "window",
        "markdownDescription": "Whether a suggestion is shown while it comes into focus.",
    },
    "doubt.show": {
        "type": "boolean",
        "default": False,
        "scope": "window",
        "markdownDescription": "Whether the parts of an accepted text that the model is unsure "
        "of are underlined, until they are edited, for a minute at most.",
    },
}
"""Settings that only the extension has."""


def configuration() -> dict[str, Any]:
    """The contribution point `configuration`."""
    settings = {**dict(_of_server(json_schema(), "")), **OWN}
    return {
        "title": "dg-lsp",
        "properties": {f"{SECTION}.{name}": entry for name, entry in settings.items()},
    }


def _of_server(section: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in section["properties"].items():
        if "properties" in schema:
            yield from _of_server(schema, f"{path}{name}.")
            continue
        full = path + name
        entry = {key: value for key, value in schema.items() if key != "description"}
        entry["scope"] = "machine" if full in MACHINE else "window"
        entry["markdownDescription"] = schema["description"]
        if "enum" in schema and full in WORDS:
            entry["enumDescriptions"] = WORDS[full]
        yield full, entry


def main() -> None:
    package = json.loads(PACKAGE.read_text(encoding="utf-8"))
    package["contributes"]["configuration"] = configuration()
    text = json.dumps(package, indent=2, ensure_ascii=False)
    PACKAGE.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
