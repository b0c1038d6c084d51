"""Puts an infiller together for a command: which model, on which device, with what budgets.

The one place where a command meets an engine. It knows nothing of files, of terminals or of
LSP, and importing it loads no tensor library: what is heavy is imported by `open_infiller`.
"""

from __future__ import annotations

    loaded = load_model(model, device, report, vram)
    prompt = loaded.settings.prompt
    loaded.denoiser.warm_up(
        prompt.prefix_tokens + prompt.suffix_tokens + prompt.snippet_tokens,
        lambda done, total: log.info("prepared %d of %d steps", done, total),
    )
    engine = Engine(loaded.denoiser, loaded.codec, loaded.settings, loaded.name)
    return OpenedInfiller(
        infiller=engine,
        model=loaded.name,
        device=loaded.device,
        measure=lambda text: len(loaded.codec.encode(text)),
        prefix_tokens=loaded.settings.prompt.prefix_tokens,
        suffix_tokens=loaded.settings.prompt.suffix_tokens,
        follows_instructions=loaded.follows_instructions,
    )


def load_model(
    model: str | None,
    device: str | None,
    report: Callable[[float], None] = lambda share: None,
    vram: str | None = None,
) -> LoadedModel:
    """Load a model, as `open_infiller` does, for commands that fill spans in this thread."""
    from dg_lsp.models.checkpoint import CheckpointError
    from dg_lsp.models.loading import load
    from dg_lsp.models.memory import parse_bytes

    vram = vram or os.environ.get("DG_LSP_VRAM") or None
    try:
        return load(model, device, report, None if vram is None else parse_bytes(vram))
    except CheckpointError as error:
        raise ModelError(str(error)) from error
