"""What a user can set in the editor: the section `dgLsp`.

Each setting is declared once, as a field of a dataclass. What `parse` accepts, the JSON schema
and the table in docs/settings.md are derived from the dataclasses by settings_schema.py. The
callers decide where values come from (initializationOptions, workspace/configuration) and
what they change.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dg_lsp.config import MIN_CONFIDENCE
from dg_lsp.document.holes import MARK
from dg_lsp.document.request import BUDGET_CHARS
from dg_lsp.document.suggestions import MultiLine
from dg_lsp.server.settings_schema import about, parse_settings, settings_schema, settings_table

SECTION = "dgLsp"
MODEL = r"^$|^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$|^(~?[/\\]|[A-Za-z]:[/\\])"
"""Does not allow a relative path, which would mean another model in each open project."""
PATH = r"^$|^(~?[/\\]|[A-Za-z]:[/\\])"
ADDRESS = r"^$|^((vllm|openai|llama|ollama|mistral|mercury)\+)?https?://[^\s/@]+(/\S*)?$|^(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}$"


class Trigger(enum.Enum):
    """When a suggestion is computed."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Speculate(enum.Enum):
    """When the suggestion after the one that is shown is prepared."""

    ON = "on"
    PLUGGED_IN = "pluggedIn"
    OFF = "off"


class NextEdits(enum.Enum):
    """Which edits are offered that follow from the user's last ones."""

    OFF = "off"
    CERTAIN = "certain"
    ALL = "all"


