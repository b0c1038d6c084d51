"""Every setting with its default and the reason for it.

Frozen dataclasses on the standard library. Checkpoints override the sampler's numbers through
their own `generation_config.json` and the prompt's through `dg_lsp.json` (models/loading.py).
"""

from __future__ import annotations

import dataclasses
import enum
import math
import numbers
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_CHARS_PER_TOKEN = 16
"""Bounds the text that is measured or encoded at all; source code has 2 to 5 characters per
token."""
MIN_CONFIDENCE = 0.2
"""Suggestions with less are not shown while the user types. With this threshold the bundled
model suggests nothing at 98 of 100 positions where the code is complete, and still shows two of
three right texts (docs/quality.md)."""

MOST_PARAMETERS_ON_A_CPU = 1_000_000_000
"""Larger models are not chosen for a CPU, where a step would take many seconds; they can be
selected by name."""


MOST_TOKENS, MOST_CANVAS, MOST_STEPS, MOST_LANES = 2**24, 8192, 4096, 64
"""More than any model can use; a checkpoint may set numbers, and larger ones are mistakes."""


def _check(settings: Any, **bounds: tuple[float, float]) -> None:
    """Compare numbers with the range of each; whole ones are declared as `int`."""
    kinds = {one.name: one.type for one in dataclasses.fields(settings)}
    for name, (least, most) in bounds.items():
        _check_number(name, getattr(settings, name), least, most, kinds[name] == "int")


def _check_number(name: str, value: Any, least: float, most: float, is_whole: bool) -> None:
    is_number = isinstance(value, numbers.Integral if is_whole else numbers.Real)
    if not is_number or isinstance(value, bool) or not least <= value <= most:
        kind = "whole number" if is_whole else "number"
        raise ValueError(f"{name} is {value!r}; must be a {kind} from {least:g} to {most:g}")


def _check_lengths(name: str, value: Any, most: int = MOST_CANVAS) -> None:
    """Some whole numbers of at least 1, or none of them."""
    if not isinstance(value, tuple) or len(value) > MOST_LANES:
        raise ValueError(f"{name} is {value!r}; must be at most {MOST_LANES} whole numbers")
    for each in value:
        _check_number(name, each, 1, most, is_whole=True)


def _check_keeping(name: str, value: Any) -> None:
    if not isinstance(value, tuple) or any(len(pair) != 2 for pair in value):
        raise ValueError(f"{name} is {value!r}; must be pairs of steps and lanes")
    for pair in value:
        _check_lengths(name, pair, MOST_STEPS)


class PromptStyle(enum.Enum):
    """The words around the code in a prompt."""

    INSTRUCT = "instruct"
    """The task in words and code fences, for a model that was tuned on conversations."""
    BARE = "bare"
    """Only the turns and the code, for a model that was trained on nothing else."""


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """What the model sees of the document, in tokens."""

    style: PromptStyle = PromptStyle.INSTRUCT
    prefix_tokens: int = 3072
    """Nearest text before the span. A longer prefix would cost more than denoising itself."""
    suffix_tokens: int = 1024
    """Text after the span in the user turn; it matters less than the text before."""
    snippet_tokens: int = 2048
    """All related snippets together."""
    right_anchor_tokens: int = 16
    """Pinned start of the suffix; rows cost little, so it is long enough for a line. With 0,
    the canvas has nothing after the span, not even the end of the turn."""

    def __post_init__(self) -> None:
        tokens = 0, MOST_TOKENS
        _check(self, prefix_tokens=tokens, suffix_tokens=tokens, snippet_tokens=tokens)
        _check(self, right_anchor_tokens=(0, MOST_CANVAS))


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """The reference sampler's numbers under the checkpoint's own names."""

    max_denoising_steps: int = 48
    entropy_bound: float = 0.1
    """Maximum entropy, in nats, that one step accepts over a canvas (arXiv 2505.24857)."""
    t_max: float = 0.8
    t_min: float = 0.4
    stability_threshold: int = 1
    """Steps that the argmax canvas must stay the same."""
    confidence_threshold: float = 0.005
    """Mean entropy in nats below which a canvas has settled."""

    def __post_init__(self) -> None:
        _check(
            self,
            max_denoising_steps=(1, MOST_STEPS),
            entropy_bound=(0, 1e6),
            t_max=(0, 1e6),
            t_min=(0, 1e6),
            stability_threshold=(0, MOST_STEPS),
            confidence_threshold=(0, 1e6),
        )
        if self.entropy_bound <= 0:
            raise ValueError(f"entropy_bound is {self.entropy_bound}; must be above 0")
        if not 0 < self.t_min <= self.t_max:
            raise ValueError(
                f"temperatures t_min {self.t_min} and t_max {self.t_max} must rise from above 0"
            )


