"""Alternatives of one word: which texts come back, and with what probability."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.config import EngineSettings, PromptSettings, PromptStyle
from dg_lsp.engine.alternatives import alternatives
from dg_lsp.engine.engine import Engine
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.engine.masked.family import masked_family
from dg_lsp.job import Infill, InfillJob, JobState
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.reason import ReasonCode
from tests.engine.masked_model import MaskedDenoiser, mask_tokens, settings_of

AREA = "def area(self, radius):\n    return 3.14 * <|radius|> ** 2\n"
SETTINGS = EngineSettings(PromptSettings(style=PromptStyle.BARE))


def ask(
    codec,
    marked: str,
    word: str,
    count: int = 8,
    canvas_length: int = 64,
    temperature: float = 1.0,
) -> Infill:
    """The alternatives of `word`, from a model that knows the text between `<|` and `|>`."""
    prefix, rest = marked.split("<|")
    known, suffix = rest.split("|>")
    denoiser = ScriptedDenoiser(codec, prefix + known + suffix, canvas_length=canvas_length)
    job = InfillJob(prefix, suffix, replaced=word, alternatives=count)
    family = gemma_family(SETTINGS, denoiser, codec)
    return alternatives(job, denoiser, codec, family, temperature)


def texts(infill: Infill) -> list[str]:
    return [candidate.text for candidate in infill.candidates]


@pytest.mark.parametrize(
    ("marked", "word"),
    [
        (AREA, "height"),
        (AREA, "r"),
        (AREA, "radius"),
        # The tokenizer joins a word with the blank before it, or with a bracket beside it.
        ("print(<|name|>)\n", "nam"),
        ("x = <|self|>.name\n", "this"),
        # One in the middle of what is one token.
        ("    ret<|ur|>n 3.14\n", "xx"),
        ("# na<|ï|>ve 🙂\n", "i"),
        ("a <|**|> b\n", "+"),
    ],
)
def test_the_word_that_the_model_knows_is_the_likeliest(tiny_codec, marked, word):
    infill = ask(tiny_codec, marked, word)
    known = marked.split("<|")[1].split("|>")[0]

    assert texts(infill)[0] == known
    assert word in texts(infill)
    assert infill.candidates[0].confidence > 0.5
    assert infill.reason is None


def test_probabilities_are_of_distinct_texts_best_first(tiny_codec):
    infill = ask(tiny_codec, AREA, "height")
    shares = [candidate.confidence for candidate in infill.candidates]

    assert len(set(texts(infill))) == len(shares)
    assert shares == sorted(shares, reverse=True)
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9
    assert not math.isnan(sum(shares))


def test_a_temperature_changes_the_probabilities_and_not_the_order(tiny_codec):
    usual = ask(tiny_codec, AREA, "height")
    doubtful = ask(tiny_codec, AREA, "height", temperature=3.0)

    assert texts(usual)[:3] == texts(doubtful)[:3]
    assert usual.candidates[0].confidence > doubtful.candidates[0].confidence
    assert [one.score for one in usual.candidates] == [one.score for one in doubtful.candidates]


@pytest.mark.parametrize("count", [1, 3, 8])
def test_at_most_so_many_and_the_word_itself(tiny_codec, count):
    found = texts(ask(tiny_codec, AREA, "height", count))

    assert "height" in found
    assert 1 <= len(found) - 1 <= count


def test_none_is_blank_or_has_a_line_break(tiny_codec):
    for marked in (AREA, "a = 1\n<|b|>\n\n\nc = 2\n"):
        for text in texts(ask(tiny_codec, marked, "w", 32)):
            assert text == text.strip() != ""
            assert "\n" not in text
            assert "\ufffd" not in text


def test_line_ends_of_the_document_do_not_matter(tiny_codec):
    prefix, rest = AREA.split("<|")
    known, suffix = rest.split("|>")
    denoiser = ScriptedDenoiser(tiny_codec, prefix + known + suffix)
    lines = (text.replace("\n", "\r\n") for text in (prefix, suffix))
    job = InfillJob(*lines, replaced="height", alternatives=8)
    family = gemma_family(SETTINGS, denoiser, tiny_codec)

    assert texts(alternatives(job, denoiser, tiny_codec, family))[0] == known


@pytest.mark.parametrize("text", ["one two three four five six seven " * 3, "x" * 200_000])
def test_a_text_that_is_no_word_is_refused(tiny_codec, text):
    infill = ask(tiny_codec, AREA, text)

    assert infill.candidates == ()
    assert infill.reason.code is ReasonCode.TOO_LONG


@settings(max_examples=25, deadline=None)
@given(
    before=st.text("ab_ =(.é漢", max_size=12),
    word=st.text("abrs_.é", min_size=1, max_size=8).filter(str.strip),
    after=st.text("ab_ =)\n.é漢", max_size=12),
)
def test_any_word_between_any_texts_has_alternatives(tiny_codec, before, word, after):
    infill = ask(tiny_codec, f"{before}<|{word}|>{after}", word)

    assert word in texts(infill)


def test_a_masked_model_has_them_too(tiny_codec):
    prefix, suffix = "def area(self, radius):\n    return 3.14 * ", " ** 2\n"
    denoiser = MaskedDenoiser(tiny_codec, prefix, "radius", suffix)
    opening = [tiny_codec.control.bos]
    family = masked_family(
        settings_of(4), denoiser, tiny_codec, mask_tokens(tiny_codec), opening=opening
    )
    job = InfillJob(prefix, suffix, replaced="height", alternatives=8)

    assert texts(alternatives(job, denoiser, tiny_codec, family))[0] == "radius"


async def test_the_engine_answers_without_a_draft(tiny_codec):
    denoiser = ScriptedDenoiser(tiny_codec, AREA.replace("<|", "").replace("|>", ""))
    family = gemma_family(SETTINGS, denoiser, tiny_codec)
    engine = Engine(denoiser, tiny_codec, family, SETTINGS, "scripted")
    prefix, rest = AREA.split("<|")
    async with asyncio.timeout(30):
        handle = engine.submit(
            InfillJob(prefix, rest.split("|>")[1], replaced="height", alternatives=3)
        )
        drafts = [draft async for draft in handle.drafts()]
        result = await handle.result()
        await engine.close()

    assert drafts == []
    assert result.state is JobState.DONE
    assert texts(result.infill)[0] == "radius"
    assert result.infill.steps == 1
