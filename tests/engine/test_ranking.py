"""Which of several texts is the best, whatever their lengths."""

from __future__ import annotations

import pytest

from dg_lsp.config import PromptSettings, PromptStyle
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.prompt import healed_ids
from dg_lsp.engine.ranking import Likelihood, likelihoods_of, scores_of
from dg_lsp.job import InfillJob
from dg_lsp.models.scripted import ScriptedDenoiser

PREFIX, SPAN, SUFFIX = "def area(self, radius):\n    return ", "3.14 * radius", " ** 2\n"


def test_the_true_text_ranks_highest_whatever_its_length(tiny_codec):
    denoiser = ScriptedDenoiser(tiny_codec, PREFIX + SPAN + SUFFIX)
    prompt = build_prompt(
        InfillJob(PREFIX, SUFFIX), tiny_codec, PromptSettings(style=PromptStyle.BARE)
    )
    spans = ["3.14", "3.14 *", SPAN, "3.14 * radius ** 2", "2", ""]
    scores = likelihoods_of(
        denoiser,
        denoiser.encode(prompt.ids),
        prompt,
        [healed_ids(prompt, tiny_codec, span) for span in spans],
    )

    totals = [score.total for score in scores]
    assert spans[totals.index(max(totals))] == SPAN
    assert all(total < 0 for total in totals)
    assert scores[spans.index(SPAN)].per_token > 0.9
    assert scores[spans.index("2")].per_token < 0.1


@pytest.mark.parametrize(
    ("texts", "totals", "reward", "first"),
    [
        (["x", "x + y"], [-3.0, -5.0], 0.0, "x"),
        (["x", "x + y"], [-3.0, -5.0], 1.5, "x + y"),
        # The likeliest is that nothing is missing: no reward makes a text of it.
        (["", "x + y"], [-3.0, -5.0], 1.5, ""),
        (["", "x", "x + y"], [-4.0, -3.0, -5.0], 1.5, "x + y"),
    ],
)
def test_a_reward_for_each_token_favours_longer_texts(texts, totals, reward, first):
    likelihoods = [
        Likelihood(total, 0.5, 1 + len(text.split()))
        for text, total in zip(texts, totals, strict=True)
    ]
    scores = scores_of(texts, likelihoods, reward)

    assert texts[scores.index(max(scores))] == first


def test_nothing_has_no_scores():
    assert scores_of([], [], 1.5) == []
