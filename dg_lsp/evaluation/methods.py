"""The methods of filling a span that are compared; each turns a span into a text.

All run in this thread on one loaded model, so that times are comparable.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from dg_lsp.config import EngineSettings
from dg_lsp.document import outline
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import (
    MultiLine,
    Standard,
    Suggestion,
    one_line,
    suggestions_for,
)
from dg_lsp.engine.denoising import Steps
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.infilling import Filling
from dg_lsp.engine.masked import MaskTokens
from dg_lsp.engine.masked.length import MaskedLengths
from dg_lsp.engine.prompt import Prompt, healed_ids
from dg_lsp.engine.seeding import Rank
from dg_lsp.engine.span_text import meeting_point
from dg_lsp.evaluation.asking import reference_of
from dg_lsp.evaluation.elsewhere import among_held_out, with_open_files
from dg_lsp.evaluation.scores import edit_similarity, is_match, stays_valid
from dg_lsp.evaluation.spans import MAX_TOKENS, PUBLIC, TrueSpan, job_of, site_of
from dg_lsp.job import Candidate, InfillJob
from dg_lsp.models.loading import LoadedModel
from dg_lsp.models.tokenizer import FileCodec


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a method for one span."""

    text: str
    confidence: float
    steps: int
    milliseconds: float
    first_draft_ms: float
    candidates: tuple[Candidate, ...] = ()
    """The candidates of our infiller."""


Method = Callable[[LoadedModel, TrueSpan], Outcome]


class OpenFilling(Filling):
    """Fills with open canvases only, cut where they meet the suffix: no race, no anchor."""

    def _find(self, prompt: Prompt, encoded: Any) -> Steps[list[FoundText]]:
        return (yield from self._open(prompt, encoded))


class LanesAlone(Filling):
    """Compares nothing but what lanes wrote, by likelihood."""

    def _compared(self, found: list[FoundText], rank: Rank) -> list[FoundText]:
        return found


def infiller(
    settings: EngineSettings,
    job: InfillJob,
    model: LoadedModel,
    filling: type[Filling] = Filling,
) -> Outcome:
    """Our infiller under `settings`."""
    start = time.perf_counter()
    drafts: list[float] = []
    infill = filling(
        job,
        model.denoiser,
        model.codec,
        model.family(settings),
        settings,
        cancelled=lambda: False,
        on_draft=lambda _: drafts.append(time.perf_counter()),
    ).run()
    elapsed = (time.perf_counter() - start) * 1e3
    first = (drafts[0] - start) * 1e3 if drafts else elapsed
    if not infill.candidates:
        return Outcome("", 0.0, infill.steps, elapsed, first)
    best = infill.candidates[0]
    return Outcome(best.text, best.confidence, infill.steps, elapsed, first, infill.candidates)


def race(model: LoadedModel, span: TrueSpan) -> Outcome:
    """The race with seeds from the document, as an editor asks for it."""
    return infiller(model.settings, job_of(span, context=PUBLIC), model)


def race_alone(model: LoadedModel, span: TrueSpan) -> Outcome:
    """The race of lanes that start from noise."""
    return infiller(model.settings, job_of(span), model)


def race_among_files(model: LoadedModel, span: TrueSpan) -> Outcome:
    """The race with seeds from the document and from the other files of the set."""
    return infiller(model.settings, job_of(span, context=among_held_out(span)), model)


def race_with_open_files(model: LoadedModel, span: TrueSpan) -> Outcome:
    """The race with seeds from the document and from three files that are open."""
    return infiller(model.settings, job_of(span, context=with_open_files(span)), model)


def seeds_ranked(model: LoadedModel, span: TrueSpan) -> Outcome:
    """Seeds are only compared with what the race writes from noise."""
    settings = dataclasses.replace(
        model.settings, seeds=dataclasses.replace(model.settings.seeds, lanes=0)
    )
    return infiller(settings, job_of(span, context=PUBLIC), model)


def seeded_lanes(model: LoadedModel, span: TrueSpan) -> Outcome:
    """Lanes start from seeds, and only the texts that lanes wrote are compared."""
    return infiller(model.settings, job_of(span, context=PUBLIC), model, LanesAlone)


