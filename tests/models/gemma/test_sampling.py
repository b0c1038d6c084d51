"""The fused selection against the plainest way to write it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from dg_lsp.models.gemma import sampling
from dg_lsp.models.gemma.sampling import Head, Selection, log_probabilities, select

CAP = 30.0


def plainly(
    head: Head,
    hidden: torch.Tensor,
    pinned: torch.Tensor,
    disallowed: torch.Tensor,
    constraint: torch.Tensor,
    temperature: torch.Tensor,
    share: torch.Tensor,
) -> Selection:
    """`select` with all logits at once, in float64."""
    free = len(share)
    weight = head.weight.double()
    logits = torch.tanh(hidden.double() @ weight.T / head.cap) * head.cap
    limited = (logits[:free] / temperature).masked_fill(disallowed[constraint], -torch.inf)
    probabilities = limited.softmax(-1)
    best, argmax = limited.log_softmax(-1).max(-1)
    summed = probabilities.cumsum(-1)
    tokens = torch.cat([argmax, pinned])
    return Selection(
        sampled=torch.searchsorted(summed, share.double()[:, None], right=True).squeeze(1),
        argmax=argmax,
        log_probability=best,
        entropy=torch.special.entr(probabilities).sum(-1),
        fit=logits.log_softmax(-1).gather(1, tokens[:, None]).squeeze(1),
        soft=probabilities @ weight,
    )


def inputs(vocab: int, free: int, pinned: int, seed: int, spread: float = 1.0, hidden: int = 8):
    """Random arguments of `select`: three constraints, the first of which is hardly one."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(vocab, hidden, generator=generator)
    states = torch.randn(free + pinned, hidden, generator=generator) * spread
    disallowed = torch.rand(3, vocab, generator=generator) < torch.tensor(
        [[0.01], [0.5], [0.95]]
    )
    # The last token may always be written, so that no constraint excludes all.
    disallowed[:, -1] = False
    return (
        Head(weight, CAP),
        states,
        torch.randint(vocab, (pinned,), generator=generator),
        disallowed,
        torch.randint(3, (free,), generator=generator),
        torch.tensor(0.2 + 0.6 * float(torch.rand((), generator=generator))),
        torch.rand(free, generator=generator),
    )


@settings(deadline=None, max_examples=60)
@given(
    vocab=st.integers(2, 700),
    chunk=st.sampled_from([64, 128, 8192]),
    free=st.integers(1, 5),
    pinned=st.integers(0, 4),
    spread=st.sampled_from([0.01, 1.0, 3.0]),
    seed=st.integers(0, 999),
)
def test_agrees_with_all_logits_at_once(vocab, chunk, free, pinned, spread, seed):
    given_inputs = inputs(vocab, free, pinned, seed, spread)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "VOCABULARY_CHUNK", chunk)
        ours = select(*given_inputs)
    theirs = plainly(*given_inputs)

    assert ours.argmax.tolist() == theirs.argmax.tolist()
    assert ours.sampled.tolist() == theirs.sampled.tolist()
    for name in ("log_probability", "entropy", "fit", "soft"):
        a, b = getattr(ours, name), getattr(theirs, name)
        torch.testing.assert_close(a.double(), b, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("chunk", [64, 8192])
@pytest.mark.parametrize("share", [0.0, 1 - 2**-24])
def test_no_draw_falls_outside_what_may_be_written(monkeypatch, chunk, share):
    monkeypatch.setattr(sampling, "VOCABULARY_CHUNK", chunk)
    for seed in range(20):
        arguments = inputs(300, 6, 0, seed)
        disallowed, constraint = arguments[3], arguments[4]
        selection = select(*arguments[:-1], torch.full((6,), share))

        assert not disallowed[constraint, selection.sampled].any()
        assert not disallowed[constraint, selection.argmax].any()


@pytest.mark.parametrize("chunk", [64, 8192])
def test_tokens_are_drawn_as_often_as_they_are_probable(monkeypatch, chunk):
    monkeypatch.setattr(sampling, "VOCABULARY_CHUNK", chunk)
    rows, vocab = 20_000, 200
    wanted = {3: 0.5, 70: 0.3, 190: 0.2}
    weight = torch.full((vocab, 1), -20.0)
    for token, probability in wanted.items():
        weight[token] = torch.tensor(probability).log()
    selection = select(
        Head(torch.atanh(weight / CAP) * CAP, CAP),
        torch.ones(rows, 1),
        torch.empty(0, dtype=torch.long),
        torch.zeros(1, vocab, dtype=torch.bool),
        torch.zeros(rows, dtype=torch.long),
        torch.tensor(1.0),
        torch.rand(rows, generator=torch.Generator().manual_seed(1)),
    )

    shares = torch.bincount(selection.sampled, minlength=vocab) / rows
    for token, probability in wanted.items():
        assert float(shares[token]) == pytest.approx(probability, abs=0.015)


def test_a_sure_row_has_the_entropy_of_its_doubt():
    # One minus the best probability is 4e-6: far below the rounding of a logit.
    weight = torch.tensor([[10.0], [-2.4], [-20.0]])
    arguments = inputs(3, 1, 0, 0, hidden=1)
    arguments = (Head(weight, CAP), torch.ones(1, 1), *arguments[2:])
    arguments = (*arguments[:3], torch.zeros(1, 3, dtype=torch.bool), torch.zeros(1).long())
    arguments = (*arguments, torch.tensor(1.0), torch.tensor([0.5]))

    expect = float(plainly(*arguments).entropy)
    assert 1e-6 < expect < 1e-4
    assert float(select(*arguments).entropy) == pytest.approx(expect, rel=0.02)


@pytest.mark.parametrize("chunk", [64, 8192])
def test_log_probabilities_are_those_of_all_logits(monkeypatch, chunk):
    monkeypatch.setattr(sampling, "VOCABULARY_CHUNK", chunk)
    head, hidden, tokens, *_ = inputs(300, 0, 7, 1)
    expect = torch.log_softmax(head.logits(hidden), -1).gather(1, tokens[:, None]).squeeze(1)

    torch.testing.assert_close(
        log_probabilities(head, hidden, tokens), expect, atol=1e-5, rtol=0
    )


class Largest(TorchDispatchMode):
    """Records the largest float32 tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, torch.Tensor) and one.dtype is torch.float32:
                self.elements = max(self.elements, one.numel())
        return made


def test_no_tensor_holds_the_logits_of_all_rows():
    vocab, rows = 262_144, 48
    arguments = inputs(vocab, rows, 16, 0, hidden=4)
    with Largest() as largest:
        selection = select(*arguments)
        log_probabilities(*arguments[:2], torch.zeros(rows + 16, dtype=torch.long))

    assert selection.argmax.max() > sampling.VOCABULARY_CHUNK
    # The output weights are there before; views of them count as made.
    assert largest.elements <= max(vocab * 4, (rows + 16) * sampling.VOCABULARY_CHUNK)
    assert largest.elements < vocab * rows / 8
