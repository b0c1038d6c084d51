"""A loaded DiffusionGemma as the engine's denoiser."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases, Prediction, StepRequest
from dg_lsp.models.gemma import attention
from dg_lsp.models.gemma.attention import KeyValues
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.buckets import (
    RESERVED_ROWS,
    Bucket,
    Reading,
    bucket_for,
    reading_for,
    usual,
    usual_shared,
)
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.folded import Folded, Prepared
from dg_lsp.models.gemma.fused.compiled import only_compiled
from dg_lsp.models.gemma.masks import canvas_mask, causal_mask, offsets, reading_mask
from dg_lsp.models.gemma.prefix_cache import Encoded, LayerShape, Prefix, PrefixCache
from dg_lsp.models.gemma.sampling import log_probabilities
from dg_lsp.models.gemma.step import (
    Masks,
    StepInputs,
    decode,
    head_of,
    last_hidden,
    prediction_of,
    run_step,
)
from dg_lsp.models.gemma.together import SharedSteps
from dg_lsp.models.gemma.workspace import Workspace
from dg_lsp.models.padding import CONSTRAINTS, cached_sizes
from dg_lsp.models.working import working_on
from dg_lsp.reason import Reason

ENCODE_TOKENS = 512
"""Tokens read in one forward pass: enough to keep a GPU busy, and few enough that a sliding
layer holds little more than its window in the meantime."""


@dataclass(slots=True)
class _Arranged:
    """What is the same in all steps of the same canvases after the same prompt."""

    serial: int
    canvases: Canvases
    inputs: StepInputs
    prepared: Prepared | None
    """For a folded model."""


class GemmaDenoiser:
    """Implements `engine.denoiser.Denoiser` over the transformers class."""

    def __init__(
        self,
        model: TextDiffusionGemma,
        cache: CacheSettings | None = None,
        bucketed: BucketedSteps | None = None,
        folded: Folded | None = None,
    ) -> None:
        """With `bucketed`, steps run on padded tensors at fixed addresses, otherwise on
        unpadded ones; with `folded`, on a CPU, in few operations. ladder.py chooses."""
        self.model = model.eval()
        text = model.config.text_config
        self.vocab_size: int = text.vocab_size
        self.canvas_length: int = model.config.canvas_length
        self.device: torch.device = model.lm_head.weight.device
        self._dtype: torch.dtype = model.lm_head.weight.dtype
        self._window: int = text.sliding_window
        self._groups = attention.groups_by_kind(model)
        self.layer_shapes: list[LayerShape] = []
        for kind, layer in zip(text.layer_types, model.model.decoder.layers, strict=True):
            self.layer_shapes.append(
                LayerShape(
                    heads=text.num_attention_heads // self._groups[kind],
                    dim=layer.self_attn.head_dim,
                    window=self._window if kind == "sliding_attention" else None,
                )
            )
        cache = cache or CacheSettings()
        self._slack = cache.slack_tokens
        self._prefix_bytes = cache.prefix_bytes
        self.prefixes = PrefixCache(cache.prefix_bytes)
        self.tokens_encoded = 0
        """Tokens that the encoder has read for prompts so far."""
        self._workspace = Workspace(self.layer_shapes, self._dtype, self.device)
        self._loaded: int | None = None
        """Serial number of the prompt in the workspace."""
        self._arranged: _Arranged | None = None
        self._folded = folded
        self._shared = self._new_shared()
        self.notes: tuple[Reason, ...] = ()
        """Why it does not run in the fastest way."""
        self.runs_as = ""
        """The way it runs in, if there is a choice."""
        self.run_in(bucketed)

    def run_in(self, bucketed: BucketedSteps | None) -> None:
        """From now on, run in these buckets, or on unpadded tensors."""
        self._bucketed = bucketed
        # Whatever failed may have written to the workspace.
        self._loaded = None
        attention.install(self.model, fuse=self.is_fused)

    @contextlib.contextmanager
    def unpadded(self) -> Iterator[None]:
        """Run on unpadded tensors, for a comparison with what was prepared."""
        bucketed, self._bucketed = self._bucketed, None
        try:
            yield
        finally:
            self._bucketed = bucketed

    @property
    def is_fused(self) -> bool:
        """Whether steps run the fused kernels."""
        return self._bucketed is not None and self._bucketed.fused is not None

    @torch.inference_mode()
    def encode(
        self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()
    ) -> Encoded:
        if not ids:
            raise ValueError("a prompt needs at least one token")
        if after:
            raise ValueError("a causal encoder reads nothing after the canvas")
        with working_on(self.device):
            # Removed from the cache until it is complete again.
            prefix = self.prefixes.take(document)
            if prefix is None:
                prefix = self._new_prefix()
            last_hidden = self._read_on(prefix, ids)
            self.prefixes.put(document, prefix)
        return Encoded(tuple(ids), document, prefix, last_hidden, prefix.reused)

    @torch.inference_mode()
    def denoise(
        self,
        encoded: Encoded,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        rows = len(canvas)
        with working_on(self.device):
            bucket = self._bucket(encoded, canvases)
            if bucket is not None and self._bucketed is not None:
                self._load(encoded, rows, bucket)
                step = self._bucketed.step(self.model, self._workspace, bucket)
                step.arrange(canvases, encoded.length)
                return step(canvas, conditioning, temperature, share)
            self._load(encoded, rows)
            arranged = self._arrange(encoded, canvases)
            inputs = arranged.inputs
            inputs.canvas, inputs.conditioning, inputs.share = canvas, conditioning, share
            inputs.temperature.fill_(temperature)
            view = self._workspace.view(encoded.length, self._seen(encoded), rows)
            if self._folded is not None and arranged.prepared is not None:
                selection, soft = self._folded.step(view, inputs, arranged.prepared)
            else:
                selection, soft = run_step(self.model, view, inputs)
        return prediction_of(selection, soft)

    @property
    def prompts_together(self) -> int:
        if self._bucketed is not None and not self._shared.capacity:
            # A step without a graph takes as long as several with one.
            return 1
        # On unpadded tensors, a prompt takes memory twice: in the cache and in the workspace.
        each = self.prefixes.largest_bytes * (2 if self._bucketed is None else 1)
        return max(1, self.prefixes.budget_bytes // max(1, each))

    @torch.inference_mode()
    def denoise_together(self, requests: Sequence[StepRequest]) -> list[Prediction]:
        for request in requests:
            self.prefixes.touch(request.encoded.document)
        with working_on(self.device):
            if self._bucketed is None or not self._shared.capacity:
                return self._shared.step(requests, self._prefix_of)
            return self._shared.answer(
                requests,
                self._prefix_of,
                self._bucketed,
                lambda request: GemmaDenoiser.denoise(self, *request.given),
            )

    @torch.inference_mode()
    def logits(
        self,
        encoded: Encoded,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        hidden = self.hidden(encoded, canvas, lengths, conditioning)
        with working_on(self.device):
            return head_of(self.model).logits(hidden)

    @torch.inference_mode()
    def hidden(
        self,
        encoded: Encoded,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        """The decoder's last hidden states (rows, hidden)."""
        none, every = canvas[:0], torch.arange(len(canvas), device=self.device)
        canvases = Canvases(tuple(lengths), none, every, none[None].bool(), none)
        with working_on(self.device):
            self._load(encoded, len(canvas))
            arranged = self._arrange(encoded, canvases)
            inputs = arranged.inputs
            inputs.canvas, inputs.conditioning = canvas, conditioning
            view = self._workspace.view(encoded.length, self._seen(encoded), len(canvas))
            if self._folded is not None and arranged.prepared is not None:
                return self._folded.decode(view, inputs, arranged.prepared)[0]
            return last_hidden(self.model, decode(self.model, view, inputs)[0])

    @torch.inference_mode()
    def score(self, encoded: Encoded, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        lengths = [len(tokens) for tokens in continuations]
        if not any(lengths):
            return [torch.empty(0, device=self.device) for _ in lengths]
        tokens = torch.tensor([i for each in continuations for i in each], device=self.device)
        with working_on(self.device):
            bucket = None
            if self._bucketed is not None:
                sizes = self._bucketed.sizes
                bucket = reading_for(encoded.length, len(tokens), sizes, scored=True)
            self._load(encoded, len(tokens), bucket)
            if bucket is not None:
                each = self._read(bucket, tokens, lengths, encoded.length, encoded.last_hidden)
                return list(each.split(lengths))
            seen = self._seen(encoded)
            masks: Masks = {
                "full_attention": causal_mask(lengths, encoded.length, None),
                "sliding_attention": causal_mask(lengths, seen, self._window),
            }
            hidden = self._read_rows(
                tokens,
                (offsets(lengths) + encoded.length).to(self.device),
                self._by_kind(masks),
                self._workspace.view(encoded.length, seen, len(tokens)),
            )
            # The position before a token predicts it; the prompt's last position predicts the
            # first.
            before = torch.cat([encoded.last_hidden[None], hidden[:-1]])
            starts = [sum(lengths[:n]) for n, length in enumerate(lengths) if length]
            before[torch.tensor(starts, device=self.device)] = encoded.last_hidden
            head = head_of(self.model) if self._folded is None else self._folded.head
            each = log_probabilities(head, before, tokens)
        return list(each.split(lengths))

    def surprise(self, ids: Sequence[int]) -> float:
        """How unlikely the model finds a text, in nats per token after the first."""
        [each] = self.score(self.encode(ids[:1]), [ids[1:]])
        return -each.mean().item()

    @torch.inference_mode()
    def warm_up(self, prompt_tokens: int, on_progress: Callable[[int, int], None]) -> None:
        """Prepare the usual steps after prompts of up to `prompt_tokens`.

        `on_progress` is told how many of how many are ready.
        """
        if self._bucketed is None:
            return
        self._bucketed.sizes = cached_sizes(prompt_tokens)
        buckets = usual(prompt_tokens)
        # In half of the memory for prompts. Without the fused kernels, a step that several
        # prompts share would need a mask of a hundred megabytes.
        half = self._prefix_bytes // 2
        capacity = self._shared.capacity_within(half, prompt_tokens) if self.is_fused else 0
        total = len(buckets) + (len(usual_shared(capacity)) if capacity else 0)
        with working_on(self.device):
            # At once for all that the settings can ask for: growing later would take the
            # graphs with it.
            self._workspace.reserve(prompt_tokens, RESERVED_ROWS)
            for done, bucket in enumerate(buckets, 1):
                self._bucketed.prepare(self.model, self._workspace, bucket)
                on_progress(done, total)
            self._shared.capacity = capacity
            self.prefixes.budget_bytes = self._prefix_bytes
            if capacity:
                self.prefixes.budget_bytes -= self._shared.bytes_of(capacity)
                each = itertools.count(len(buckets) + 1)
                self._shared.prepare(
                    self._bucketed, capacity, lambda: on_progress(next(each), total)
                )
        if self._bucketed.fused is not None:
            only_compiled()

    def shrink(self) -> int:
        freed = self.prefixes.clear() + self._workspace.nbytes + self._shared.nbytes
        self._workspace = Workspace(self.layer_shapes, self._dtype, self.device)
        capacity, self._shared = self._shared.capacity, self._new_shared()
        self._shared.capacity = capacity
        self._loaded = self._arranged = None
        if self._bucketed is not None:
            self._bucketed.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return freed

    def _read_on(self, prefix: Prefix, ids: Sequence[int]) -> Tensor:
        """Read the part of `ids` that `prefix` lacks; return the last token's hidden state."""
        start = prefix.keep_common(ids)
        if (bucket := self._tail_bucket(start, len(ids) - start)) is not None:
            return self._read_tail(prefix, ids[start:], bucket)
        hidden = prefix.last_hidden
        for at in range(start, len(ids), ENCODE_TOKENS):
            piece = list(ids[at : at + ENCODE_TOKENS])
            count = len(piece)
            read = self._read_rows(
                torch.tensor(piece, device=self.device),
                torch.arange(at, at + count, device=self.device),
                self._reading_masks(at, count),
                prefix,
                is_last_enough=True,
            )
            hidden = read[-1]
            prefix.ids += piece
            self.tokens_encoded += count
        assert hidden is not None
        # A copy, because a view of the last row would keep all rows in memory.
        prefix.last_hidden = hidden.clone()
        return prefix.last_hidden

    def _read_rows(
        self,
        tokens: Tensor,
        positions: Tensor,
        masks: Masks,
        key_values: KeyValues,
        *,
        is_last_enough: bool = False,
    ) -> Tensor:
        """The encoder's last hidden states (rows, hidden), or at least that of the last row."""
        if self._folded is not None:
            return self._folded.read(
                tokens, positions, masks, key_values, is_last_enough=is_last_enough
            )
        output = self.model.model.encoder.language_model(
            input_ids=tokens[None],
            attention_mask=masks,
            position_ids=positions[None],
            past_key_values=key_values,
        )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def _read_tail(self, prefix: Prefix, ids: Sequence[int], bucket: Reading) -> Tensor:
        """Read a few tokens after `prefix` in the workspace, and copy them to `prefix`."""
        start, count = len(prefix.ids), len(ids)
        self._loaded = None
        self._workspace.load((prefix, start))
        tokens = torch.tensor(ids, device=self.device)
        hidden = self._read(bucket, tokens, [count], start)
        for number, rows in enumerate(self._workspace.first_rows(count)):
            prefix.update(*rows, number)
        prefix.ids += ids
        self.tokens_encoded += count
        prefix.last_hidden = hidden[-1].clone()
        return prefix.last_hidden

    def _read(
        self,
        bucket: Reading,
        tokens: Tensor,
        lengths: Sequence[int],
        cached: int,
        last_hidden: Tensor | None = None,
    ) -> Tensor:
        """Read sequences after the prompt in the workspace; see `PaddedReading`."""
        assert self._bucketed is not None
        reading = self._bucketed.reading(self.model, self._workspace, bucket)
        return reading(tokens, lengths, cached, last_hidden)

    def _reading_masks(self, at: int, count: int) -> Masks:
        """Causal masks for tokens `[at, at + count)`; none if the kernel's own is enough."""
        seen = min(at, self._window - 1)
        full = sliding = None
        if at > 0 and count > 1:
            full = reading_mask(count, at, None, self.device)
        if (at > 0 or count > self._window) and count > 1:
            sliding = reading_mask(count, seen, self._window, self.device)
        return self._by_kind({"full_attention": full, "sliding_attention": sliding})

    def _seen(self, encoded: Encoded) -> int:
        """Cached tokens of a sliding layer that a row after the prompt sees."""
        return min(encoded.length, self._window - 1)

    def _bucket(self, encoded: Encoded, canvases: Canvases) -> Bucket | None:
        """The bucket of a step; `None` if it runs on unpadded tensors."""
        if self._bucketed is None or len(canvases.disallowed) > CONSTRAINTS:
            return None
        return bucket_for(
            encoded.length, sum(canvases.lengths), len(canvases.free), self._bucketed.sizes
        )

    def _tail_bucket(self, start: int, count: int) -> Reading | None:
        """The bucket for a prompt's tokens from `start` on; `None` if there is none."""
        if self._bucketed is None or start == 0 or count == 0:
            return None
        bucket = reading_for(start, count, self._bucketed.sizes, scored=False)
        if bucket is None or not self._workspace.holds(bucket.cached, bucket.rows):
            return None
        return bucket

    def _load(
        self, encoded: Encoded, rows: int, bucket: Bucket | Reading | None = None
    ) -> None:
        """Ensure that the workspace holds the prompt and has room for `rows`."""
        cached = encoded.length
        if bucket is not None:
            cached, rows = max(cached, bucket.cached), max(rows, bucket.rows)
        if self._workspace.reserve(cached, rows):
            self._loaded = None
            if self._bucketed is not None:
                self._bucketed.clear()
        if self._loaded == encoded.serial:
            return
        self._loaded = None
        self._workspace.load((self._prefix_of(encoded), encoded.length))
        self._loaded = encoded.serial

    def _prefix_of(self, encoded: Encoded) -> Prefix:
        """What was read of a prompt."""
        if not encoded.prefix.holds(encoded.ids):
            # The document has been read again since. What is read for the older prompt is its
            # own, because two jobs that use both in turn would read them at every step.
            encoded.prefix = self._new_prefix()
            self._read_on(encoded.prefix, encoded.ids)
        return encoded.prefix

    def _new_prefix(self) -> Prefix:
        return Prefix(self.layer_shapes, self._slack, self._dtype, self.device)

    def _new_shared(self) -> SharedSteps:
        return SharedSteps(self.model, self.layer_shapes, self._groups, self._folded)

    def _arrange(self, encoded: Encoded, canvases: Canvases) -> _Arranged:
        arranged = self._arranged
        if (
            arranged is not None
            and arranged.serial == encoded.serial
            and arranged.canvases is canvases
        ):
            return arranged
        lengths = canvases.lengths
        masks: Masks = {"full_attention": None, "sliding_attention": None}
        # A canvas that is alone sees everything.
        if len(lengths) > 1:
            masks["full_attention"] = canvas_mask(lengths, encoded.length)
            masks["sliding_attention"] = canvas_mask(lengths, self._seen(encoded))
        none = canvases.free[:0]
        inputs = StepInputs(
            canvas=none,
            conditioning=None,
            positions=(offsets(lengths) + encoded.length).to(self.device),
            masks=self._by_kind(masks),
            order=torch.cat([canvases.free, canvases.pinned]),
            target=canvases.free,
            disallowed=canvases.disallowed,
            constraint=canvases.constraint,
            temperature=torch.ones((), device=self.device),
            share=none,
        )
        prepared = None if self._folded is None else self._folded.prepare(inputs, lengths)
        self._arranged = _Arranged(encoded.serial, canvases, inputs, prepared)
        return self._arranged

    def _by_kind(self, masks: Masks) -> Masks:
        """Masks (rows, keys) in the form that each kind of layer expects."""
        return {
            kind: None
            if mask is None
            else attention.added_mask(mask, self._groups[kind], self._dtype, self.device)
            for kind, mask in masks.items()
            if kind in self._groups
        }
