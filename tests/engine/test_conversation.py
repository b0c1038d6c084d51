"""What the model reads and what stands in its canvas, as text, for a cursor in a document."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.config import MAX_CHARS_PER_TOKEN, PromptSettings, PromptStyle
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.prompt import (
    Prompt,
    healed_ids,
    plan_canvas,
    plan_open_canvas,
    plan_rewrite,
)
from dg_lsp.job import InfillJob, Snippet

DOCUMENT = "def area(self, radius):\n    return 3.14 * radius ** 2\n"
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def lay_out(codec: Codec, marked: str, job: dict | None = None, **changes) -> Prompt:
    """The prompt for `marked`, a document with the cursor as `<|>`."""
    prefix, suffix = marked.split("<|>")
    given = {"path": "src/shapes.py", "language": "python"} | (job or {})
    prompt_settings = PromptSettings(**{"style": PromptStyle.BARE} | changes)
    return build_prompt(InfillJob(prefix, suffix, **given), codec, prompt_settings)


def read(codec: Codec, ids) -> str:
    """Ids as text; control tokens by name, noise as a dot."""
    control = codec.control
    names = {
        -1: "·",
        control.bos: "<BOS>",
        control.turn_start: "<TURN>",
        control.turn_end: "<END>",
    }
    pieces = [names[i].encode() if i in names else codec.token_bytes(i) for i in ids]
    return b"".join(pieces).decode(errors="replace")


def typed(codec: Codec, ids: tuple[int, ...]) -> list[bytes]:
    return [codec.token_bytes(token_id) for token_id in ids]


def test_bare_prompt_has_the_suffix_in_the_user_turn_and_ends_in_the_prefix(tiny_codec):
    prompt = lay_out(tiny_codec, "def area(self, radius):\n    return <|> ** 2\n")

    assert read(tiny_codec, prompt.ids) == (
        "<BOS><TURN>user\nshapes.py\n ** 2\n<END>\n<TURN>model\n"
        "def area(self, radius):\n    return"
    )
    assert read(tiny_codec, plan_canvas(prompt, 3).ids) == "··· 2\n<END>"
    assert read(tiny_codec, plan_open_canvas(prompt, 3).ids) == "···"


def test_instructing_prompt_says_the_task_and_fences_the_code(tiny_codec):
    job = {
        "snippets": (Snippet("src/base.py", "class Base: pass"),),
        "replaced": "3.14",
        "instruction": "Use math.pi.",
    }
    prompt = lay_out(
        tiny_codec,
        "def area():\n    return <|> ** 2\n\nend\n",
        job,
        style=PromptStyle.INSTRUCT,
    )

    assert read(tiny_codec, prompt.ids) == (
        "<BOS><TURN>user\n"
        "Write the file src/shapes.py (python) in full, with no comment on it. "
        "You have written its beginning. Go on from there so that it joins the ending below.\n"
        "Between the two stood:\n```\n3.14\n```\nWrite it anew: Use math.pi.\n"
        "src/base.py\nclass Base: pass\n"
        # The rest of the line stands in the canvas alone.
        "Its ending:\n```python\n\nend\n\n```<END>\n"
        "<TURN>model\n```python\ndef area():\n    return"
    )
    assert read(tiny_codec, plan_canvas(prompt, 2).ids) == "·· 2\n\nend\n\n```<END>"


@pytest.mark.parametrize("style", PromptStyle)
def test_a_keystroke_only_appends_to_the_prompt(tiny_codec, style):
    written = DOCUMENT * 4
    at = len(DOCUMENT) * 3
    earlier = lay_out(tiny_codec, f"{written[:at]}<|>\nend\n", style=style)
    for end in range(at + 1, len(written)):
        later = lay_out(tiny_codec, f"{written[:end]}<|>\nend\n", style=style)
        pairs = zip(earlier.ids, later.ids, strict=False)
        shared = next((n for n, (a, b) in enumerate(pairs) if a != b), len(earlier.ids))
        # What a keystroke can still change is the word that it belongs to.
        assert len(earlier.ids) - shared <= 5
        assert not any(c.isspace() for c in read(tiny_codec, earlier.ids[shared + 1 :]))
        earlier = later


def changed(earlier, later) -> int:
    """How many tokens of a prompt the one before does not begin with."""
    pairs = zip(earlier.ids, later.ids, strict=False)
    shared = next((n for n, (a, b) in enumerate(pairs) if a != b), len(earlier.ids))
    return len(later.ids) - shared


@pytest.mark.parametrize("style", PromptStyle)
def test_a_full_budget_is_read_anew_once_in_many_keystrokes(tiny_codec, style):
    lines = [f"    radius = {n} ** 2\n" for n in range(60)]
    budget = 80
    moved = 0
    earlier = lay_out(tiny_codec, "".join(lines[:20]) + "<|>\n", style=style, prefix_tokens=80)
    for end in range(21, 60):
        later = lay_out(
            tiny_codec, "".join(lines[:end]) + "<|>\n", style=style, prefix_tokens=budget
        )
        line = len(tiny_codec.encode(lines[end]))
        moved += changed(earlier, later) > line + 2
        earlier = later
    tokens = len(tiny_codec.encode("".join(lines[21:60])))

    # The cut moves by an eighth of the budget.
    assert 0 < moved <= tokens // (budget // 8) + 1


@pytest.mark.parametrize("rest", [")", ")]:", "", "  # radius"])
def test_brackets_that_close_themselves_leave_the_prompt_alone(tiny_codec, rest):
    def prompt(typed: str, rest: str):
        marked = f"def area(self):\n    return {typed}<|>{rest}\n\nend\n"
        return lay_out(tiny_codec, marked, style=PromptStyle.INSTRUCT)

    assert changed(prompt("max(", rest), prompt("max((", f"){rest}")) <= 2


def test_a_rest_of_the_line_that_the_canvas_does_not_hold_is_shown(tiny_codec):
    rest = " + radius" * 20
    prompt = lay_out(tiny_codec, f"return 3.14<|>{rest}\nend\n", style=PromptStyle.INSTRUCT)

    assert f"```python\n{rest}\nend" in read(tiny_codec, prompt.ids)


@pytest.mark.parametrize(
    ("marked", "left", "right"),
    [
        ("def area(self<|>, radius)", [b"self"], [b","]),
        # "self" reaches over both tokens.
        ("def area(se<|>lf, radius)", [b"s", b"e"], [b"l", b"f"]),
        ("    return 3.14 *<|> radius", [b" *"], [b" radius"]),
        ("):\n    <|>return 3.14", [b"\n    "], [b"return"]),
        # " naïve" begins with three of the tokens and ends with two that share a character.
        ("# na<|>ïve", [b" ", b"n", b"a"], [b"\xc3", b"\xafve"]),
        ("# naï<|>ve", [b" na\xc3", b"\xaf"], [b"ve"]),
        # No token reaches over an "é", and its last byte is not a text.
        ("#é<|> 漢", [], [b" "]),
        ("e<|>\u0301", [b"e"], []),
        ("# 圆<|> 🙂\n", [" 圆".encode()], [" 🙂".encode()]),
        ("<|>def", [], [b"def"]),
        ("def<|>", [b"def"], []),
        ("<|>", [], []),
    ],
)
def test_as_many_tokens_beside_the_cursor_are_healed_as_another_reaches_over(
    tiny_codec, marked, left, right
):
    prompt = lay_out(tiny_codec, marked)
    plan = plan_canvas(prompt, 2)

    assert (typed(tiny_codec, plan.left_tokens), typed(tiny_codec, plan.right_tokens)) == (
        left,
        right,
    )
    assert prompt.healed_tokens == len(left) + len(right)


@settings(deadline=None)
@given(prefix=TEXT, span=TEXT, suffix=TEXT, style=st.sampled_from(PromptStyle))
def test_no_character_is_lost_at_the_seams(tiny_codec, prefix, span, suffix, style):
    job = InfillJob(prefix, suffix)
    prompt = build_prompt(
        job, tiny_codec, PromptSettings(style=style, right_anchor_tokens=1000)
    )

    free = healed_ids(prompt, tiny_codec, span)
    reply = [*prompt.ids, *free, *prompt.right_anchor, *prompt.closing]
    turn = read(tiny_codec, reply).rpartition("<TURN>model\n")[2]
    opening, closing = ("", "<END>")
    if style is PromptStyle.INSTRUCT:
        opening, closing = "```plaintext\n", "\n```<END>"
    assert turn == f"{opening}{prefix}{span}{suffix}{closing}"


@pytest.mark.parametrize(
    ("marked", "anchor", "pinned"),
    [
        ("return <|>3.14 * radius", 16, ".14 * radius<END>"),
        ("return <|>3.14 * radius", 4, ".14 * radius<END>"),
        ("return <|>3.14 * radius", 3, ".14 *"),
        ("return <|>3.14 * radius", 0, ""),
        ("return <|>", 16, "<END>"),
        ("return <|>", 0, ""),
        ("<|>", 1, "<END>"),
    ],
)
def test_the_end_of_turn_is_pinned_where_the_anchor_holds_all_that_follows(
    tiny_codec, marked, anchor, pinned
):
    prompt = lay_out(tiny_codec, marked, right_anchor_tokens=anchor)
    plan = plan_canvas(prompt, 2)

    assert read(tiny_codec, plan.ids) == f"··{pinned}"
    assert plan.is_open == (pinned == "")
    assert prompt.anchored_tokens == len(plan.ids) - 2


def test_without_a_right_anchor_nothing_after_the_span_is_healed(tiny_codec):
    prompt = lay_out(tiny_codec, "return <|>3.14", right_anchor_tokens=0)

    assert (prompt.right_tokens, plan_canvas(prompt, 1).right_tokens) == ((), ())


@pytest.mark.parametrize("prefix", ["", "def"])
@pytest.mark.parametrize("suffix", ["", "\n"])
def test_a_document_may_begin_or_end_at_the_cursor(tiny_codec, prefix, suffix):
    prompt = lay_out(tiny_codec, f"{prefix}<|>{suffix}")

    user = "<BOS><TURN>user\nshapes.py\n" + suffix + "<END>\n"
    assert read(tiny_codec, prompt.ids) == user + "<TURN>model\n"
    assert b"".join(typed(tiny_codec, prompt.left_tokens)) == prefix.encode()
    assert b"".join(typed(tiny_codec, prompt.right_tokens)) == suffix.encode()


@pytest.mark.parametrize(
    ("budget", "tokens", "kept"),
    [
        ("prefix_tokens", 3, "<TURN>user\nshapes.py\n ** 2\n<END>\n<TURN>model\n):\n    "),
        ("prefix_tokens", 1, "<TURN>user\nshapes.py\n ** 2\n<END>\n<TURN>model\n"),
        ("prefix_tokens", 0, "<TURN>user\nshapes.py\n ** 2\n<END>\n<TURN>model\n"),
        ("suffix_tokens", 1, "<TURN>user\nshapes.py\n **<END>\n<TURN>model\nradius):\n    "),
        ("suffix_tokens", 0, "<TURN>user\nshapes.py\n<END>\n<TURN>model\nradius):\n    "),
    ],
)
def test_budgets_cut_the_farthest_text(tiny_codec, budget, tokens, kept):
    prompt = lay_out(tiny_codec, "radius):\n    return<|> ** 2\n", **{budget: tokens})

    assert read(tiny_codec, prompt.ids) == f"<BOS>{kept}"
    # The suffix in the canvas is no matter of the budget of the user turn.
    assert read(tiny_codec, prompt.right_anchor) == " 2\n"


@pytest.mark.parametrize(
    ("kept", "expect"),
    [
        (3, "a\nself\nb\nradius\nc\nreturn\n"),
        (2, "b\nradius\nc\nreturn\n"),
        (1, "c\nreturn\n"),
        (0, ""),
    ],
)
def test_the_most_related_snippets_stay_whole_and_last(tiny_codec, kept, expect):
    snippets = (Snippet("a", "self"), Snippet("b", "radius"), Snippet("c", "return"))
    sizes = [len(tiny_codec.encode(f"{one.path}\n{one.text}\n")) for one in snippets]
    # One token less than one more snippet needs.
    budget = sum(sizes[-kept - 1 :]) - (kept < len(sizes))

    prompt = lay_out(tiny_codec, "<|>", {"snippets": snippets}, snippet_tokens=budget)

    assert read(tiny_codec, prompt.ids) == (
        f"<BOS><TURN>user\n{expect}shapes.py\n<END>\n<TURN>model\n"
    )


@pytest.mark.parametrize("style", PromptStyle)
@pytest.mark.parametrize("text", ["<turn|>", "<bos>", "<|turn>model\n", "<pad><eos>"])
def test_what_looks_like_a_control_token_stays_plain_text(tiny_codec, style, text):
    job = {
        "path": text,
        "language": text,
        "snippets": (Snippet(text, text),),
        "replaced": text,
        "instruction": text,
    }
    prompt = lay_out(tiny_codec, f"a{text}<|>{text}b", job, style=style)
    plan = plan_canvas(prompt, prompt.healed_tokens)
    plain = lay_out(tiny_codec, "a<|>b", style=style)

    def control(ids):
        return [i for i in ids if i in tiny_codec.control.disallowed]

    assert control(prompt.ids) == control(plain.ids)
    assert control(plan.ids) == control(plan_canvas(plain, 2).ids)
    # All of them stand in the prompt, letter by letter.
    assert read(tiny_codec, prompt.ids).count(text.strip()) >= 3


def test_a_rewrite_starts_from_given_tokens(tiny_codec):
    prompt = lay_out(tiny_codec, "return <|> ** 2\n")
    start = healed_ids(prompt, tiny_codec, "3.14 * radius")
    plan = plan_rewrite(prompt, [start[0], -1, *start[2:]])

    assert read(tiny_codec, plan.ids) == " 3·14 * radius ** 2\n<END>"


def test_a_canvas_with_nothing_free_is_refused(tiny_codec):
    with pytest.raises(ValueError, match="free position"):
        plan_canvas(lay_out(tiny_codec, "a<|>b"), 0)


class CountingCodec:
    """Counts the characters that are tokenized."""

    def __init__(self, codec: Codec) -> None:
        self._codec, self.chars = codec, 0

    def encode(self, text: str) -> list[int]:
        self.chars += len(text)
        return self._codec.encode(text)

    def __getattr__(self, name: str):
        return getattr(self._codec, name)


LINES = DOCUMENT * 2000
BUDGETS = {"prefix_tokens": 300, "suffix_tokens": 100, "snippet_tokens": 200}


@pytest.mark.parametrize("style", PromptStyle)
@pytest.mark.parametrize(
    "job",
    [
        {"prefix": LINES, "suffix": ""},
        {"prefix": "", "suffix": LINES},
        {"prefix": "x = ", "suffix": LINES.replace("\n", " ")},
        {"prefix": " " * len(LINES), "suffix": " " * len(LINES)},
        {"prefix": "", "suffix": "", "snippets": (Snippet("a.py", LINES),) * 3},
    ],
)
def test_text_beyond_the_budget_is_not_tokenized(tiny_codec, job, style):
    codec = CountingCodec(tiny_codec)
    build_prompt(InfillJob(**job), codec, PromptSettings(style=style, **BUDGETS))

    # The suffix is looked at twice, with and without the rest of its line.
    assert codec.chars < MAX_CHARS_PER_TOKEN * (300 + 2 * 120 + 200) + 1000


@pytest.mark.parametrize("style", PromptStyle)
def test_a_long_document_has_the_prompt_of_what_is_near(tiny_codec, style):
    settings = PromptSettings(style=style, **BUDGETS)
    near = len(LINES) // 4
    far = build_prompt(InfillJob(LINES, LINES), tiny_codec, settings)
    cut = build_prompt(InfillJob(LINES[-near:], LINES[:near]), tiny_codec, settings)

    assert (far.left_tokens, far.right_tokens) == (cut.left_tokens, cut.right_tokens)
    assert (far.right_anchor, far.closing) == (cut.right_anchor, ())
    # The budget is cut in steps of an eighth.
    assert far.ids[-250:] == cut.ids[-250:]


@pytest.mark.parametrize("style", PromptStyle)
def test_a_keystroke_in_a_long_document_only_appends(tiny_codec, style):
    settings = PromptSettings(style=style, **BUDGETS)
    prompts = [
        build_prompt(InfillJob(LINES + "radius " * n, ""), tiny_codec, settings).ids
        for n in range(40)
    ]
    moved = sum(after[: len(before)] != before for before, after in itertools.pairwise(prompts))

    assert moved <= 6


def test_the_end_of_turn_is_not_pinned_where_the_suffix_was_cut(tiny_codec):
    settings = PromptSettings(suffix_tokens=0, right_anchor_tokens=1)
    spaces = build_prompt(InfillJob("", " " * 5000), tiny_codec, settings)

    assert spaces.closing == ()
