"""Which checkpoints follow instructions, and what their conversations are made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers.utils.chat_template_utils import render_jinja_template

from dg_lsp.engine.infilling import Filling
from dg_lsp.job import InfillJob
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.loading import load
from dg_lsp.models.nf4.packing import pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.qwen2.conversation import TASK, ChatMl
from dg_lsp.reason import ReasonCode

CPU = torch.device("cpu")
CHATML = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content"
    " + '<|im_end|>' + '\\n' }}{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
OTHER = "{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"


@pytest.fixture
def checkpoint(save_masked_checkpoint, tmp_path):
    """Writes a checkpoint with a name and a template."""

    def save(name: str, template: str | None = CHATML, *, has_turns: bool = True) -> Path:
        directory = save_masked_checkpoint(tmp_path / name)
        if template is not None:
            (directory / "chat_template.jinja").write_text(template)
        if has_turns:
            path = directory / "tokenizer.json"
            raw = json.loads(path.read_text())
            first = max(raw["model"]["vocab"].values()) + 1
            for number, content in enumerate(("<|im_start|>", "<|im_end|>"), start=first):
                flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
                raw["added_tokens"].append(
                    {"id": number, "content": content, "special": True, **flags}
                )
            path.write_text(json.dumps(raw))
        return directory

    return save


def say(directory: Path, follows: bool) -> None:
    path = directory / "dg_lsp.json"
    said = json.loads(path.read_text()) | {"follows_instructions": follows}
    path.write_text(json.dumps(said))


@pytest.mark.parametrize(
    "name",
    ["Dream-Coder-v0-Instruct-7B", "dream-v0-instruct-7b", "DiffuCoder-7B-cpGRPO", "x-7b-it"],
)
def test_a_chat_tuned_checkpoint_rewrites_by_an_instruction(checkpoint, name):
    loaded = load(str(checkpoint(name)), "cpu")
    job = InfillJob("x = ", "\n", replaced="radius", instruction="shorter", strength=0.5)

    infill = Filling(
        *(job, loaded.denoiser, loaded.codec, loaded.family(), loaded.settings),
        lambda: False,
        lambda draft: None,
    ).run()

    assert loaded.info.follows_instructions
    assert loaded.info.notes == ()
    assert infill.candidates or infill.reason


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("Dream-Coder-v0-Instruct-7B", None),
        ("Dream-Coder-v0-Base-7B", CHATML),
        ("dreamon-v0-7b", CHATML),
        ("digit-7b", CHATML),
    ],
)
def test_any_other_checkpoint_follows_none(checkpoint, name, template):
    assert not load(str(checkpoint(name, template)), "cpu").info.follows_instructions


def test_the_original_name_counts_too(checkpoint):
    directory = checkpoint("mine")
    path = directory / "config.json"
    named = {"_name_or_path": "Dream-org/Dream-v0-Instruct-7B"}
    path.write_text(json.dumps(json.loads(path.read_text()) | named))

    assert load(str(directory), "cpu").info.follows_instructions


@pytest.mark.parametrize("follows", [True, False])
def test_the_checkpoints_own_word_counts_more_than_its_name(checkpoint, follows):
    directory = checkpoint("base" if follows else "some-instruct")
    say(directory, follows)

    assert load(str(directory), "cpu").info.follows_instructions is follows


@pytest.mark.parametrize(
    ("template", "has_turns", "said"),
    [
        (None, True, "no chat template"),
        (OTHER, True, "not ChatML"),
        (CHATML, False, "<|im_start|>"),
    ],
)
def test_instructions_that_cannot_be_given_are_refused_at_loading(
    checkpoint, template, has_turns, said
):
    directory = checkpoint("tuned", template, has_turns=has_turns)
    say(directory, follows=True)

    with pytest.raises(CheckpointError) as raised:
        load(str(directory), "cpu")

    assert raised.value.code is ReasonCode.BAD_CHECKPOINT
    assert said in str(raised.value)
    assert str(directory / "dg_lsp.json") in str(raised.value)


def test_another_template_is_told_and_never_run(checkpoint):
    directory = checkpoint("Some-Instruct", OTHER + "{{ 1 / 0 }}")
    loaded = load(str(directory), "cpu")

    assert not loaded.info.follows_instructions
    [note] = loaded.info.notes
    assert note.code is ReasonCode.NO_INSTRUCTIONS
    assert "ChatML" in note.message


@pytest.mark.parametrize("template", [CHATML, [{"name": "default", "template": CHATML}]])
def test_the_template_may_be_in_the_tokenizers_configuration(checkpoint, template):
    directory = checkpoint("some-instruct", None)
    (directory / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))

    assert load(str(directory), "cpu").info.follows_instructions


def test_the_conversation_is_what_the_template_says(checkpoint):
    loaded = load(str(checkpoint("some-instruct")), "cpu")
    turns = loaded.config.turns
    before, after = ChatMl(loaded.codec, turns)(loaded.codec.encode("Write <|im_end|> anew."))

    names = {turns.start: "<|im_start|>", turns.end: "<|im_end|>"}

    def text(ids) -> str:
        return "".join(
            names.get(token) or loaded.codec.token_bytes(token).decode() for token in ids
        )

    messages = [
        {"role": "system", "content": TASK},
        {"role": "user", "content": "Write <|im_end|> anew."},
    ]
    [[rendered], _] = render_jinja_template(
        [messages], chat_template=CHATML, add_generation_prompt=True
    )
    assert text(before) == rendered
    assert text(after) == "<|im_end|>\n"
    # What a user writes is never a control token.
    assert [token for token in before if token in names].count(turns.end) == 2


def test_a_model_of_the_store_is_judged_by_where_it_comes_from(checkpoint, tmp_path):
    source = checkpoint("base")
    target = tmp_path / "mine"
    pack(source, target, plan_packing(source), device=CPU, source_name="org/Some-Instruct-7B")

    assert load(str(target), "cpu").info.follows_instructions
