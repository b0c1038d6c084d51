"""A tiny random checkpoint of the real class, made on the spot and shared by all tests."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzzing import set_defaults

# The kernels run in Triton's interpreter, which must be asked for before anything imports them.
os.environ["TRITON_INTERPRET"] = "1"
# Models of the tests are tiny: threads that wait for each other only cost time, and on a busy
# machine they come to a standstill. Servers and engines that tests start inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before any test takes its settings from the profile.
set_defaults()


@pytest.fixture(autouse=True, scope="session")
def state_directory(tmp_path_factory) -> Iterator[Path]:
    """What servers of the tests remember is not mixed with what the user's have."""
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("state")
        patch.setenv("DG_LSP_STATE_DIR", str(directory))
        yield directory


@pytest.fixture(autouse=True)
def allowed_kernels() -> Iterator[None]:
    """A model whose kernels fail their check disallows them for its test, not for later."""
    yield
    if (kernels := sys.modules.get("dg_lsp.models.kernels")) is not None:
        kernels.allow(True)


@pytest.fixture(autouse=True, scope="session")
def no_models_of_the_user(tmp_path_factory):
    """What the developer pulled must not be the best model of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DG_LSP_MODELS_DIR", str(tmp_path_factory.mktemp("no-models")))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_engine_of_the_user() -> Iterator[None]:
    """What an editor of the developer started must not answer a test."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory("dgl") as directory:
        patch.setenv("DG_LSP_RUNTIME_DIR", directory)
        yield


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """A store of models that a test may fill."""
    directory = tmp_path / "models"
    monkeypatch.setenv("DG_LSP_MODELS_DIR", str(directory))
    return directory


