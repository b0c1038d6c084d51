"""The conversation that a chat-tuned checkpoint was trained on.

A checkpoint's chat template is a program, which is never run. The only form that is known is
ChatML, which all chat-tuned models on the Qwen2 backbone have; this module writes it itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.engine.codec import Codec, TurnTokens
from dg_lsp.models.checkpoint import CheckpointError, one_line, read_json
from dg_lsp.models.nf4.manifest import has_manifest, read_manifest

TEMPLATE_FILE = "chat_template.jinja"
START, END = "<|im_start|>", "<|im_end|>"
TUNED = re.compile(r"(?<![a-z])(instruct|chat|it|cpgrpo)(?![a-z])", re.IGNORECASE)
"""In the name of a checkpoint that was tuned on conversations. Its files do not tell: base
models have the same template."""
TASK = "You edit source code. Reply with the file, and with nothing else."


@dataclass(frozen=True, slots=True)
class ChatMl:
    """Implements `engine.masked.layout.Conversation`."""

    codec: Codec
    turns: TurnTokens

    def __call__(self, message: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        newline = self.codec.encode("\n")
        before = (
            *(*self._opening("system"), *self.codec.encode(TASK), self.turns.end, *newline),
            *(*self._opening("user"), *message, self.turns.end, *newline),
            *self._opening("assistant"),
        )
        return before, (self.turns.end, *newline)

    def _opening(self, role: str) -> tuple[int, ...]:
        return (self.turns.start, *self.codec.encode(f"{role}\n"))


def read_template(directory: Path) -> str | None:
    """The chat template of a checkpoint, as text."""
    path = directory / TEMPLATE_FILE
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read: {one_line(error)}") from error
    path = directory / "tokenizer_config.json"
    template = read_json(path).get("chat_template") if path.is_file() else None
    if isinstance(template, list):
        # Several, each with a name.
        named = {one.get("name"): one.get("template") for one in template if type(one) is dict}
        template = named.get("default")
    return template if isinstance(template, str) else None


def fault_of(template: str | None, turns: TurnTokens | None) -> str | None:
    """Why no conversation can be written in a template; `None` if one can be."""
    if template is None:
        return "it has no chat template"
    if END not in template or f"{START}assistant" not in template:
        return f"its chat template is not ChatML, with {START} and {END} around each turn"
    if turns is None:
        return f"its tokenizer lacks {START} or {END}, which are in its chat template"
    return None


def is_tuned(directory: Path, original_name: object) -> bool:
    """Whether the name of a checkpoint says that it was tuned on conversations."""
    names = [directory.name, original_name if isinstance(original_name, str) else ""]
    if has_manifest(directory):
        names.append(read_manifest(directory).source)
    return any(TUNED.search(name.rsplit("/", 1)[-1]) for name in names)
