"""The denoising loop against transformers' own, and what pinning and healing promise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from dg_lsp.config import SamplerSettings
from dg_lsp.engine.codec import ControlTokens, TurnTokens
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.engine.uniform import UniformCorruption
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.sampling import Head

PROMPT = [2, 40, 41, 50, 51, 52, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 80, 81]


class NothingDisallowed:
    """A codec in whose eyes every token is text, as the reference sampler sees it."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.control = ControlTokens(bos=2, pad=0, disallowed=(), turns=TurnTokens(3, 4))


def open_plan(length: int) -> CanvasPlan:
    return CanvasPlan((-1,) * length, 0, length, (), (), is_open=True)


def by_inversion(probabilities: torch.Tensor, num_samples: int) -> torch.Tensor:
    """`torch.multinomial`, but with one uniform number per row."""
    cumulative = probabilities.cumsum(-1)
    total = cumulative[:, -1:]
    below = torch.minimum(
        torch.rand(total.shape) * total, torch.nextafter(total, torch.zeros_like(total))
    )
    return torch.searchsorted(cumulative, below, right=True)


@pytest.fixture
def denoiser(tiny_model):
    return GemmaDenoiser(tiny_model)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("entropy_bound", [0.1, 20.0])
def test_reproduces_the_reference_sampler_token_for_token(
    tiny_model, denoiser, seed, entropy_bound, monkeypatch
):
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
        DiffusionGemmaGenerationConfig,
        EntropyBoundSamplerConfig,
    )

    drafts: list[torch.Tensor] = []

    class Streamer:
        def put_draft(self, value):
            drafts.append(value[0].clone())

        def put(self, value):
            pass

        def end(self):
            pass

    length = tiny_model.config.canvas_length
    reference = DiffusionGemmaGenerationConfig(
        max_new_tokens=length,
        max_denoising_steps=10,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=entropy_bound),
        t_min=0.4,
        t_max=0.8,
        stability_threshold=1,
        confidence_threshold=3.0,
        pad_token_id=0,
    )
    # The same noise for both: the reference samples as we do, from the same stream.
    monkeypatch.setattr(torch, "multinomial", by_inversion)
    torch.manual_seed(seed)
    tiny_model.generate(
        torch.tensor([PROMPT]), generation_config=reference, streamer=Streamer()
    )

    ours = Denoising(
        denoiser,
        denoiser.encode(PROMPT),
        [open_plan(length)],
        NothingDisallowed(denoiser.vocab_size),
        corruption(
            denoiser,
            seed,
            max_denoising_steps=10,
            entropy_bound=entropy_bound,
            confidence_threshold=3.0,
        ),
    )
    ours_drafts = []
    while not ours.done:
        ours.step()
        ours_drafts.append(ours.lanes[0].shown.clone())
    assert len(drafts) == len(ours_drafts)
    assert torch.equal(torch.stack(drafts), torch.stack(ours_drafts))


class Watched:
    """A denoiser that keeps what every step hands to it."""

    def __init__(self, denoiser: GemmaDenoiser) -> None:
        self.vocab_size, self.canvas_length = denoiser.vocab_size, denoiser.canvas_length
        self.device = denoiser.device
        self.canvases: list[torch.Tensor] = []
        self.conditionings: list[torch.Tensor] = []
        self._denoiser = denoiser

    def encode(self, ids):
        return self._denoiser.encode(ids)

    def denoise(self, encoded, canvases, canvas, conditioning, *rest):
        self.canvases.append(canvas.clone())
        if conditioning is not None:
            self.conditionings.append(conditioning.clone())
        return self._denoiser.denoise(encoded, canvases, canvas, conditioning, *rest)


@pytest.fixture
def prefer(monkeypatch):
    """Let the output layer prefer some tokens."""

    def preferring(tokens: Sequence[int]) -> None:
        original = Head.logits_of

        def logits_of(self, hidden, weights):
            preferred = original(self, hidden, weights)
            preferred[:, list(tokens)] += 20
            return preferred

        monkeypatch.setattr(Head, "logits_of", logits_of)

    return preferring


def corruption(denoiser, seed: int = 0, **settings) -> UniformCorruption:
    return UniformCorruption(SamplerSettings(**settings), denoiser.device, seed)


