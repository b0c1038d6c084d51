"""Text within a budget of tokens, for the prompt of any family.

Text is cut by characters before it is cut by tokens: a tokenizer takes seconds for a megabyte,
and blocks all other threads of the process.
"""

from __future__ import annotations

from dg_lsp.config import MAX_CHARS_PER_TOKEN
from dg_lsp.engine.codec import Codec
from dg_lsp.job import InfillJob


def end_of(text: str, tokens: int) -> str:
    """The last characters, enough for that many tokens; the start rarely moves."""
    over = len(text) - MAX_CHARS_PER_TOKEN * tokens
    step = max(1, tokens)
    return text[-(-over // step) * step :] if over > 0 else text


def start_of(text: str, tokens: int) -> str:
    """The first characters, enough for that many tokens."""
    return text[: MAX_CHARS_PER_TOKEN * tokens]


def nearest(ids: list[int], count: int) -> list[int]:
    """At most the last `count` tokens; the start rarely moves while text is added."""
    if len(ids) <= count:
        return ids
    step = max(1, count // 8)
    return ids[-(-(len(ids) - count) // step) * step :]


def snippet_ids(job: InfillJob, codec: Codec, tokens: int) -> list[int]:
    """The related snippets, each below its path; the least related are left out."""
    snippets: list[int] = []
    for snippet in reversed(job.snippets):
        text = f"{snippet.path}\n{snippet.text}\n"
        if len(text) > MAX_CHARS_PER_TOKEN * tokens:
            break
        piece = codec.encode(text)
        if len(snippets) + len(piece) > tokens:
            break
        snippets = piece + snippets
    return snippets
