"""The compiled parts of a step do what the plain ones do."""

from __future__ import annotations

import copy

import torch
from torch import fx

from dg_lsp.engine.denoiser import Canvases
from dg_lsp.models.captured import uncaptured
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.fused.compiled import compiled


def run(denoiser: GemmaDenoiser, prompt: int, lengths: tuple[int, ...]):
    """Two steps, the second conditioned on the first."""
    torch.manual_seed(prompt)
    rows = sum(lengths)
    free = torch.arange(1, rows)
    vocab = denoiser.vocab_size
    given = Canvases(
        lengths, free, torch.tensor([0]), torch.rand(1, vocab) < 0.3, torch.zeros_like(free)
    )
    encoded = denoiser.encode([5 + n % 290 for n in range(prompt)])
    conditioning = None
    for _ in range(2):
        predicted = denoiser.denoise(
            encoded,
            given,
            torch.randint(5, 290, (rows,)),
            conditioning,
            0.7,
            torch.rand(rows - 1),
        )
        conditioning = predicted.conditioning
    return predicted


def test_each_part_is_compiled_once_for_all_sizes_and_layers(tiny_model):
    graphs: list[fx.GraphModule] = []

    def backend(graph: fx.GraphModule, inputs: list[object]):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    parts = compiled(tiny_model.lm_head.weight.shape[0], backend)
    # A copy, because a model is either fused or not.
    model = copy.deepcopy(tiny_model)
    ours = GemmaDenoiser(model, bucketed=BucketedSteps(uncaptured, parts))
    plain = GemmaDenoiser(tiny_model)
    counted = []
    for prompt, lengths in ((30, (6,)), (300, (16, 7)), (90, (9, 9, 9))):
        expected, found = (run(one, prompt, lengths) for one in (plain, ours))
        assert torch.equal(found.argmax, expected.argmax)
        torch.testing.assert_close(found.conditioning, expected.conditioning, atol=2e-4, rtol=0)
        counted.append(len(graphs))

    # Of the layers, one for each kind.
    assert counted == [4, 4, 4]
