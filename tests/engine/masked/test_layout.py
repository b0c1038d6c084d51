"""What a masked model reads on both sides of the canvas."""

from __future__ import annotations

import dataclasses

import pytest

from dg_lsp.config import PromptSettings
from dg_lsp.engine.masked.layout import BothSidesLayout
from dg_lsp.job import InfillJob, Snippet

BEFORE, AFTER = 2, 1
JOB = InfillJob(
    "def area(self):\n    return ",
    "\n",
    path="shapes/circle.py",
    language="python",
    snippets=(Snippet("shapes/square.py", "side = 4"),),
    replaced="radius * 3.14",
)


def written(codec, ids) -> str:
    return b"".join(map(codec.token_bytes, ids)).decode()


def layout(codec, conversation=None, **settings) -> BothSidesLayout:
    return BothSidesLayout(PromptSettings(**settings), codec, (BEFORE,), (AFTER,), conversation)


def frame(message):
    """A conversation whose turns are framed by control tokens of the tiny tokenizer."""
    return (BEFORE, *message, BEFORE), (AFTER,)


def test_a_document_is_read_from_its_beginning_to_its_end(tiny_codec):
    prompt = layout(tiny_codec).build(JOB, 64)

    assert (prompt.ids[0], prompt.after[-1]) == (BEFORE, AFTER)
    free = (*prompt.left_tokens, *prompt.right_tokens)
    before = written(tiny_codec, (*prompt.ids, *prompt.left_tokens))
    assert before == "shapes/square.py\nside = 4\n" + JOB.prefix
    assert written(tiny_codec, (*prompt.right_tokens, *prompt.after)) == JOB.suffix
    assert len(free) <= 2


def test_the_end_of_a_document_that_is_not_seen_is_left_out(tiny_codec):
    job = dataclasses.replace(JOB, suffix="x = 1\n" * 400)

    assert AFTER not in layout(tiny_codec, suffix_tokens=8).build(job, 64).after


def test_with_an_instruction_the_document_is_the_reply(tiny_codec):
    job = dataclasses.replace(JOB, instruction="use math.pi")
    prompt = layout(tiny_codec, frame).build(job, 64)

    opened, second = (at for at, token in enumerate(prompt.ids) if token == BEFORE)
    message = written(tiny_codec, prompt.ids[opened:second])
    reply = written(tiny_codec, (*prompt.ids[second:], *prompt.left_tokens))
    assert message.startswith("shapes/square.py\nside = 4\n")
    for part in ("circle.py", "python", "```\nradius * 3.14\n```", "use math.pi"):
        assert part in message
    assert reply == "```python\n" + JOB.prefix
    assert prompt.after[-1] == AFTER
    after = written(tiny_codec, (*prompt.right_tokens, *prompt.after))
    assert after == JOB.suffix + "\n```"
    # The folder that the file is in is not the model's business.
    assert "shapes/circle" not in message


def test_a_model_without_conversations_is_given_no_instruction(tiny_codec):
    with pytest.raises(ValueError, match="instructions"):
        layout(tiny_codec).build(dataclasses.replace(JOB, instruction="shorter"), 64)
