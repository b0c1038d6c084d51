"""DiffusionGemma's prompt as text, for a server that has the model but not our canvas.

Nothing can be pinned there, so the task is told in words, and the reply is begun: its first
part is the text before the span. The model goes on from there, through the text after the span,
which is cut off again.
"""

from __future__ import annotations

import re

from dg_lsp.job import InfillJob

FENCE = "\n```"
"""Ends the reply."""
LEAST_HEAD_CHARS = 8
"""A shorter start of the suffix may occur anywhere in a text."""

_CONTROL = re.compile(r"<(\|[a-z_]+\|?|[a-z_]+\||bos|eos|pad|unk|mask)>")


def chat_prompt(job: InfillJob) -> str:
    """The user's turn and the start of the model's, without the token that begins a text."""
    name = job.path.replace("\\", "/").rpartition("/")[2]
    task = (
        f"Write the file {job.path or name} ({job.language}) in full, with no comment on it. "
        "You have written its beginning. Go on from there so that it joins the ending below.\n"
    )
    if job.replaced is not None:
        anew = f"Write it anew: {job.instruction}" if job.instruction else "Write it anew."
        task += f"Between the two stood:\n```\n{job.replaced}\n```\n{anew}\n"
    others = "".join(f"```{one.path}\n{one.text}\n```\n" for one in job.snippets)
    ending = f"Its ending:\n```{job.language}\n{job.suffix}\n```"
    user = _plain(task + others + ending)
    reply = f"```{job.language}\n{_plain(job.prefix)}"
    return f"<|turn>user\n{user}<turn|>\n<|turn>model\n{reply}"


def stops_at(job: InfillJob) -> list[str]:
    """Where the server may stop: the end of the reply, and the start of the suffix."""
    head = suffix_head(job.suffix)
    return [FENCE, head] if len(head.strip()) >= LEAST_HEAD_CHARS else [FENCE]


def suffix_head(suffix: str) -> str:
    """The start of the suffix, of as many lines as it takes to recognize it."""
    end = 0
    while end < len(suffix) and len(suffix[:end].strip()) < LEAST_HEAD_CHARS:
        line_end = suffix.find("\n", end)
        end = len(suffix) if line_end < 0 else line_end + 1
    return suffix[:end].rstrip("\n")


def span_of(text: str, suffix: str) -> str:
    """What the model wrote for the span, without what it repeats of the suffix."""
    text = text.partition(FENCE)[0]
    head = suffix_head(suffix)
    if not head.strip():
        return text
    if len(head.strip()) >= LEAST_HEAD_CHARS:
        if (at := text.find(head)) >= 0:
            return text[:at]
        # It may have ended in the middle.
        for end in range(len(head) - 1, LEAST_HEAD_CHARS - 1, -1):
            if text.endswith(head[:end]):
                return text.removesuffix(head[:end])
        return text
    if text.rstrip().endswith(head.rstrip()):
        return text.rstrip().removesuffix(head.rstrip())
    return text


def _plain(text: str) -> str:
    """The text without control tokens, which the server would take for its own."""
    return _CONTROL.sub(lambda found: f"< {found[1]}>", text)
