"""What a user can set in the editor: the section `dgLsp`.

The dataclasses are the one place where a setting exists. What `parse` accepts, the JSON schema
and the table in docs/settings.md come from them, by way of section.py. Where values come from
(initializationOptions, workspace/configuration) and what they change is up to the callers.
Knows nothing of LSP.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dg_lsp.server.settings_schema import about, parse_settings, settings_schema, settings_table

SECTION = "dgLsp"
MODEL = r"^$|^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$|^(~?[/\\]|[A-Za-z]:[/\\])"
"""A relative path would mean another model in each project that is opened."""
ADDRESS = r"^$|^https?://[^\s/@]+(/\S*)?$|^(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}$"


class Trigger(enum.Enum):
    """When a completion is computed."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class MultiLine(enum.Enum):
    """Whether a completion may run over several lines."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class TraceDetail(enum.Enum):
    """What is kept of a request for `dg-lsp trace`."""

    OFF = "off"
    SIZES = "sizes"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What the model sees besides the text around the cursor."""

    budget_chars: int = field(
        default=24_000,
        metadata=about(
            "Characters of the document and of related files that are shown to the model, "
            "altogether. The model's own limit in tokens holds as well.",
            minimum=500,
            maximum=1_000_000,
        ),
    )
    related_files: bool = field(
        default=True,
        metadata=about(
            "Whether open and recently edited files are shown where they are similar."
        ),
    )


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """The process that holds the model."""

    address: str = field(
        default="",
        metadata=about(
            "HOST:PORT or http(s) URL of an engine that runs elsewhere. Empty: the engine of "
            "this machine, which is started when it is needed.",
            needs="HOST:PORT or an http(s) URL without a password",
            secret=True,
            pattern=ADDRESS,
        ),
    )
    token: str = field(
        default="",
        repr=False,
        metadata=about(
            "What the engine at `address` asks for as a bearer token.",
            needs="a string without spaces",
            secret=True,
            pattern=r"^\S*$",
        ),
    )
    model: str = field(
        default="",
        metadata=about(
            "Name of a model (`dg-lsp models`), `bundled`, or the directory of a checkpoint as "
            "an absolute path or one that starts with `~/`. Empty: the best here.",
            needs="the name of a model, or an absolute path (~/ is your home directory)",
            pattern=MODEL,
        ),
    )
    device: str = field(
        default="",
        metadata=about(
            "`cuda`, `cuda:1`, `cpu`. Empty: the GPU where there is one.",
            needs="cpu, cuda or cuda:N",
            pattern=r"^$|^cpu$|^cuda(:\d+)?$",
        ),
    )
    idle_minutes: float = field(
        default=30.0,
        metadata=about(
            "After so many minutes without a request the model gives its memory back. "
            "0: it never does.",
            minimum=0,
            maximum=10_080,
        ),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `dgLsp`."""

    enable: bool = field(default=True, metadata=about("Whether anything is offered at all."))
    languages: Mapping[str, bool] = field(
        default_factory=lambda: types.MappingProxyType({"*": True}),
        metadata=about(
            'By LSP language id, whether completions are offered; `"*"` stands for all others.'
        ),
    )
    include: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Globs of the files that are completed, in the syntax of .gitignore. "
            "Empty: every file that is not excluded."
        ),
    )
    exclude: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Globs of files that are neither completed nor shown to the model, besides what "
            ".gitignore excludes and what looks like secrets. A glob that starts with `!` and "
            "names a file lets it in again."
        ),
    )
    trigger: Trigger = field(
        default=Trigger.AUTOMATIC,
        metadata=about("Whether completions come while typing or only on request."),
    )
    debounce_ms: int = field(
        default=0,
        metadata=about(
            "Milliseconds without a keystroke before the model is asked; most editors have a "
            "pause of their own.",
            minimum=0,
            maximum=10_000,
        ),
    )
    deadline_ms: int = field(
        default=2_000,
        metadata=about(
            "After so many milliseconds the whole lines that are settled by then, if any, are "
            "the answer, and the rest is there for the next request.",
            minimum=50,
            maximum=60_000,
        ),
    )
    candidates: int = field(
        default=3,
        metadata=about(
            "Alternatives computed when completions are asked for by hand.",
            minimum=1,
            maximum=10,
        ),
    )
    candidates_while_typing: int = field(
        default=1,
        metadata=about(
            "Alternatives computed while typing; more than one is for editors that cannot ask "
            "by hand, such as Neovim without a plugin.",
            minimum=1,
            maximum=10,
        ),
    )
    multi_line: MultiLine = field(
        default=MultiLine.AUTO,
        metadata=about(
            "Whether a completion may have several lines. `auto`: where the code around the "
            "cursor leaves room for them."
        ),
    )
    min_confidence: float = field(
        # docs/quality.md: quiet at nine of ten places where nothing is missing, and three
        # quarters of the right completions are still shown.
        default=0.15,
        metadata=about(
            "Completions that the model is less sure of are not offered while typing, from 0 "
            "(offer all) to 1.",
            minimum=0,
            maximum=1,
        ),
    )
    completion_fallback: bool = field(
        default=False,
        metadata=about(
            "Whether the ordinary completion list carries the completions as well, for editors "
            "that have no inline completions."
        ),
    )
    draft_interval_ms: int = field(
        default=40,
        metadata=about(
            "At most one draft in so many milliseconds is sent to editors that show drafts.",
            minimum=0,
            maximum=10_000,
        ),
    )
    trace: TraceDetail = field(
        default=TraceDetail.SIZES,
        metadata=about(
            "What is kept of each request, on this machine, for `dg-lsp trace`: nothing, sizes "
            "and times, or also the text that the model saw and wrote, without secrets."
        ),
    )
    context: ContextSettings = field(default_factory=ContextSettings)
    engine: EngineAccess = field(default_factory=EngineAccess)

    def is_language_enabled(self, language: str) -> bool:
        """Whether completions are on for an LSP language id."""
        return self.enable and self.languages.get(language, self.languages.get("*", True))


def parse(raw: object, base: Settings) -> tuple[Settings, list[str]]:
    """The settings with what a client sent, and a line about each thing that was not taken.

    What is missing, null or not valid stays as it is in `base`. A live change that sends the
    whole section is parsed on the settings from before the first change, so that a setting
    that the user took out falls back.
    """
    if isinstance(raw, Mapping) and set(raw) == {SECTION}:
        raw = raw[SECTION]
    if raw is None:
        return base, []
    return parse_settings(raw, base, SECTION)


def json_schema() -> dict[str, Any]:
    """A JSON schema of the section."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SECTION,
        **settings_schema(Settings()),
    }


def docs_table() -> str:
    """The table in docs/settings.md."""
    return settings_table(Settings(), SECTION)