def watch(
    denoiser, codec, plans: Sequence[CanvasPlan], seed=0, **settings
) -> tuple[Watched, Denoising]:
    """Denoise `plans` to the end of all steps."""
    watched = Watched(denoiser)
    denoising = Denoising(
        watched,
        watched.encode(PROMPT),
        plans,
        codec,
        corruption(
            denoiser, seed, **{"max_denoising_steps": 6, "stability_threshold": 6} | settings
        ),
    )
    while not denoising.done:
        denoising.step()
    return watched, denoising


def free_of(plan: CanvasPlan, canvas: torch.Tensor) -> list[int]:
    return canvas[plan.free_start : plan.free_end].tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("entropy_bound", [0.1, 20.0])
def test_pinned_positions_are_exactly_their_tokens_in_every_step(
    denoiser, tiny_codec, seed, entropy_bound
):
    # The end of turn may be pinned, though it may not be written.
    ids = (50, 51, -1, -1, -1, 60, 61, tiny_codec.control.turn_end)
    plans = [
        CanvasPlan(ids, 2, 5, (), (), is_open=False),
        CanvasPlan((-1, 70, 71), 0, 1, (), (), is_open=False),
    ]
    watched, _ = watch(denoiser, tiny_codec, plans, seed, entropy_bound=entropy_bound)

    known = torch.tensor([*ids, *plans[1].ids])
    pinned = known >= 0
    assert len(watched.canvases) == 6
    for canvas in watched.canvases:
        assert torch.equal(canvas[pinned], known[pinned])
    embedded = denoiser.model.model.decoder.embed_tokens(known[pinned])
    for conditioning in watched.conditionings:
        assert torch.equal(conditioning[pinned], embedded)
    # Free positions, on the other hand, do move.
    assert len({tuple(canvas[~pinned].tolist()) for canvas in watched.canvases}) > 1


@pytest.mark.parametrize("seed", range(4))
def test_control_tokens_are_never_written(denoiser, tiny_codec, seed, prefer):
    disallowed = tiny_codec.control.disallowed
    prefer(disallowed)
    plan = CanvasPlan((-1,) * 8 + (60, 61), 0, 8, (), (), is_open=False)
    watched, denoising = watch(denoiser, tiny_codec, [plan], seed, entropy_bound=20.0)

    written = [free_of(plan, canvas) for canvas in watched.canvases]
    written.append(denoising.lanes[0].shown.tolist())
    assert not {token for step in written for token in step} & set(disallowed)