@dataclass(frozen=True, slots=True)
class LengthSettings:
    """How span lengths are tried."""

    lengths: tuple[int, ...] = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 26, 32)
    """Free tokens per lane; in steps of about a quarter, because scores near the best length
    hardly differ."""
    keep_after: tuple[tuple[int, int], ...] = ((1, 6), (2, 4))
    """Pairs of a number of steps and the number of lanes that continue after them (successive
    halving). Dropping lanes later costs rows and finds no better lengths."""
    warm_lengths: int = 2
    """Where a job starts from an earlier suggestion, only lanes whose length differs from that
    of the suggestion by at most this many tokens start from noise."""
    warm_keep_after: tuple[tuple[int, int], ...] = ((1, 3), (2, 2))
    """`keep_after` of such a job, which has fewer lanes."""
    token_reward_nats: float = 0.0
    """Reward of a finished text for each of its tokens, because the likelihood prefers short
    texts; set by the checkpoint, and found by `dg-lsp eval lengths`."""

    def __post_init__(self) -> None:
        _check_lengths("lengths", self.lengths)
        _check_keeping("keep_after", self.keep_after)
        _check_keeping("warm_keep_after", self.warm_keep_after)
        _check(self, warm_lengths=(0, MOST_CANVAS), token_reward_nats=(-1e6, 1e6))


class Order(enum.Enum):
    """Which masked positions a step decides."""

    ENTROPY = "entropy"
    """Those whose distribution has the least entropy."""
    MARGIN = "margin"
    """Those whose best token is the farthest ahead of the second-best."""
    PROBABILITY = "probability"
    """Those whose best token is the most probable."""
    P2 = "p2"
    """All; the surest share stays, and the rest is masked again (arXiv 2502.03540)."""


@dataclass(frozen=True, slots=True)
class MaskedSettings:
    """How a model with a mask token fills a span; a checkpoint has what suits it."""

    order: Order = Order.ENTROPY
    temperature: float = 0.1
    sure_probability: float = 0.9
    """A step decides the surest position, and all others whose best token has at least this
    probability at temperature 1; with 1, one position a step."""
    max_steps: int = 256
    p2_steps: int = 16
    """Steps in which the order `p2` decides all positions."""
    is_start_revisable: bool = False
    """Whether the order `p2` may also mask tokens that a canvas started with."""
    window: int = 64
    """The most positions of a canvas that grows."""
    expand_budget: int = 64
    """The most expands in one canvas. It may not expand any more once it is again what it was
    before."""
    start_masks: tuple[int, ...] = (64,)
    """Masks of each canvas of a model that can delete them; too many cost less than too few."""
    race_masks: tuple[int, ...] = (2, 4, 8, 16, 32)
    """The same for a model that cannot, whose first step shows which length fits."""
    keep_after: tuple[tuple[int, int], ...] = ((1, 2),)
    """Pairs of a number of steps and the number of lanes that continue after them."""
    seed_strength: float = 0.5
    """The share of a seed's tokens that is masked, because a decided token stays."""
    score_passes: int = 2
    """Passes in which a finished text is scored: each one predicts its share of the tokens,
    knowing those of the passes before."""
    empty_nats: float = -2.0
    """The score of an empty text for a model without a token that deletes."""

    def __post_init__(self) -> None:
        _check(
            self,
            temperature=(0, 1e6),
            sure_probability=(0, 1),
            max_steps=(1, MOST_STEPS),
            p2_steps=(1, MOST_STEPS),
            window=(1, MOST_CANVAS),
            expand_budget=(0, MOST_CANVAS),
            seed_strength=(0, 1),
            score_passes=(1, MOST_LANES),
            empty_nats=(-1e6, 1e6),
        )
        if self.temperature == 0:
            raise ValueError("temperature is 0; must be above 0")
        for name in ("start_masks", "race_masks"):
            _check_lengths(name, getattr(self, name))
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; must be at least one")
        _check_keeping("keep_after", self.keep_after)


