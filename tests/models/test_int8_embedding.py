"""An embedding in int8: how far it is from the real one, and when it is used."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from dg_lsp.config import CacheSettings
from dg_lsp.models.captured import uncaptured
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.footprint import cache_bytes, working_bytes
from dg_lsp.models.gemma.fused.compiled import compiled
from dg_lsp.models.gemma.quantization import EMBEDDING, tensor_layout
from dg_lsp.models.gemma.trial import run_trial
from dg_lsp.models.gemma.weights import load_packed
from dg_lsp.models.int8_embedding import Int8Rows, bytes_of, to_int8
from dg_lsp.models.loading import load
from dg_lsp.models.memory import LEAST_CONTEXT_TOKENS
from dg_lsp.models.nf4 import packed
from dg_lsp.models.nf4.packing import pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.models.store import BUNDLED_DIRECTORY
from dg_lsp.reason import ReasonCode
from dg_lsp.training.corpus import held_out_files
from tests.w4a16 import write_int4

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small_checkpoint(tmp_path_factory):
    """The bundled model in 4 bits, whose texts mean something."""
    target = tmp_path_factory.mktemp("packed") / "small-nf4"
    plan = plan_packing(BUNDLED_DIRECTORY)
    pack(BUNDLED_DIRECTORY, target, plan, device=CPU, source_name="bundled")
    return target


def model_of(directory, *, int8: bool):
    config = open_checkpoint(directory).config
    return load_packed(directory, config, CPU, torch.float32, int8_embedding=int8)


def test_no_value_is_further_off_than_half_a_step():
    torch.manual_seed(0)
    weight = torch.randn(20_000, 48) * torch.rand(20_000, 1)
    weight[7] = 0
    rows = to_int8(weight.bfloat16(), CPU, torch.float32)
    step = weight.bfloat16().float().abs().amax(1, keepdim=True) / 127

    assert rows.shape == weight.shape
    assert ((rows[:] - weight.bfloat16().float()).abs() <= step / 2 * 1.001).all()
    assert rows[torch.tensor([[7]])].tolist() == [[[0.0] * 48]]
    assert rows.values.nbytes + rows.scales.nbytes == bytes_of(tuple(weight.shape))
    # The same weights, the same numbers.
    assert torch.equal(to_int8(weight.bfloat16(), CPU, torch.float32).values, rows.values)


@torch.inference_mode()
def test_lookup_logits_and_soft_embeddings_use_the_same_rows(small_checkpoint):
    """They are those of a model whose embedding is replaced by the decoded one."""
    ours, plain = (model_of(small_checkpoint, int8=int8) for int8 in (True, False))
    plain.model.decoder.embed_tokens.weight.copy_(ours.lm_head.weight[:])
    ids = torch.tensor([[3, 70, 2000]])
    torch.testing.assert_close(
        ours.model.encoder.language_model.embed_tokens(ids),
        plain.model.decoder.embed_tokens(ids),
    )
    torch.testing.assert_close(
        ours.lm_head(torch.ones(2, 256)), plain.lm_head(torch.ones(2, 256)), atol=1e-4, rtol=0
    )
    theirs = run_trial(GemmaDenoiser(plain)).steps
    for bucketed in (
        None,
        BucketedSteps(uncaptured),
        BucketedSteps(uncaptured, compiled(1024, "eager")),
    ):
        denoiser = GemmaDenoiser(ours, CacheSettings(), bucketed)
        for mine, other in zip(run_trial(denoiser).steps, theirs, strict=True):
            for name in ("log_probability", "entropy", "free_fit", "conditioning"):
                torch.testing.assert_close(
                    getattr(mine, name), getattr(other, name), atol=1e-3, rtol=1e-3
                )


@torch.inference_mode()
def test_logits_are_near_those_of_the_16_bit_embedding(small_checkpoint):
    canvas = torch.arange(100, 132)
    logits = []
    for int8 in (False, True):
        denoiser = GemmaDenoiser(model_of(small_checkpoint, int8=int8))
        encoded = denoiser.encode(range(200, 300))
        logits.append(denoiser.logits(encoded, canvas, [32], None))
    plain, rounded = logits
    error = (plain - rounded).pow(2).mean().sqrt()

    assert 0 < error < 0.03 * plain.std()


@pytest.fixture
def reads(monkeypatch):
    """The device that each tensor is read to, by name; tensors stay on the CPU."""
    devices: dict[str, str] = {}

    class Opened:
        def __init__(self, path, framework, device="cpu"):
            self._file, self._device = safe_open(path, framework), device

        def __enter__(self):
            self._held = self._file.__enter__()
            return self

        def __exit__(self, *error):
            return self._file.__exit__(*error)

        def keys(self):
            return self._held.keys()

        def get_tensor(self, name):
            devices[name] = self._device
            return self._held.get_tensor(name)

    monkeypatch.setattr(packed, "safe_open", Opened)
    monkeypatch.setattr(packed, "from_tensors", lambda name, own, device: own[name])
    return devices


def test_the_device_never_reads_the_embedding_in_16_bits(packed_checkpoint, reads):
    layout = tensor_layout(open_checkpoint(packed_checkpoint).config)
    with pytest.raises(CheckpointError, match="differing tensors"):
        packed.read_packed(
            packed_checkpoint, layout, torch.device("cuda:0"), on_host=(EMBEDDING,)
        )

    assert reads.pop(EMBEDDING) == "cpu"
    assert set(reads.values()) == {"cuda:0"}


def test_a_published_checkpoint_in_int4(tiny_checkpoint, tmp_path):
    directory = write_int4(tiny_checkpoint, tmp_path / "int4")
    whole = load(str(directory), "cpu")
    tight = load(str(directory), "cpu", vram=least_budget(whole) - 1)

    assert isinstance(tight.denoiser.model.lm_head.weight, Int8Rows)
    assert codes(tight) == [ReasonCode.ROUNDED_EMBEDDING]


def least_budget(loaded) -> int:
    """The least that a model fits into with its embedding as it is."""
    config = loaded.denoiser.model.config
    return (
        loaded.memory.weights
        + working_bytes(config)
        + 2 * cache_bytes(config, LEAST_CONTEXT_TOKENS)
    )


def codes(loaded) -> list[ReasonCode]:
    return [note.code for note in loaded.info.notes]


def test_it_is_used_only_where_memory_is_short(small_checkpoint):
    whole = load(str(small_checkpoint), "cpu")
    assert whole.memory.weights == pytest.approx(bytes_in_memory(whole), rel=0.02)
    least = least_budget(whole)
    enough = load(str(small_checkpoint), "cpu", vram=least)
    assert codes(enough) == []
    assert isinstance(enough.denoiser.model.lm_head.weight, torch.Tensor)

    tight = load(str(small_checkpoint), "cpu", vram=least - 1)
    assert codes(tight) == [ReasonCode.ROUNDED_EMBEDDING]
    assert small_checkpoint.name in tight.info.notes[0].message
    assert isinstance(tight.denoiser.model.lm_head.weight, Int8Rows)
    assert tight.memory.weights == pytest.approx(bytes_in_memory(tight), rel=0.02)
    # 4096 rows of 256 float32 values.
    assert whole.memory.weights - tight.memory.weights == 4096 * (256 * 3 - 4)

    with pytest.raises(CheckpointError) as raised:
        load(str(small_checkpoint), "cpu", vram=least - 4096 * (256 * 3 - 4) - 1)
    assert raised.value.code is ReasonCode.DOES_NOT_FIT


def bytes_in_memory(loaded) -> int:
    model = loaded.denoiser.model
    held = {t.data_ptr(): t.nbytes for t in (*model.parameters(), *model.buffers())}
    return sum(held.values())


@pytest.fixture(scope="module")
def held_out_texts(small_checkpoint):
    """Tokens that the model was not trained on: 432 of each text."""
    codec = open_checkpoint(small_checkpoint).read_codec()
    modules = ("argparse", "csv", "heapq", "shlex", "textwrap", "tomllib/_parser")
    texts = {file.path: file.text for file in held_out_files()}
    return [codec.encode(texts[f"stdlib/{name}.py"])[300:732] for name in modules]


@torch.inference_mode()
def test_a_trained_model_hardly_notices(small_checkpoint, held_out_texts):
    """Half of every canvas is noise. docs/models.md has the whole measurement."""
    dice = torch.Generator().manual_seed(0)
    noise = torch.randint(4096, (32,), generator=dice)
    is_noise = torch.rand(32, generator=dice) < 0.5
    logits, fits = [], []
    for int8 in (False, True):
        denoiser = GemmaDenoiser(model_of(small_checkpoint, int8=int8))
        rows, likely = [], []
        for ids in held_out_texts:
            encoded = denoiser.encode(ids[:300])
            canvas = torch.where(is_noise, noise, torch.tensor(ids[300:332]))
            rows.append(denoiser.logits(encoded, canvas, [32], None))
            likely += denoiser.score(encoded, [ids[300:]])
        logits.append(torch.cat(rows))
        fits.append(torch.cat(likely))
    plain, rounded = logits
    same = (plain.argmax(-1) == rounded.argmax(-1)).float().mean().item()
    of_plain, of_rounded = plain.log_softmax(-1), rounded.log_softmax(-1)
    divergence = (of_plain.exp() * (of_plain - of_rounded)).sum(-1).mean().item()
    rise = (fits[0] - fits[1]).mean().item()

    assert len(plain) == 192
    assert len(fits[0]) == 792
    assert -fits[0].mean() < 4.5, "the model is trained: untrained it has ln 4096 = 8.3"
    assert same >= 0.97
    assert 0 < divergence < 0.001
    assert abs(rise) < 0.005