class TraceDetail(enum.Enum):
    """What is kept of a request for `dg-lsp trace`."""

    OFF = "off"
    SIZES = "sizes"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What the model sees besides the text around the cursor."""

    budget_chars: int = field(
        default=BUDGET_CHARS,
        metadata=about(
            "Maximum number of characters that the model sees, of the document and of related "
            "files together. The model's own limit in tokens applies as well.",
            minimum=500,
            maximum=1_000_000,
        ),
    )
    related_files: bool = field(
        default=True,
        metadata=about(
            "Whether the model sees code of other files: similar code from open and recently "
            "edited ones, and what these and imported ones define of the names around the "
            "cursor."
        ),
    )
    workspace_files: bool = field(
        default=True,
        metadata=about(
            "Whether the other source files of the workspace are read into memory, in the "
            "background, so that suggestions can start from similar code in them, and the "
            "model sees what imported files define. Excluded files are never read, and "
            "secrets are masked."
        ),
    )


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """The process that holds the model."""

    address: str = field(
        default="",
        metadata=about(
            "HOST:PORT or http(s) URL of an engine that runs elsewhere. Without a scheme, the "
            "connection is encrypted unless the engine is on this machine. With `vllm+`, "
            "`openai+`, `llama+`, `ollama+`, `mistral+` or `mercury+` before the URL, a server "
            "of that kind is used instead. If empty, the engine on this machine is used, and "
            "started on demand.",
            needs="HOST:PORT or an http(s) URL without a password",
            secret=True,
            pattern=ADDRESS,
        ),
    )
    token: str = field(
        default="",
        repr=False,
        metadata=about(
            "The bearer token that the engine at `address` requires. If empty, that of "
            "`tokenFile` or of the environment variable `DG_LSP_TOKEN` is sent.",
            needs="a string without spaces",
            secret=True,
            pattern=r"^\S*$",
        ),
    )
    token_file: str = field(
        default="",
        metadata=about(
            "A file with the token, as an absolute path or one that starts with `~/`.",
            needs="an absolute path (~/ is your home directory)",
            pattern=PATH,
        ),
    )
    fingerprint: str = field(
        default="",
        metadata=about(
            "The fingerprint of the certificate of the engine at `address`, as the engine "
            "prints it when it starts: `sha256:` and 64 hexadecimal digits. No other "
            "certificate is trusted then. If empty, certificates are trusted as in a browser.",
            needs="a string without spaces",
            # What is no fingerprint is refused with the address: ignoring it would mean to
            # trust other certificates than the user does.
            pattern=r"^\S{0,200}$",
        ),
    )
    backend_model: str = field(
        default="",
        metadata=about(
            "Name of the model at `address`, if that is not a dg-lsp engine. If empty, the "
            "first model that the server lists.",
            needs="a string without spaces",
            pattern=r"^\S{0,200}$",
        ),
    )
    local_fallback: bool = field(
        default=False,
        metadata=about(
            "Whether the engine on this machine is used while the one at `address` does not "
            "answer. The status says so."
        ),
    )
    model: str = field(
        default="",
        metadata=about(
            "Name of a model (`dg-lsp models`), `bundled`, or the directory of a checkpoint as "
            "an absolute path or one that starts with `~/`. If empty, the best installed model "
            "is used.",
            needs="the name of a model, or an absolute path (~/ is your home directory)",
            pattern=MODEL,
        ),
    )
    device: str = field(
        default="",
        metadata=about(
            "`cuda`, `cuda:1` or `cpu`. If empty, the GPU is used if there is one.",
            needs="cpu, cuda or cuda:N",
            pattern=r"^$|^cpu$|^cuda(:\d+)?$",
        ),
    )
    idle_minutes: float = field(
        default=30.0,
        metadata=about(
            "The model is unloaded after this many minutes without a request. 0 keeps it "
            "loaded.",
            minimum=0,
            maximum=10_080,
        ),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `dgLsp`."""

    enable: bool = field(
        default=True, metadata=about("Whether dg-lsp suggests or rewrites anything.")
    )
    languages: Mapping[str, bool] = field(
        default_factory=lambda: types.MappingProxyType({"*": True}),
        metadata=about(
            "Whether there are suggestions, by LSP language id; "
            '`"*"` stands for all other languages.'
        ),
    )
    include: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Globs of the files in which there are suggestions, in the syntax of .gitignore. "
            "If empty, all files that are not excluded."
        ),
    )
    exclude: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Globs of files that are neither completed nor shown to the model, in addition to "
            "files that .gitignore excludes and files that look like secrets. A glob that "
            "starts with `!` includes a file again."
        ),
    )
    trigger: Trigger = field(
        default=Trigger.AUTOMATIC,
        metadata=about("Whether suggestions appear while you type or only on request."),
    )
    debounce_ms: int = field(
        default=0,
        metadata=about(
            "How many milliseconds to wait after a keystroke before asking the model, in "
            "addition to the editor's own delay.",
            minimum=0,
            maximum=10_000,
        ),
    )
    deadline_ms: int = field(
        default=2_000,
        metadata=about(
            "After this many milliseconds, the whole lines that have settled are suggested, if "
            "there are any; the next request gets the rest. An engine that gives no sign of "
            "life is not waited for any longer.",
            minimum=50,
            maximum=60_000,
        ),
    )
    candidates: int = field(
        default=3,
        metadata=about(
            "How many alternatives are computed when you ask for a suggestion by hand.",
            minimum=1,
            maximum=10,
        ),
    )
    candidates_while_typing: int = field(
        default=1,
        metadata=about(
            "How many alternatives are computed while you type. More than one is useful only "
            "in editors that cannot ask by hand, such as Neovim without the plugin.",
            minimum=1,
            maximum=10,
        ),
    )
    multi_line: MultiLine = field(
        default=MultiLine.AUTO,
        metadata=about(
            "Whether a suggestion may have several lines. `auto`: if the code around the "
            "cursor leaves room for them."
        ),
    )
    min_confidence: float = field(
        default=MIN_CONFIDENCE,
        metadata=about(
            "Suggestions with a lower confidence are not shown while you type, from 0 (show "
            "all) to 1.",
            minimum=0,
            maximum=1,
        ),
    )
    completion_fallback: bool = field(
        default=False,
        metadata=about(
            "Whether suggestions also appear in the ordinary completion list, for editors "
            "without inline completions."
        ),
    )
    speculate: Speculate = field(
        default=Speculate.PLUGGED_IN,
        metadata=about(
            "Whether the suggestion that follows the one you see is prepared while the engine "
            "has nothing else to do, so that it is there when you accept. `pluggedIn`: not on "
            "battery, and not with an engine elsewhere."
        ),
    )
    next_edits: NextEdits = field(
        default=NextEdits.CERTAIN,
        metadata=about(
            "Which other places are offered for a change after an edit, in editors that show "
            "next edits. `certain`: uses of what you have renamed where it is defined, and "
            "arguments of a parameter that you have removed. `all`: also arguments for a new "
            "parameter, and lines that are like the one you have changed, which are wrong more "
            "often."
        ),
    )
    hole_mark: str = field(
        default=MARK,
        metadata=about(
            "What stands for a hole: all holes of a selection or a document are filled "
            "together, on request. It is a mark also in strings and comments.",
            needs="1 to 20 characters without white space",
            pattern=r"^\S{1,20}$",
        ),
    )
    draft_interval_ms: int = field(
        default=40,
        metadata=about(
            "Minimum number of milliseconds between two drafts, in editors that show drafts.",
            minimum=0,
            maximum=10_000,
        ),
    )
    trace: TraceDetail = field(
        default=TraceDetail.SIZES,
        metadata=about(
            "What is recorded of each request on this machine, for `dg-lsp trace`: nothing, "
            "sizes and times, or also the text that the model saw and wrote, without secrets."
        ),
    )
    usage: bool = field(
        default=True,
        metadata=about(
            "Whether it is counted on this machine how many suggestions were shown, accepted "
            "and kept, for `dg-lsp stats`. No text is stored, and nothing is sent anywhere."
        ),
    )
    context: ContextSettings = field(default_factory=ContextSettings)
    engine: EngineAccess = field(default_factory=EngineAccess)

    def is_language_enabled(self, language: str) -> bool:
        """Whether there are suggestions for an LSP language id."""
        return self.enable and self.languages.get(language, self.languages.get("*", True))


def parse(raw: object, base: Settings) -> tuple[Settings, list[str]]:
    """The settings with a client's values, and one line about each value that was rejected.

    A value that is missing, null or invalid stays as it is in `base`. When a client sends the
    whole section after a change, pass the settings from before the first change as `base`, so
    that a setting the user removed returns to its earlier value.
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
