"""From a job to token ids: the prompt for the encoder and the plan of a canvas.

The model's reply is laid out as the document itself. The user turn holds what rarely changes
while typing (the task, related snippets, the text after the span); the model's own turn begins
with the text before the span, so a keystroke only appends to the prompt. What an engine has
read stays good as far as a prompt begins like the one before: where text is left out for
want of budget, the cut therefore moves in coarse steps (not in the short prompts of the bare
style, which need every token). The canvas that follows is

    [left anchor][free: healed .. span .. healed][right anchor][end of turn]

Healing: the last token before the cursor and the first after it are freed, since the best
token may straddle the cursor; their choices are limited to tokens that start (end) with the
characters already there. Knows nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.config import Layout, PromptSettings, PromptStyle
from dg_lsp.engine.codec import Codec
from dg_lsp.job import InfillJob


@dataclass(frozen=True, slots=True)
class Prompt:
    """A job in tokens, before the length of its span is known."""

    ids: tuple[int, ...]
    """Input of the encoder."""
    left_anchor: tuple[int, ...]
    """Pinned prefix tokens at the canvas start (empty in the default layout)."""
    left_token: int | None
    """The freed token before the span, if there is text before it."""
    right_token: int | None
    """The freed token after the span, if there is text after it."""
    right_anchor: tuple[int, ...]
    """Pinned suffix tokens; the end of turn follows when the whole suffix is in."""
    closing: tuple[int, ...]
    """Pinned end of the reply, where the right anchor holds all there is after the span."""

    @property
    def healed_tokens(self) -> int:
        """Free positions that belong to the text around the span."""
        return (self.left_token is not None) + (self.right_token is not None)

    @property
    def anchored_tokens(self) -> int:
        """Canvas positions that are pinned."""
        return len(self.left_anchor) + len(self.right_anchor) + len(self.closing)


@dataclass(frozen=True, slots=True)
class CanvasPlan:
    """One canvas: what is pinned, what is free, and what free positions may hold."""

    ids: tuple[int, ...]
    """Starting ids; free positions that start as noise hold -1."""
    free_start: int
    free_end: int
    left_token: int | None
    """Typed token at the first free position, which limits its choices."""
    right_token: int | None
    """Typed token at the last free position, which limits its choices."""

    @property
    def free_length(self) -> int:
        return self.free_end - self.free_start

    @property
    def is_open(self) -> bool:
        """Whether nothing known stands after the free positions."""
        return self.right_token is None and self.free_end == len(self.ids)


def build_prompt(job: InfillJob, codec: Codec, settings: PromptSettings) -> Prompt:
    """Lay a job out in tokens; text beyond the budgets is left out, farthest first."""
    known = codec.encode(job.prefix)
    if settings.style is PromptStyle.INSTRUCT:
        known = _nearest(known, settings.prefix_tokens)
    known = _last(known, settings.prefix_tokens)
    after = codec.encode(job.suffix)
    left_token = known.pop() if known and _is_whole(codec, known[-1]) else None
    anchored = settings.right_anchor_tokens > 0
    healed = 1 if anchored and after and _is_whole(codec, after[0]) else 0
    right_token = after[0] if healed else None
    anchor = tuple(after[healed : healed + settings.right_anchor_tokens])
    closing: tuple[int, ...] = ()
    if anchored and len(after) <= healed + settings.right_anchor_tokens:
        closing = (*_reply_closing(codec, settings), codec.control.turn_end)
    user = _user_turn(job, codec, settings, _shown(job, codec, settings, after))
    left_anchor: tuple[int, ...] = ()
    if settings.layout is Layout.BOTH_IN_USER_TURN:
        user = [*user, *codec.encode("\n"), *known]
        left_anchor = tuple(_last(known, settings.left_anchor_tokens))
        known = []
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
    return Prompt(ids, left_anchor, left_token, right_token, anchor, closing)


def plan_canvas(prompt: Prompt, free_length: int) -> CanvasPlan:
    """An anchored canvas with `free_length` free positions, healed ones included."""
    return plan_rewrite(prompt, [-1] * free_length)


def plan_open_canvas(prompt: Prompt, free_length: int) -> CanvasPlan:
    """A canvas with nothing after the free positions: the span may end anywhere in it."""
    start = len(prompt.left_anchor)
    ids = (*prompt.left_anchor, *[-1] * free_length)
    return CanvasPlan(ids, start, start + free_length, prompt.left_token, None)


def plan_rewrite(prompt: Prompt, start_ids: Sequence[int]) -> CanvasPlan:
    """An anchored canvas whose free positions start as `start_ids`, -1 where noised."""
    if not start_ids:
        raise ValueError("a canvas needs at least one free position")
    start = len(prompt.left_anchor)
    return CanvasPlan(
        ids=(*prompt.left_anchor, *start_ids, *prompt.right_anchor, *prompt.closing),
        free_start=start,
        free_end=start + len(start_ids),
        left_token=prompt.left_token,
        right_token=prompt.right_token,
    )


def healed_ids(prompt: Prompt, codec: Codec, span: str) -> list[int]:
    """The free positions that write `span`, with the typed text around it healed in."""
    return codec.encode(
        _text_of(codec, prompt.left_token) + span + _text_of(codec, prompt.right_token)
    )


def _text_of(codec: Codec, token_id: int | None) -> str:
    return "" if token_id is None else codec.token_bytes(token_id).decode()


def _nearest(ids: list[int], count: int) -> list[int]:
    """At most the last `count` tokens, from a place that rarely moves while text is added."""
    if len(ids) <= count:
        return ids
    step = max(1, count // 8)
    return ids[-(-(len(ids) - count) // step) * step :]


def _last(ids: list[int], count: int) -> list[int]:
    return ids[max(0, len(ids) - count) :]


def _is_whole(codec: Codec, token_id: int) -> bool:
    """Whether a token ends at character boundaries: one that does not can't be healed."""
    try:
        codec.token_bytes(token_id).decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(
    job: InfillJob, codec: Codec, settings: PromptSettings, after: list[int]
) -> list[int]:
    """The text after the span as the user turn holds it.

    The rest of the line changes with every bracket that an editor closes by itself, and all
    that follows it would be read anew: where the canvas holds that rest, it is left out. The
    bare style is what the bundled model was trained on, so there it stays.
    """
    rest = job.suffix.partition("\n")
    if (
        settings.style is PromptStyle.INSTRUCT
        and settings.layout is Layout.PREFIX_IN_MODEL_TURN
        and len(codec.encode(rest[0])) <= settings.right_anchor_tokens
    ):
        after = codec.encode(rest[2])
    return after[: settings.suffix_tokens]


def _user_turn(
    job: InfillJob, codec: Codec, settings: PromptSettings, shown: list[int]
) -> list[int]:
    name = job.path.replace("\\", "/").rsplit("/", 1)[-1]
    snippets: list[int] = []
    for snippet in reversed(job.snippets):
        piece = codec.encode(f"{snippet.path}\n{snippet.text}\n")
        if len(snippets) + len(piece) > settings.snippet_tokens:
            break
        snippets = piece + snippets
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
