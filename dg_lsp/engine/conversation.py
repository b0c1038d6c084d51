"""The prompt of DiffusionGemma: a conversation in which the reply is the document itself.

The user turn contains what rarely changes while typing (the task, related snippets, the text
after the span). The model's own turn begins with the text before the span, so a keystroke only
appends to the prompt. The engine need not read a prompt again as far as it equals the previous
one; therefore, if text exceeds its budget, the cut moves in coarse steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dg_lsp.config import PromptSettings, PromptStyle
from dg_lsp.engine.budget import end_of, nearest, snippet_ids, start_of
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import freed_after, freed_before
from dg_lsp.engine.prompt import Prompt
from dg_lsp.engine.segments import pinned_tokens
from dg_lsp.job import InfillJob

SEGMENT_TOKENS, LEAST_ANCHOR = 8, 4
"""Pinned texts shorten the right anchor, so that each free segment has so many positions; but
no further than to so many tokens."""


@dataclass(frozen=True, slots=True)
class ConversationLayout:
    """Implements `engine.family.PromptLayout`."""

    settings: PromptSettings
    codec: Codec

    def build(self, job: InfillJob, canvas_length: int) -> Prompt:
        anchor = min(self.settings.right_anchor_tokens, canvas_length // 2)
        pinned = tuple(pinned_tokens(self.codec, one.text) for one in job.pinned)
        if pinned:
            inside = sum(len(one.ids) for one in pinned)
            room = canvas_length - inside - SEGMENT_TOKENS * (len(pinned) + 1)
            anchor = max(min(anchor, LEAST_ANCHOR), min(anchor, room))
        settings = replace(self.settings, right_anchor_tokens=anchor)
        return replace(build_prompt(job, self.codec, settings), pinned=pinned)


def build_prompt(job: InfillJob, codec: Codec, settings: PromptSettings) -> Prompt:
    """Lay a job out in tokens; text beyond the budgets is left out, farthest first.

    Text is cut by characters before it is cut by tokens: a tokenizer takes seconds for a
    megabyte, and blocks all other threads of the process.
    """
    known = codec.encode(end_of(job.prefix, settings.prefix_tokens))
    known = nearest(known, settings.prefix_tokens)
    suffix = start_of(job.suffix, settings.suffix_tokens + settings.right_anchor_tokens + 1)
    after = codec.encode(suffix)
    left_tokens = freed_before(codec, known)
    known = known[: len(known) - len(left_tokens)]
    anchored = settings.right_anchor_tokens > 0
    right_tokens = freed_after(codec, after) if anchored else ()
    anchor_end = len(right_tokens) + settings.right_anchor_tokens
    anchor = tuple(after[len(right_tokens) : anchor_end])
    closing: tuple[int, ...] = ()
    is_whole_suffix = len(suffix) == len(job.suffix)
    if anchored and is_whole_suffix and len(after) <= anchor_end:
        closing = (*_reply_closing(codec, settings), codec.control.turn_end)
    user = _user_turn(job, codec, settings, _shown(suffix, codec, settings, after))
    control = codec.control
    newline = codec.encode("\n")
    ids = (
        control.bos,
        control.turn_start,
        *codec.encode("user\n"),
        *user,
        control.turn_end,
        *newline,
        control.turn_start,
        *codec.encode("model\n"),
        *_reply_opening(job, codec, settings),
        *known,
    )
    return Prompt(ids, left_tokens, right_tokens, anchor, closing)


def _shown(suffix: str, codec: Codec, settings: PromptSettings, after: list[int]) -> list[int]:
    """The text after the span, as it appears in the user turn.

    The rest of the line changes with every bracket that an editor closes automatically, and
    everything after it would have to be read again, so it is left out if the canvas contains
    it. The bare style keeps it, because the bundled model was trained that way.
    """
    rest = suffix.partition("\n")
    if (
        settings.style is PromptStyle.INSTRUCT
        and len(codec.encode(rest[0])) <= settings.right_anchor_tokens
    ):
        after = codec.encode(rest[2])
    return after[: settings.suffix_tokens]


def _user_turn(
    job: InfillJob, codec: Codec, settings: PromptSettings, shown: list[int]
) -> list[int]:
    name = job.path.replace("\\", "/").rsplit("/", 1)[-1]
    snippets = snippet_ids(job, codec, settings.snippet_tokens)
    if settings.style is PromptStyle.BARE:
        return [*snippets, *codec.encode(f"{name}\n"), *shown]
    task = (
        f"Write the file {job.path or name} ({job.language}) in full, with no comment on it. "
        "You have written its beginning. Go on from there so that it joins the ending below."
    )
    if job.instruction is not None:
        task += (
            f"\nBetween the two stood:\n```\n{job.replaced}\n```\n"
            f"Write it anew: {job.instruction}"
        )
    return [
        *codec.encode(f"{task}\n"),
        *snippets,
        *codec.encode(f"Its ending:\n```{job.language}\n"),
        *shown,
        *codec.encode("\n```"),
    ]


def _reply_opening(job: InfillJob, codec: Codec, settings: PromptSettings) -> list[int]:
    if settings.style is PromptStyle.BARE:
        return []
    return codec.encode(f"```{job.language}\n")


def _reply_closing(codec: Codec, settings: PromptSettings) -> list[int]:
    return [] if settings.style is PromptStyle.BARE else codec.encode("\n```")