@dataclass(frozen=True, slots=True)
class SeedSettings:
    """How far to trust texts found elsewhere, by the score that retrieval gives them.

    A checkpoint contains the values that suit it, found by `dg-lsp eval seeds`: the better a
    model is, the less such a text counts next to what the model writes. By default, only its
    likelihood counts.
    """

    lanes: int = 4
    """How many of these texts denoising starts from."""
    prior_nats: float = 0.0
    prior_nats_per_score: float = 0.0
    """Added to the log-likelihood of a text that was found elsewhere."""
    log_odds: float = -5.0
    log_odds_per_score: float = 0.5
    """How often such a text is right if it ranks first, which becomes its confidence."""
    sure_score: float = math.inf
    """From this score on, a text that one denoising step leaves unchanged is the answer."""

    def __post_init__(self) -> None:
        nats = -math.inf, math.inf
        _check(
            self,
            lanes=(0, MOST_LANES),
            prior_nats=nats,
            prior_nats_per_score=nats,
            log_odds=nats,
            log_odds_per_score=nats,
            sure_score=nats,
        )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How much of the prompts read is cached, so that a keystroke reads only new tokens."""

    prefix_bytes: int = 2 * 2**30
    """Keys and values of all documents together. With the 26B model, a prompt of 6000 tokens
    takes 0.5 GB."""
    slack_tokens: int = 512
    """Tokens beyond its window that a sliding layer keeps. That many tokens can be removed
    without reading the prompt again: a settled block, or a few lines undone."""
    refresh_steps: int = 4
    """Steps of a model with a mask token for which the keys and values of the text around a
    canvas are used; then they are computed again. 1 means at every step, which is exact, and 0
    means once in a job."""

    def __post_init__(self) -> None:
        _check(
            self,
            prefix_bytes=(0, 2**60),
            slack_tokens=(0, MOST_TOKENS),
            refresh_steps=(0, MOST_TOKENS),
        )


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """How many jobs go through the same denoising steps, with a model that can do that."""

    jobs: int = 16
    """At most so many; 1 runs one job after the other."""
    gpu_rows: int = 256
    """Another job begins only while those under way have fewer rows than this in a step. A step
    of the 26B model in 4 bits costs about the same for up to 200 to 370 rows, because it reads
    nearly all weights anyway. A job that begins adds up to 350 rows to one step."""
    cpu_rows: int = 128
    """The same on a CPU, where rows cost time from the first one on. With fewer, the many small
    operations of a step count; more made the bundled model no faster (docs/benchmarks.md)."""

    def __post_init__(self) -> None:
        for name in ("jobs", "gpu_rows", "cpu_rows"):
            number = getattr(self, name)
            if number < 1:
                raise ValueError(f"{name} is {number}; must be at least 1")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything an engine is started with."""

    prompt: PromptSettings = field(default_factory=PromptSettings)
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    length: LengthSettings = field(default_factory=LengthSettings)
    seeds: SeedSettings = field(default_factory=SeedSettings)
    masked: MaskedSettings = field(default_factory=MaskedSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    sharing: SharingSettings = field(default_factory=SharingSettings)
    block_tokens: int = 48
    """Free tokens per canvas of a long span; the checkpoint says how long its canvas may be."""
    min_confidence: float = 0.0
    """Candidates with a lower confidence are not returned; 0 returns all."""
    alternatives_temperature: float = 1.0
    """Divides the log-likelihoods that the probabilities of alternatives of a word come from,
    because a small model is too sure of them; `dg-lsp eval alternatives --tuning` fits it."""

    def __post_init__(self) -> None:
        _check(
            self,
            block_tokens=(1, MOST_CANVAS),
            min_confidence=(0, 1),
            alternatives_temperature=(0.01, 100),
        )


def model_directory(model: str) -> Path | None:
    """The directory that a model is given as; `None` if it is a name.

    A name never refers to a directory below the working directory, which may be an untrusted
    project. A path is absolute or starts with `./`, `../` or `~/`.
    """
    if not re.match(r"(\.|\.\.|~)([/\\]|$)", model) and not Path(model).is_absolute():
        return None
    return Path(os.path.expanduser(model)).absolute()
