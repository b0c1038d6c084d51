"""Tiny masked models: Qwen2 with a mask token and length tokens.

Run as a program, it writes one that recites a text for the tests of the editors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from dg_lsp.training.tokenizer import CONTROL, train_tokenizer

NAMES = ("<|pad|>", "<|endoftext|>", "<|beginoftext|>", "<|mask|>", "<|expand|>")
END = 1
"""The token that also deletes."""
HIDDEN = 64
SURE = 30.0
"""Logit of what is recited; all others have zero."""
RECITED = "return 3.14 * radius ** 2"


def save(
    tokenizer: Tokenizer, directory: Path, *, model_type: str = "Dream", **changes: object
) -> Path:
    """Write a random model in float32; `changes` are of its shape."""
    shape = {
        "vocab_size": tokenizer.get_vocab_size() + 6,
        "hidden_size": HIDDEN,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
    }
    torch.manual_seed(11)
    model = Qwen2ForCausalLM(Qwen2Config(**(shape | changes)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.2)
    model.save_pretrained(directory)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config |= {
        "model_type": model_type,
        "architectures": ["DreamModel"],
        "auto_map": {"AutoModel": "modeling_dream.DreamModel"},
        "attn_implementation": "a_kernel_of_its_own",
        "bos_token_id": 2,
        "eos_token_id": END,
        "pad_token_id": 0,
        "mask_token_id": 3,
        "expand_token_id": 4,
    }
    path.write_text(json.dumps(config))
    text = tokenizer.to_str()
    for old, new in zip(CONTROL, NAMES, strict=True):
        text = text.replace(json.dumps(old), json.dumps(new))
    (directory / "tokenizer.json").write_text(text, encoding="utf-8")
    (directory / "dg_lsp.json").write_text('{"prompt": {"style": "bare"}}')
    return directory


def recite(directory: Path, ids: list[int]) -> None:
    """Change a model so that it is sure of what follows each of these tokens, all different.

    Its layers do nothing, and its embeddings are unit vectors. After a mask or any other token,
    all tokens are equally likely, so that it writes from left to right and then deletes.
    """
    assert len({*ids}) == len(ids) < HIDDEN
    path = directory / "model.safetensors"
    tensors = load_file(path)
    for name in tensors:
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            tensors[name].zero_()
    embedding, head = tensors["model.embed_tokens.weight"], tensors["lm_head.weight"]
    tensors["model.norm.weight"].fill_(1)
    embedding.zero_()
    head.zero_()
    embedding[:, -1] = 1
    for place, (current, following) in enumerate(zip(ids, [*ids[1:], END], strict=True)):
        embedding[current] = 0
        embedding[current, place] = 1
        # The last norm makes a unit vector as long as the square root of its width.
        head[following, place] = SURE / HIDDEN**0.5
    save_file(tensors, path, {"format": "pt"})


def main(directory: Path) -> None:
    """The model continues "return" with the rest of `RECITED`."""
    code = f"def area(self, radius):\n    {RECITED}\n"
    tokenizer = train_tokenizer([code * 3], vocab_size=320)
    directory.mkdir(parents=True, exist_ok=True)
    save(tokenizer, directory)
    recite(directory, tokenizer.encode(RECITED, add_special_tokens=False).ids)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