@pytest.mark.parametrize("seed", range(3))
def test_ids_beyond_the_tokenizer_are_never_written(denoiser, tiny_codec, seed, prefer):
    class SmallCodec:
        control, vocab_size = tiny_codec.control, 20

    prefer(range(20, 302))
    plan = open_plan(8)
    watched, denoising = watch(denoiser, SmallCodec(), [plan], seed, entropy_bound=20.0)

    written = [token for canvas in watched.canvases for token in free_of(plan, canvas)]
    assert max([*written, *denoising.lanes[0].shown.tolist()]) < 20


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("left", "right", "count"),
    [("r", None, 3), (None, "s", 3), (" ", "s", 4), ("\n", " ", 2), ("a", None, 1)],
)
def test_healed_positions_agree_with_what_is_typed(
    denoiser, tiny_codec, left, right, count, seed
):
    def typed(text):
        return () if text is None else (tiny_codec.encode(text)[0],)

    plan = CanvasPlan((-1,) * count + (60,), 0, count, typed(left), typed(right), is_open=False)
    watched, denoising = watch(denoiser, tiny_codec, [plan], seed, entropy_bound=20.0)

    steps = [free_of(plan, canvas) for canvas in watched.canvases]
    steps.append(denoising.lanes[0].shown.tolist())
    for tokens in steps:
        if left is not None:
            first = tiny_codec.token_bytes(plan.left_tokens[0])
            assert tiny_codec.token_bytes(tokens[0]).startswith(first)
        if right is not None:
            last = tiny_codec.token_bytes(plan.right_tokens[0])
            assert tiny_codec.token_bytes(tokens[-1]).endswith(last)
    # Their noise is what is typed: nothing better is known at the start.
    if left is not None:
        assert steps[0][0] == plan.left_tokens[0]
    if right is not None:
        assert steps[0][-1] == plan.right_tokens[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("preferred", ["", "return", "return tu", "re tu 14"])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_several_healed_tokens_hold_the_typed_text_at_every_step(
    denoiser, tiny_codec, prefer, preferred, count, seed
):
    # "return" and "retu" reach over "re", "t" and "u".
    left = tuple(i for text in ("re", "t", "u") for i in tiny_codec.encode(text))
    plan = CanvasPlan((-1,) * count + (60,), 0, count, left, (), is_open=False)
    prefer(tiny_codec.encode(preferred))
    watched, uniform = Watched(denoiser), corruption(denoiser, seed, max_denoising_steps=6)
    denoising = Denoising(watched, watched.encode(PROMPT), [plan], tiny_codec, uniform)
    assert free_of(plan, denoising._canvas)[:3] == list(left[:count])
    while not denoising.done:
        denoising.step()
        shown = denoising.lanes[0].shown.tolist()
        assert text_of(tiny_codec, shown).startswith(b"retu")
        if preferred.startswith("return"):
            # One token reaches the cursor, so that the next positions are free.
            assert shown[0] == tiny_codec.encode("return")[0]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_healed_tokens_after_the_span(denoiser, tiny_codec, count):
    right = tuple(i for text in ("t", "u", "rn") for i in tiny_codec.encode(text))
    plan = CanvasPlan((-1,) * count + (60,), 0, count, (), right, is_open=False)
    watched, denoising = watch(denoiser, tiny_codec, [plan], entropy_bound=20.0)

    assert free_of(plan, watched.canvases[0])[-3:] == list(right[-count:])
    assert text_of(tiny_codec, denoising.lanes[0].shown.tolist()).endswith(b"turn")


@pytest.mark.parametrize("seed", range(3))
def test_one_token_may_hold_what_is_typed_on_both_sides(denoiser, tiny_codec, seed):
    left, right = (tuple(tiny_codec.encode(text)) for text in (" ", "s"))
    plan = CanvasPlan((-1, 60), 0, 1, left, right, is_open=False)
    _, denoising = watch(denoiser, tiny_codec, [plan], seed)

    # The only one that begins with a space and ends with an s.
    assert tiny_codec.token_bytes(int(denoising.lanes[0].shown)) == b" radius"


def test_two_pieces_that_no_token_holds_are_refused(denoiser, tiny_codec):
    left, right = (tuple(tiny_codec.encode(text)) for text in ("(", "#"))

    with pytest.raises(ValueError, match="token"):
        watch(denoiser, tiny_codec, [CanvasPlan((-1, 60), 0, 1, left, right, is_open=False)])


def test_a_canvas_with_nothing_free_is_refused(denoiser, tiny_codec):
    with pytest.raises(ValueError, match="free position"):
        watch(denoiser, tiny_codec, [CanvasPlan((50, 51), 0, 0, (), (), is_open=False)])


def test_a_rewrite_starts_from_the_given_tokens(denoiser, tiny_codec):
    plan = CanvasPlan((50, -1, 51, 60, 61), 0, 3, (), (), is_open=False)
    watched, _ = watch(denoiser, tiny_codec, [plan])

    first = watched.canvases[0].tolist()
    assert (first[0], first[2:]) == (50, [51, 60, 61])


@pytest.mark.parametrize("prompt_length", [1, 4, 15, 16, 17, 40])
def test_lanes_in_one_forward_are_each_alone(denoiser, prompt_length):
    encoded = denoiser.encode((PROMPT * 2)[:prompt_length])
    generator = torch.Generator().manual_seed(0)
    lengths = [5, 1, 20, 12]
    canvas = torch.randint(5, denoiser.vocab_size, (sum(lengths),), generator=generator)
    hidden = denoiser.model.config.text_config.hidden_size
    conditioning = torch.randn(sum(lengths), hidden, generator=generator)

    for given in (None, conditioning):
        together = denoiser.hidden(encoded, canvas, lengths, given).split(lengths)
        alone = [
            denoiser.hidden(encoded, own, [len(own)], rows)
            for own, rows in zip(
                canvas.split(lengths),
                [None] * len(lengths) if given is None else given.split(lengths),
                strict=True,
            )
        ]
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


@pytest.mark.parametrize("order", [[2], [0, 2], [2, 0], [1, 2, 0]])
def test_lanes_that_are_kept_go_on_as_they_were(denoiser, tiny_codec, order):
    plans = [
        CanvasPlan(
            (-1,) * count + (60, 61), 0, count, (tiny_codec.encode("r")[0],), (), is_open=False
        )
        for count in (3, 4, 5)
    ]
    watched = Watched(denoiser)
    uniform = corruption(denoiser, max_denoising_steps=4, stability_threshold=4)
    denoising = Denoising(watched, watched.encode(PROMPT), plans, tiny_codec, uniform)
    denoising.step()
    kept = [denoising.lanes[n] for n in order]
    denoising.step()
    denoising.keep(kept)
    before = watched.canvases[1].split([5, 6, 7])
    denoising.step()

    assert [lane.plan for lane in denoising.lanes] == [plans[n] for n in sorted(order)]
    rows = [len(plans[n].ids) for n in sorted(order)]
    after = watched.canvases[2].split(rows)
    for canvas, number in zip(after, sorted(order), strict=True):
        # What is pinned and what is healed stands where it stood.
        assert canvas[-2:].tolist() == before[number][-2:].tolist() == [60, 61]
        assert tiny_codec.token_bytes(int(canvas[0])).startswith(b"r")
    embedded = denoiser.model.model.decoder.embed_tokens(torch.tensor([60, 61]))
    for soft in watched.conditionings[-1].split(rows):
        assert torch.equal(soft[-2:], embedded)


class SettlingFirst(UniformCorruption):
    """Lets the shortest canvas settle after its first step, if `settles`, and no other."""

    settles = True

    def observe(self, lane, view):
        super().observe(lane, view)
        lane.settled = self.settles and lane.plan.free_length == 2


class Never(SettlingFirst):
    settles = False


def test_a_settled_lane_leaves_the_pass_and_the_others_go_on_as_they_would(
    denoiser, tiny_codec
):
    plans = [
        CanvasPlan((-1,) * count + (60, 61), 0, count, (), (), is_open=False)
        for count in (4, 2, 3)
    ]
    runs = []
    for kind in (SettlingFirst, Never):
        watched = Watched(denoiser)
        settings = SamplerSettings(max_denoising_steps=4)
        denoising = Denoising(
            watched,
            watched.encode(PROMPT),
            plans,
            tiny_codec,
            kind(settings, denoiser.device, 0),
        )
        denoising.step()
        lane = denoising.lanes[1]
        shown, probability = lane.shown.clone(), lane.log_probability.clone()
        while not denoising.done:
            denoising.step()
        runs.append((watched.canvases, denoising.lanes))
        if kind is SettlingFirst:
            assert lane.steps == 1
            assert torch.equal(lane.shown, shown)
            assert torch.equal(lane.log_probability, probability)

    (narrow, settled), (wide, running) = runs
    assert [len(canvas) for canvas in narrow] == [15, 11, 11, 11]
    for ours, theirs in zip(narrow[1:], wide[1:], strict=True):
        assert ours.tolist() == [*theirs[:6].tolist(), *theirs[10:].tolist()]
    for number in (0, 2):
        assert torch.equal(settled[number].shown, running[number].shown)


def test_fits_of_pinned_tokens_are_computed_only_where_they_are_asked_for(denoiser, tiny_codec):
    plans = [CanvasPlan((-1, -1, 60), 0, 2, (), (), is_open=False)] * 2
    uniform = corruption(denoiser, max_denoising_steps=3, stability_threshold=3)
    denoising = Denoising(denoiser, denoiser.encode(PROMPT), plans, tiny_codec, uniform)
    denoising.step()
    lane = denoising.lanes[0]
    pinned, free = lane.pinned_fit, lane.free_fit
    denoising.keep([lane], fits_pinned=False)
    denoising.step()

    assert lane.pinned_fit == pinned < 0
    assert lane.free_fit != free


def test_the_same_seed_draws_the_same_canvases(denoiser, tiny_codec):
    def canvases(seed: int) -> list[list[int]]:
        watched, _ = watch(denoiser, tiny_codec, [open_plan(6)], seed)
        return [canvas.tolist() for canvas in watched.canvases]

    assert canvases(1) == canvases(1)
    assert canvases(1) != canvases(2)
