"""Which tensor of a compressed-tensors checkpoint belongs to which weight."""

from __future__ import annotations

import pytest

from dg_lsp.models.w4a16.names import Part, Place, place_of

LAYER = "model.decoder.layers.3"
GATE_UP, DOWN = f"{LAYER}.experts.gate_up_proj", f"{LAYER}.experts.down_proj"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("self_attn.q_proj.weight", Place(f"{LAYER}.self_attn.q_proj.weight", Part.WHOLE)),
        (
            "self_attn.q_proj.weight_packed",
            Place(f"{LAYER}.self_attn.q_proj.weight", Part.WORDS),
        ),
        ("mlp.up_proj.weight_scale", Place(f"{LAYER}.mlp.up_proj.weight", Part.SCALES)),
        ("mlp.up_proj.weight_shape", Place(f"{LAYER}.mlp.up_proj.weight", Part.SHAPE)),
        ("mlp.up_proj.weight_g_idx", Place(f"{LAYER}.mlp.up_proj.weight", Part.ORDER)),
        ("mlp.up_proj.weight_zero_point", Place(f"{LAYER}.mlp.up_proj.weight", Part.ZEROS)),
        ("experts.127.gate_proj.weight_packed", Place(GATE_UP, Part.WORDS, 127, 0)),
        ("experts.0.up_proj.weight_scale", Place(GATE_UP, Part.SCALES, 0, 1)),
        ("experts.5.down_proj.weight_shape", Place(DOWN, Part.SHAPE, 5)),
        ("experts.5.down_proj.weight", Place(DOWN, Part.WHOLE, 5)),
        ("experts.gate_up_proj_packed", Place(GATE_UP, Part.WORDS)),
        ("experts.gate_up_proj.weight_packed", Place(GATE_UP, Part.WORDS)),
        ("experts.down_proj_scale", Place(DOWN, Part.SCALES)),
        ("experts.down_proj", Place(DOWN, Part.WHOLE)),
        # Not parts of a packed weight, though their names end like it.
        ("router.per_expert_scale", Place(f"{LAYER}.router.per_expert_scale", Part.WHOLE)),
        ("router.scale", Place(f"{LAYER}.router.scale", Part.WHOLE)),
        ("layer_scalar", Place(f"{LAYER}.layer_scalar", Part.WHOLE)),
    ],
)
def test_place(name, place):
    assert place_of(f"{LAYER}.{name}") == place