@pytest.fixture
def python_on_a_terminal():
    """Run Python with a pseudo-terminal as its output: status, what was drawn, and stderr."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on Windows")

    def run(*arguments: str, **environment: str) -> tuple[int, bytes, bytes]:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, *arguments],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", **environment},
        ) as process:
            os.close(theirs)
            drawn = b""
            # Linux ends the reading of a terminal whose other side is gone with an error.
            try:
                while part := os.read(ours, 65536):
                    drawn += part
            except OSError:
                pass
            os.close(ours)
            assert process.stderr is not None
            said = process.stderr.read()
        return process.returncode, drawn, said

    return run


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from dg_lsp.training.tokenizer import train_tokenizer

    text = "def area(self, radius):\n    return 3.14 * radius ** 2  # naïve, 圆 🙂\n" * 3
    return train_tokenizer([text], vocab_size=320)


@pytest.fixture(scope="session")
def tiny_codec(tiny_tokenizer):
    from dg_lsp.models.tokenizer import FileCodec

    return FileCodec(tiny_tokenizer)


GEMMA_ADDED = (
    *("<mask>", "[multimodal]", "<unused0>", "<unused1>", "<unused6241>"),
    *("\n" * count for count in range(1, 9)),
    *("▁" * count for count in range(2, 32)),
    *("\t" * count for count in range(1, 9)),
    *("<table>", "</table>", "<td>", "<b>", "</b>"),
)
"""Added tokens of a Gemma that are not special."""


@pytest.fixture(scope="session")
def gemma_tokenizer():
    """A tokenizer of Gemma's kind with a small vocabulary, or the real one.

    Bytes for unknown characters, spaces as U+2581 in texts that nothing splits, the same added
    tokens, and an image token at the end. `make test-tokenizer` names a real one.
    """
    import argparse
    import inspect
    import textwrap

    from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    from dg_lsp.training.tokenizer import CONTROL

    if real := os.environ.get("DG_LSP_TEST_TOKENIZER"):
        return Tokenizer.from_file(real)
    learner = Tokenizer(BPE(byte_fallback=True))
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(r"▁?\w+|▁+|[^\w▁]+"), "isolated")
    trainer = BpeTrainer(
        vocab_size=3000,
        special_tokens=[
            *(*CONTROL, *GEMMA_ADDED),
            *(f"<0x{byte:02X}>" for byte in range(256)),
        ],
        show_progress=False,
    )
    learner.train_from_iterator(map(inspect.getsource, (argparse, textwrap)), trainer)
    tokenizer = Tokenizer(learner.model)
    tokenizer.normalizer = learner.normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in CONTROL])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in GEMMA_ADDED])
    tokenizer.add_special_tokens([AddedToken("<image_soft_token>", special=True)])
    return tokenizer


@pytest.fixture(scope="session")
def gemma_codec(gemma_tokenizer):
    """It has one token more than the model."""
    from dg_lsp.models.tokenizer import FileCodec

    return FileCodec(gemma_tokenizer, gemma_tokenizer.get_vocab_size() - 1)


def config_of_shape(vocab_size: int, **changes):
    """A tiny configuration of the real class, or a larger one."""
    from transformers import DiffusionGemmaConfig, DiffusionGemmaTextConfig

    from dg_lsp.models.gemma.diffusion_gemma import NO_VISION

    shape = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "global_head_dim": 32,
        "num_global_key_value_heads": 1,
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 64,
        # Shorter than the prompts of the tests, so that window slicing is exercised.
        "sliding_window": 16,
        "max_position_embeddings": 512,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "initializer_range": 0.2,
    }
    text = DiffusionGemmaTextConfig(vocab_size=vocab_size, **(shape | changes))
    return DiffusionGemmaConfig(
        text_config=text, vision_config=dict(NO_VISION), canvas_length=12
    )


@pytest.fixture(scope="session")
def tiny_config(tiny_tokenizer):
    return config_of_shape(tiny_tokenizer.get_vocab_size())


@pytest.fixture(scope="session")
def larger_config(tiny_tokenizer):
    """200 MB in bfloat16, nearly all of them experts, in three layers."""
    return config_of_shape(
        tiny_tokenizer.get_vocab_size(),
        hidden_size=512,
        num_experts=24,
        moe_intermediate_size=1024,
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_config):
    import torch

    from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma

    torch.manual_seed(7)
    return TextDiffusionGemma(tiny_config).eval()


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model, tiny_tokenizer, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("tiny")
    tiny_model.save_pretrained(directory)
    tiny_tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "dg_lsp.json").write_text('{"prompt": {"style": "bare"}}')
    return directory


@pytest.fixture(scope="session")
def packed_checkpoint(tiny_checkpoint, tmp_path_factory) -> Path:
    """The tiny checkpoint in 4 bits."""
    import torch

    from dg_lsp.models.nf4.packing import pack
    from dg_lsp.models.nf4.planning import plan_packing

    target = tmp_path_factory.mktemp("packed") / "tiny-nf4"
    plan = plan_packing(tiny_checkpoint)
    pack(tiny_checkpoint, target, plan, device=torch.device("cpu"), source_name="tiny")
    return target


@pytest.fixture(scope="session")
def split_into_shards():
    """Put the tensors of a checkpoint into several files, as real ones have them."""
    from safetensors.torch import load_file, save_file

    def split(checkpoint: Path, count: int, *, in_order: bool = False) -> list[str]:
        tensors = load_file(checkpoint / "model.safetensors")
        (checkpoint / "model.safetensors").unlink()
        weight_map = {}
        for number in range(count):
            # In order, as real ones are, or in turns, so that every layer lies in all of them.
            some = [*range(len(tensors))]
            share = -(-len(some) // count)
            mine = some[number * share :][:share] if in_order else some[number::count]
            names = [sorted(tensors)[index] for index in mine]
            file = f"model-{number}.safetensors"
            save_file({name: tensors[name] for name in names}, checkpoint / file)
            weight_map |= dict.fromkeys(names, file)
        index = checkpoint / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": weight_map}))
        return sorted(set(weight_map.values()))

    return split


@pytest.fixture(scope="session")
def save_masked_checkpoint(tiny_tokenizer):
    """Write a tiny random Qwen2 with a mask token and length tokens, in float32."""
    from tests import masked

    return functools.partial(masked.save, tiny_tokenizer)


@pytest.fixture(scope="session")
def masked_checkpoint(save_masked_checkpoint, tmp_path_factory) -> Path:
    """The tiny masked checkpoint; nothing may change it."""
    return save_masked_checkpoint(tmp_path_factory.mktemp("masked"))