def offered(model: LoadedModel, span: TrueSpan) -> Outcome:
    """The race as an editor suggests it on request: finished, and valid if possible."""
    outcome = infiller(model.settings, editor_job(span, may_be_empty=False), model)
    suggestions = suggestions_in(outcome, span, Standard())
    return dataclasses.replace(outcome, text=suggestions[0].text if suggestions else "")


def editor_job(span: TrueSpan, *, may_be_empty: bool) -> InfillJob:
    """A job as the server asks for it."""
    options = RequestOptions(may_be_empty=may_be_empty, max_tokens=MAX_TOKENS)
    return job_of(span, options, PUBLIC)


def suggestions_in(
    outcome: Outcome, span: TrueSpan, standard: Standard
) -> tuple[Suggestion, ...]:
    """What would be suggested of an outcome."""
    site = site_of(span)
    outline.read(site.prefix, site.suffix, site.language)
    standard = dataclasses.replace(standard, one_line=one_line(site, MultiLine.AUTO))
    return suggestions_for(outcome.candidates, site, standard)


def free(model: LoadedModel, span: TrueSpan) -> Outcome:
    return infiller(model.settings, job_of(span), model, OpenFilling)


def oracle(model: LoadedModel, span: TrueSpan) -> Outcome:
    return _of_true_length(model, job_of(span), span.text, model.settings)


def oracle_under(settings: EngineSettings) -> Method:
    """The oracle length with other settings than the model's."""
    return lambda model, span: _of_true_length(model, job_of(span), span.text, settings)


def oracle_with_anchor(tokens: int) -> Method:
    """The oracle length before a right anchor of `tokens`."""

    def fill(model: LoadedModel, span: TrueSpan) -> Outcome:
        settings = _with_prompt(model.settings, right_anchor_tokens=tokens)
        return _of_true_length(model, job_of(span), span.text, settings)

    return fill


def oracle_prefix_only(model: LoadedModel, span: TrueSpan) -> Outcome:
    settings = _with_prompt(model.settings, right_anchor_tokens=0)
    job = dataclasses.replace(job_of(span), suffix="")
    return _of_true_length(model, job, span.text, settings)


def fixed(model: LoadedModel, span: TrueSpan, length: int = 12) -> Outcome:
    return infiller(
        model.settings, dataclasses.replace(job_of(span), span_tokens=length), model
    )


def reference(model: LoadedModel, span: TrueSpan) -> Outcome:
    """transformers' own `generate()` on the same prompt, cut where it meets the suffix."""
    job = job_of(span)
    generating = reference_of(model)
    start = time.perf_counter()
    prompt = model.family().layout.build(job, model.denoiser.canvas_length)
    ids = torch.tensor([[*prompt.ids, *prompt.left_tokens]], device=model.denoiser.device)
    steps: list[float] = []

    class Steps:
        def put_draft(self, value: torch.Tensor) -> None:
            steps.append(time.perf_counter())

        def put(self, value: torch.Tensor) -> None: ...

        def end(self) -> None: ...

    torch.manual_seed(job.seed)
    output = generating.generate(
        ids, streamer=Steps(), max_new_tokens=model.denoiser.canvas_length
    )
    written = output.sequences[0, ids.shape[1] :].tolist()
    disallowed = set(model.codec.control.disallowed)
    end = next((n for n, token in enumerate(written) if token in disallowed), len(written))
    text = b"".join(model.codec.token_bytes(i) for i in written[:end]).decode(errors="replace")
    text = text[: meeting_point(text, span.suffix)]
    elapsed = (time.perf_counter() - start) * 1e3
    return Outcome(text, 0.0, len(steps), elapsed, (steps[0] - start) * 1e3)


METHODS: dict[str, Method] = {
    "race of lengths (ours)": race,
    "race without seeds": race_alone,
    "race, seeds of open files too": race_with_open_files,
    "race, seeds of other files too": race_among_files,
    "seeds ranked beside the race": seeds_ranked,
    "lanes that start from seeds": seeded_lanes,
    "race, as an editor suggests it": offered,
    "free canvas, cut at the suffix": free,
    "fixed length of 12": fixed,
    "oracle length": oracle,
    "oracle length, anchor of 16": oracle_with_anchor(16),
    "oracle length, anchor of 4": oracle_with_anchor(4),
    "oracle length, no right anchor": oracle_with_anchor(0),
    "oracle length, prefix only": oracle_prefix_only,
    "transformers generate()": reference,
}


