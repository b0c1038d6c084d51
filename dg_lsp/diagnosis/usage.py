"""Summarizes what became of suggestions, by language and model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

COUNTS = ("shown", "accepted", "partly", "kept", "changed", "chars")
MOST_ROWS = 50
OTHER = "other"
KNOWN_LANGUAGES = frozenset(
    (
        *("bat", "bibtex", "c", "clojure", "coffeescript", "cpp", "csharp", "css", "dart"),
        *("diff", "dockerfile", "elixir", "erlang", "fsharp", "go", "groovy", "haskell"),
        *("html", "ini", "java", "javascript", "javascriptreact", "json", "jsonc", "julia"),
        *("kotlin", "latex", "less", "lua", "makefile", "markdown", "objective-c", "ocaml"),
        *("perl", "php", "plaintext", "powershell", "python", "r", "ruby", "rust", "scala"),
        *("scss", "shellscript", "sql", "swift", "tex", "toml", "typescript"),
        *("typescriptreact", "vue", "xml", "yaml", "zig"),
    )
)
"""LSP's language ids; another one may be the user's own."""


def summarize(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each language and model, the most shown first; the rest in a last row."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for record in records:
        key = str(record.get("language", "")), str(record.get("model", ""))
        row = rows.setdefault(key, Counter())
        event, chars = record.get("event"), record.get("chars")
        if event in COUNTS:
            row[event] += 1
        elif event == "completed":
            # It was counted as accepted in part before.
            row["accepted"] += 1
            row["partly"] -= 1
        if event in ("accepted", "completed", "partly") and isinstance(chars, int):
            row["chars"] += chars
    ordered = sorted(rows.items(), key=lambda item: (-item[1]["shown"], item[0]))
    if len(ordered) > MOST_ROWS:
        rest = sum((row for _, row in ordered[MOST_ROWS:]), Counter())
        ordered = [*ordered[:MOST_ROWS], ((OTHER, OTHER), rest)]
    return [
        {
            "language": language,
            "model": model,
            **{name: max(0, row[name]) for name in COUNTS},
        }
        for (language, model), row in ordered
    ]


def anonymous(
    records: Iterable[Mapping[str, Any]], models: frozenset[str]
) -> list[dict[str, Any]]:
    """The same without names that the user may have invented."""
    return summarize(
        {
            **record,
            "language": _public(record.get("language"), KNOWN_LANGUAGES),
            "model": _public(record.get("model"), models),
        }
        for record in records
    )


def as_markdown(rows: Iterable[Mapping[str, Any]], version: str) -> str:
    """A table for an issue."""
    lines = [
        f"dg-lsp {version}",
        "",
        "| language | model | shown | accepted | partly | kept after 30 s | characters |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['language']} | {row['model']} | {row['shown']} | {accepted(row)} "
        f"| {row['partly']} | {kept(row)} | {row['chars']} |"
        for row in rows
    ]
    return "\n".join(lines)


def accepted(row: Mapping[str, Any]) -> str:
    """Accepted suggestions, and their share of those shown."""
    share = row["accepted"] / row["shown"] if row["shown"] else 0.0
    return f"{row['accepted']} ({share:.0%})"


def kept(row: Mapping[str, Any]) -> str:
    """How many accepted texts were still there, of those that were looked at again."""
    return f"{row['kept']} of {row['kept'] + row['changed']}"


def _public(name: object, known: frozenset[str]) -> str:
    return name if isinstance(name, str) and name in known else OTHER
