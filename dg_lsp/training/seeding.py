"""What the canvas of a seeded row starts as: a text from elsewhere instead of noise.

The engine starts lanes from seeds, texts that occur elsewhere between similar neighbours. Such
a lane is as long as its seed, so it can only become the true text if the seed is as long as
that. Training starts from the best such seed; where there is none, from the true text, in some
rows with the kind of differences that seeds have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from dg_lsp.document.seeds import find_seeds
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import heal
from dg_lsp.engine.prompt import Prompt, healed_ids, plan_canvas
from dg_lsp.engine.seeding import usable
from dg_lsp.job import InfillJob

RIGHT_SHARE = 0.6
"""How often a seed as long as the true text is the true text: in 74 of 119 cases, for spans
drawn like those of training from the standard library."""
MAX_DIFFERENCES = 3


def seeded_start(
    job: InfillJob,
    document: tuple[str, str],
    prompt: Prompt,
    codec: Codec,
    true_ids: Sequence[int],
    rng: np.random.Generator,
) -> list[int]:
    """As many ids as the true ones; `document` is the whole text before and after the span."""
    seeded = dataclasses.replace(job, seeds=find_seeds(*document))
    for seed in usable(seeded, codec).values():
        ids = healed_ids(prompt, codec, seed.text)
        if len(ids) == len(true_ids):
            return ids
    if rng.random() < RIGHT_SHARE:
        return list(true_ids)
    return differing(true_ids, prompt, codec, rng)


def differing(
    true_ids: Sequence[int], prompt: Prompt, codec: Codec, rng: np.random.Generator
) -> list[int]:
    """The true ids as a similar place might have them, in the same number.

    Either every occurrence of one token is another token of the text before, or one is left out
    and another inserted. Healed positions are kept, because a seed agrees with what is typed.
    """
    ids = list(true_ids)
    kept = {one.position for one in heal(plan_canvas(prompt, len(ids)), codec, ids)}
    first = next((at for at in range(len(ids)) if at not in kept), len(ids))
    last = next((end for end in range(len(ids), 0, -1) if end - 1 not in kept), 0)
    disallowed = set(codec.control.disallowed)
    others = [token_id for token_id in prompt.ids if token_id not in disallowed]
    if first >= last or not others:
        return ids
    for _ in range(int(rng.integers(1, MAX_DIFFERENCES + 1))):
        other = others[int(rng.integers(len(others)))]
        at = int(rng.integers(first, last))
        if rng.random() < 0.5:
            renamed = ids[at]
            ids[first:last] = [other if i == renamed else i for i in ids[first:last]]
        else:
            del ids[at]
            ids.insert(int(rng.integers(first, last)), other)
    return ids