OF_UNIFORM_MODELS = frozenset(name for name in METHODS if "anchor" in name or "()" in name) | {
    "free canvas, cut at the suffix"
}
"""Methods that need a right anchor, or transformers' own loop."""


def is_masked(model: LoadedModel) -> bool:
    """Whether a model fills spans by masked diffusion."""
    return isinstance(model.family().lengths, MaskedLengths)


def without_length_tokens(model: LoadedModel) -> LoadedModel:
    """A masked model whose canvases keep the length that they start with."""
    tokens = MaskTokens(model.config.tokens.mask)
    return dataclasses.replace(model, config=dataclasses.replace(model.config, tokens=tokens))


def methods_for(model: LoadedModel) -> dict[str, Method]:
    """The methods that the model's family has."""
    left_out = OF_UNIFORM_MODELS if is_masked(model) else frozenset()
    return {name: method for name, method in METHODS.items() if name not in left_out}


def _of_true_length(
    model: LoadedModel, job: InfillJob, text: str, settings: EngineSettings
) -> Outcome:
    if is_masked(model):
        model = without_length_tokens(model)
    prompt = model.family(settings).layout.build(job, model.denoiser.canvas_length)
    length = len(healed_ids(prompt, model.codec, text))
    return infiller(settings, dataclasses.replace(job, span_tokens=length), model)


def _with_prompt(settings: EngineSettings, **changes: Any) -> EngineSettings:
    return dataclasses.replace(settings, prompt=dataclasses.replace(settings.prompt, **changes))


LENGTHS = ((1, 1), (2, 4), (5, 8), (9, 12), (13, 999))
"""Classes of span length in tokens, both ends included."""


def by_length(codec: FileCodec, name: str, pairs: list[tuple[TrueSpan, Outcome]]) -> list[Row]:
    """One row per class of span length that occurs."""
    tokens = [len(codec.encode(span.text)) for span, _ in pairs]
    rows = []
    for least, most in LENGTHS:
        chosen = [p for p, n in zip(pairs, tokens, strict=True) if least <= n <= most]
        label = f"{least} or more" if most == LENGTHS[-1][1] else f"{least} to {most}"
        if chosen:
            rows.append(summarize(name, "1" if most == 1 else label, chosen))
    return rows


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a method on a kind of span."""

    method: str
    kind: str
    spans: int
    exact_match: float
    edit_similarity: float
    parses: float | None
    """Share of documents that are valid with the text, among those that are valid with the true
    one; None if there are none."""
    steps: float
    milliseconds: float
    first_draft_ms: float


def summarize(method: str, kind: str, pairs: list[tuple[TrueSpan, Outcome]]) -> Row:
    """Means of the matches, medians of the costs."""
    outcomes = [outcome for _, outcome in pairs]
    valid = [stays_valid(span, out.text) for span, out in pairs]
    judged = [is_valid for is_valid in valid if is_valid is not None]
    return Row(
        method=method,
        kind=kind,
        spans=len(pairs),
        exact_match=statistics.fmean(is_match(span.text, out.text) for span, out in pairs),
        edit_similarity=statistics.fmean(
            edit_similarity(span.text, out.text) for span, out in pairs
        ),
        parses=statistics.fmean(judged) if judged else None,
        steps=statistics.median(out.steps for out in outcomes),
        milliseconds=statistics.median(out.milliseconds for out in outcomes),
        first_draft_ms=statistics.median(out.first_draft_ms for out in outcomes),
    )


def method_table(rows: list[Row], kinds: str) -> str:
    """The rows in Markdown; `kinds` is the heading of the column with the kind of span."""
    lines = [
        f"| method | {kinds} | n | exact match | edit similarity | parses "
        "| steps | ms | first draft ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.method} | {row.kind} | {row.spans} | {row.exact_match:.1%} | "
        f"{row.edit_similarity:.3f} | {'' if row.parses is None else f'{row.parses:.0%}'} | "
        f"{row.steps:.0f} | {row.milliseconds:.0f} | "
        f"{row.first_draft_ms:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)
