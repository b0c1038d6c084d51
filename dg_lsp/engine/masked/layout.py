"""The prompt of a masked model, which reads both sides of the canvas at once.

    [opening] snippets, text before [canvas] text after [closing]

With an instruction, the document is the reply of a conversation, and the snippets are in the
message before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dg_lsp.config import PromptSettings
from dg_lsp.engine.budget import end_of, nearest, snippet_ids, start_of
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import freed_after, freed_before
from dg_lsp.engine.prompt import Prompt
from dg_lsp.engine.segments import pinned_tokens
from dg_lsp.job import InfillJob

Conversation = Callable[[Sequence[int]], tuple[Sequence[int], Sequence[int]]]
"""From the ids of a user's message to those before the model's reply, and after it."""


@dataclass(frozen=True, slots=True)
class BothSidesLayout:
    """Implements `engine.family.PromptLayout`."""

    settings: PromptSettings
    codec: Codec
    opening: tuple[int, ...]
    """What every document begins with."""
    closing: tuple[int, ...]
    """What a document ends with, if its end can be seen."""
    conversation: Conversation | None
    """`None` for a model that follows no instructions."""

    def build(self, job: InfillJob, canvas_length: int) -> Prompt:
        settings = self.settings
        prefix, suffix = (
            end_of(job.prefix, settings.prefix_tokens),
            start_of(job.suffix, settings.suffix_tokens),
        )
        before = nearest(self.codec.encode(prefix), settings.prefix_tokens)
        encoded = self.codec.encode(suffix)
        after = encoded[: settings.suffix_tokens]
        is_whole = len(after) == len(encoded) and len(suffix) == len(job.suffix)
        left, right = freed_before(self.codec, before), freed_after(self.codec, after)
        opening, closing = self._around(job)
        return Prompt(
            (*opening, *before[: len(before) - len(left)]),
            *(left, right, (), ()),
            after=(*after[len(right) :], *(closing if is_whole else ())),
            pinned=tuple(pinned_tokens(self.codec, one.text) for one in job.pinned),
        )

    def _around(self, job: InfillJob) -> tuple[Sequence[int], Sequence[int]]:
        """What is before the text that is seen of the document, and after its end."""
        snippets = snippet_ids(job, self.codec, self.settings.snippet_tokens)
        if job.instruction is None:
            return (*self.opening, *snippets), self.closing
        if self.conversation is None:
            raise ValueError("the model follows no instructions")
        name = job.path.replace("\\", "/").rsplit("/", 1)[-1]
        task = (
            f"Part of the file {name} ({job.language}) is:\n```\n{job.replaced}\n```\n"
            f"Write this part anew: {job.instruction}\nReply with the whole file."
        )
        before, after = self.conversation([*snippets, *self.codec.encode(task)])
        fence = self.codec.encode(f"```{job.language}\n")
        return (*before, *fence), (*self.codec.encode("\n```"), *after)
