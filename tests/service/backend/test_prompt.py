"""The prompt in words, and what of the model's text is the span."""

from __future__ import annotations

import pytest

from dg_lsp.job import InfillJob, Snippet
from dg_lsp.service.backend.prompt import chat_prompt, span_of, stops_at, suffix_head

RETURN = "\n\ndef next_one():\n    pass\n"


def test_the_reply_is_begun_with_the_text_before_the_span():
    job = InfillJob("x = 1\ny = ", "\nz = 3\n", path="a.py", language="python")
    prompt = chat_prompt(job)

    assert prompt.startswith("<|turn>user\n")
    user, _, reply = prompt.partition("<turn|>\n<|turn>model\n")
    assert reply == "```python\nx = 1\ny = "
    assert user.endswith("```python\n\nz = 3\n\n```")


def test_related_code_and_an_instruction_are_in_the_users_turn():
    job = InfillJob(
        "a",
        "b",
        snippets=(Snippet("other.py", "def f(): pass"),),
        replaced="old text",
        instruction="make it new",
    )
    user = chat_prompt(job).partition("<turn|>")[0]

    assert all(one in user for one in ("other.py", "def f(): pass", "old text", "make it new"))


@pytest.mark.parametrize(
    "control", ["<turn|>", "<|turn>", "<bos>", "<eos>", "<|channel>", "<|x|>"]
)
def test_a_document_cannot_end_a_turn(control):
    job = InfillJob(f"a{control}b", f"c{control}d", snippets=(Snippet("p", control),))
    prompt = chat_prompt(job)

    assert prompt.count("<turn|>") == 1
    assert prompt.count("<|turn>") == 2
    assert prompt.count(control) <= 2


def test_pipes_of_other_languages_stay():
    text = "x |> f <| y; a <b> c <T|U> d"
    assert text in chat_prompt(InfillJob(text, ""))


@pytest.mark.parametrize(
    ("text", "suffix", "expect"),
    [
        # The model goes on with the suffix.
        ("3.14 * radius ** 2\n", " ** 2\n", "3.14 * radius"),
        ("a + b\n\ndef next_one():\n    pass\n", RETURN, "a + b"),
        ("a + b", RETURN, "a + b"),
        ("a)\n    print(b", ")\n    print(b)\n", "a"),
        # And closes the reply, or explains itself after it.
        ("1\n```\nThis is 1.", "", "1"),
        ("x + 1)\n```", ")", "x + 1"),
        # Blank lines are no mark.
        ("a\n\nb", "\n\n", "a\n\nb"),
        # A short suffix may occur in the span itself.
        ("f(a) + g(b))", ")", "f(a) + g(b)"),
        (RETURN, RETURN, ""),
    ],
)
def test_the_span_is_what_comes_before_the_suffix(text, suffix, expect):
    assert span_of(text, suffix) == expect


def test_the_server_stops_where_the_suffix_can_be_told():
    assert stops_at(InfillJob("", RETURN)) == ["\n```", "\n\ndef next_one():"]
    assert stops_at(InfillJob("", ")\n")) == ["\n```"]
    assert suffix_head(")\n}\nlong_enough()\nmore\n") == ")\n}\nlong_enough()"
