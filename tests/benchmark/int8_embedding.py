"""What an embedding in int8 changes in the bundled model, on held-out text of the standard
library, beside what computing in bfloat16 changes. Takes two minutes on one core."""

from __future__ import annotations

import torch

from dg_lsp.evaluation.spans import held_out
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.weights import load_weights
from dg_lsp.models.int8_embedding import Int8Embedding, Int8Output, to_int8
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.models.store import BUNDLED_DIRECTORY

CPU = torch.device("cpu")
PROMPT, CANVAS, SCORED, MOST = 300, 32, 100, 1600
"""Tokens that are read, denoised and scored after them; and read of each file."""


def model_of(checkpoint, dtype):
    return load_weights(BUNDLED_DIRECTORY, checkpoint.config, CPU, dtype)


def in_int8(model):
    scale = model.model.decoder.embed_tokens.scalar_embed_scale
    embedding = Int8Embedding(to_int8(model.lm_head.weight.data, CPU, torch.float32), scale)
    model.model.decoder.embed_tokens = embedding
    model.model.encoder.language_model.embed_tokens = embedding
    model.lm_head = Int8Output(embedding)
    return model


def measured(model, texts):
    """Logits of canvases of which half is noise, and log-probabilities of the text itself."""
    denoiser, dice = GemmaDenoiser(model), torch.Generator().manual_seed(0)
    logits, fits = [], []
    for ids in texts:
        for start in range(0, min(len(ids) - PROMPT - SCORED, MOST), PROMPT + SCORED):
            encoded = denoiser.encode(ids[start : start + PROMPT])
            rest = ids[start + PROMPT : start + PROMPT + SCORED]
            noise = torch.randint(denoiser.vocab_size, (CANVAS,), generator=dice)
            is_noise = torch.rand(CANVAS, generator=dice) < 0.5
            canvas = torch.where(is_noise, noise, torch.tensor(rest[:CANVAS]))
            logits.append(denoiser.logits(encoded, canvas, [CANVAS], None))
            fits += denoiser.score(encoded, [rest])
    return torch.cat(logits), torch.cat(fits).float()


@torch.inference_mode()
def main() -> None:
    checkpoint = open_checkpoint(BUNDLED_DIRECTORY)
    codec = checkpoint.read_codec()
    texts = [codec.encode(f.text) for f in held_out(False) if f.path.startswith("stdlib/")]
    plain, fits = measured(model_of(checkpoint, torch.float32), texts)
    likely = plain.log_softmax(-1)
    print(f"{len(plain)} rows, {len(fits)} tokens, {-fits.mean():.4f} nats per token")
    for name, model in (
        ("int8", in_int8(model_of(checkpoint, torch.float32))),
        ("bfloat16", model_of(checkpoint, torch.bfloat16)),
    ):
        logits, own = measured(model, texts)
        same = (logits.argmax(-1) == plain.argmax(-1)).float().mean()
        away = (likely.exp() * (likely - logits.log_softmax(-1))).sum(-1).mean()
        print(
            f"{name}: same best token {same:.2%}, divergence {away:.5f}, "
            f"{-own.mean():.4f} nats per token"
        )


if __name__ == "__main__":
    main()
