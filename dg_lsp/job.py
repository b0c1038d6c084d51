"""The seam between the text half and the tensor half: what is asked and what comes back.

Everything here is plain data and protocols, on the standard library only. With `reason.py`, it
is all that both the language server and the engine import.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol, runtime_checkable

from dg_lsp.reason import Reason, ReasonCode

EXTRA_CANDIDATES = 4
"""Texts to fall back on where the best one would break the code; a race has them anyway."""


NOTHING_MISSING = Reason(
    ReasonCode.NOTHING_MISSING, "the model finds that nothing is missing here"
)
"""What the engine says where the best span is an empty one."""


MAX_TOKENS = 16_384
"""The most tokens one job may ask for; far above any editor's wish."""
MAX_CANDIDATES = 32
MAX_PINNED = 15
"""The most pinned texts of a job; a canvas has room for a few."""
MAX_SHOWN = 256
"""The most texts that a job may rule out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may come from another process: a number in this range, a text or list so long."""

    least: float = 0
    most: float = math.inf
    is_open: bool = False
    """Whether it must be above `least`."""


Share = Annotated[float, Limits(0, 1)]
Name = Annotated[str, Limits(most=4096)]
"""Of a file, a language or a document: as long as paths can be."""

PER_CHARACTER = "one for each character of the text beside it"
Confidences = Annotated[tuple[float, ...], PER_CHARACTER]
"""Probabilities in [0, 1], or none where they are not told."""

Segments = Annotated[tuple[str, ...], Limits(most=MAX_PINNED + 1)]

IN_PROCESS = {"in process": True}
"""Of a field that no other process may set or see."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range `[start, end)` of code points in a document."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"span [{self.start}, {self.end}) is not a range of a document")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of another file that helps to fill the span."""

    path: Name
    text: str


class SeedOrigin(enum.Enum):
    """Where a seed was found."""

    DOCUMENT = "document"
    OPEN_FILE = "open file"
    WORKSPACE = "workspace"


@dataclass(frozen=True, slots=True)
class Seed:
    """A text that occurs elsewhere between neighbours similar to the span's.

    Denoising may start from it; the engine compares it with what the model writes.
    """

    text: Annotated[str, Limits(most=16 * MAX_TOKENS)]
    """As it would be written at the span."""
    score: Annotated[float, Limits(-1e6)] = 0.0
    """How much speaks for it, as the logarithm of its odds against the other seeds: how far the
    neighbours agree, how many places have it, how near they are."""
    origin: SeedOrigin = SeedOrigin.DOCUMENT
    path: Name = ""
    """Of the file that has it; empty for the document itself."""


Seeds = Annotated[tuple[Seed, ...], Limits(most=256)]


@dataclass(frozen=True, slots=True)
class Earlier:
    """The rest of a suggestion that the user departed from by typing something else.

    Denoising starts from it, because most of it usually still fits.
    """

    text: Annotated[str, Limits(most=16 * MAX_TOKENS)]
    """As it would follow what was typed."""
    doubtful: Annotated[int, Limits(0, MAX_TOKENS)] = 0
    """Number of its characters, from the first, that probably no longer fit: the end of the
    word in which the user departed."""


@dataclass(frozen=True, slots=True)
class PinnedText:
    """Text within the span that stays as it is."""

    text: Annotated[str, Limits(most=16 * MAX_TOKENS)]
    earlier: Earlier | None = None
    """What the free segment before it starts from; `None` for noise."""

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("text is empty; two segments with nothing between them are one")


@dataclass(frozen=True, slots=True)
class InfillJob:
    """One request to fill one span of one document.

    `replaced` is the selected text of a rewrite and `None` for an infill at the cursor.
    `deadline_s` counts from the moment the job starts; at the deadline the best there is
    becomes the result.
    """

    prefix: str
    """Text before the span, nearest lines last."""
    suffix: str
    """Text after the span, nearest lines first."""
    path: Name = ""
    """Path as the user knows it; the model sees it, but the engine opens no file."""
    language: Name = "plaintext"
    """LSP language id."""
    snippets: Annotated[tuple[Snippet, ...], Limits(most=256)] = ()
    """Related text of other files, most related last."""
    seeds: Seeds = ()
    """Texts that occur elsewhere between similar neighbours, best first. With pinned texts,
    only those that contain them all, in their order, are used."""
    segment_seeds: Annotated[tuple[Seeds, ...], Limits(most=MAX_PINNED + 1)] = ()
    """With pinned texts, the same for each free segment alone; empty if there are none."""
    earlier: Earlier | None = None
    """What was suggested here before the user typed on; with pinned texts, what the segment
    after the last of them starts from. Not used by a rewrite without pinned texts."""
    pinned: Annotated[tuple[PinnedText, ...], Limits(most=MAX_PINNED)] = ()
    """Texts that the span contains, in this order. Before, between and after them are the free
    segments, one more than there are pinned texts; all are filled in one canvas. `strength` is
    not used then, and `max_tokens` is for all segments together."""
    replaced: Annotated[str, Limits(most=16 * MAX_TOKENS)] | None = None
    instruction: Annotated[str, Limits(most=MAX_TOKENS)] | None = None
    """The user's instruction for a rewrite; needs a model that follows instructions."""
    strength: Annotated[float, Limits(0, 1, is_open=True)] = 0.6
    """Rewrite only: how freely it may change, as the share that starts as noise, in (0, 1]."""
    candidates: Annotated[int, Limits(1, MAX_CANDIDATES)] = 1
    """Number of complete alternatives."""
    extra_candidates: Annotated[int, Limits(0, MAX_CANDIDATES)] = 0
    """How many more may be returned if they cost nothing, in case some cannot be used."""
    alternatives: Annotated[int, Limits(0, MAX_CANDIDATES)] = 0
    """If above 0, `replaced` is one word, and the answer is the word itself and at most so many
    texts that may stand in its place; the confidence of each is its probability among all."""
    max_tokens: Annotated[int, Limits(1, MAX_TOKENS)] = 128
    """Token budget of an infill; for a rewrite, the length of the replaced text decides."""
    span_tokens: int | None = field(default=None, metadata=IN_PROCESS)
    """Length of the span in tokens, healed ones included, if it is known (evaluation)."""
    may_be_empty: bool = True
    """Whether the model may find that nothing is missing; false if the user asks by hand."""
    deadline_s: Annotated[float, Limits(0, 3600)] | None = None
    seed: Annotated[int, Limits(0, 2**32 - 1)] = 0
    shown: Annotated[tuple[str, ...], Limits(most=MAX_SHOWN)] = ()
    """Texts of earlier attempts at this span; none of them is a candidate again."""
    document: Name = ""
    """Identity of the document for superseding; empty means the path."""
    client: str = field(default="", metadata=IN_PROCESS)
    """Who asks, for taking turns: the name of the token that an engine has checked, and empty
    where it asks for none. A client cannot name itself."""
    is_speculative: bool = False
    """Whether nobody waits for it yet: it runs only while nothing else does, and ends as
    superseded when any other job comes. The same job without this takes its work over."""
    is_masked: bool = field(default=False, metadata=IN_PROCESS)
    """Whether asterisks stand for secrets somewhere in the text that the model sees."""

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ValueError(f"candidates is {self.candidates}; must be at least 1")
        if self.extra_candidates < 0:
            raise ValueError(f"extra_candidates is {self.extra_candidates}; must be at least 0")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; must be at least 1")
        if not 0.0 < self.strength <= 1.0:
            raise ValueError(f"strength is {self.strength}; must be above 0 and at most 1")
        if self.instruction is not None and self.replaced is None:
            raise ValueError("an instruction needs a selection to rewrite")
        if self.pinned and self.span_tokens is not None:
            raise ValueError("span_tokens is for one segment; pinned texts make several")
        if self.segment_seeds and len(self.segment_seeds) != len(self.pinned) + 1:
            raise ValueError(
                f"segment_seeds has {len(self.segment_seeds)} items; must be one for each free "
                f"segment, and there are {len(self.pinned) + 1}"
            )
        if self.alternatives and not (self.replaced or "").strip():
            raise ValueError("alternatives need a word that they would replace")
        if self.alternatives and self.pinned:
            raise ValueError("alternatives are for one word; nothing can be pinned in it")

    @property
    def all_seeds(self) -> tuple[Seed, ...]:
        """The seeds of the whole span and then those of each segment, as they are numbered."""
        return (*self.seeds, *itertools.chain.from_iterable(self.segment_seeds))

    @property
    def document_key(self) -> str:
        """What jobs for the same document share."""
        return self.document or self.path

    def was_shown(self, text: str) -> bool:
        """Whether an earlier attempt has shown this text, white space aside."""
        return "".join(text.split()) in ("".join(shown.split()) for shown in self.shown)


@dataclass(frozen=True, slots=True)
class MaskedPlace:
    """A place in a draft where tokens are still undecided."""

    at: Annotated[int, Limits(0)]
    """Code points of the draft's text before it."""
    width: Annotated[int, Limits(1)]
    """About how many characters they will take."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The span after one denoising step; it may still change."""

    text: str
    confidence: Confidences
    """Of `text`."""
    step: int
    """Denoising steps of this block done so far, from 1."""
    steps_allowed: int
    block: Annotated[int, Limits(1)] = 1
    """Which block of a long rewrite is being written, from 1. What follows the block is still
    the old text, with a confidence of 0."""
    blocks: Annotated[int, Limits(1)] = 1
    """How many blocks there will be."""
    candidate: Candidate | None = None
    """What the job would end with now, of the texts that can no longer change; `None` while
    too many still can, and for a rewrite."""
    masked: Annotated[tuple[MaskedPlace, ...], Limits(most=MAX_TOKENS)] = ()
    """Where `text` has gaps, if the model decides one token after the other; ascending."""
    segments: Segments = ()
    """The free segments of `text`, if the job has pinned texts."""

    @property
    def share_done(self) -> float:
        """Share of the work done, in [0, 1]; often the last steps are not needed."""
        return (self.block - 1 + min(1.0, self.step / max(1, self.steps_allowed))) / self.blocks


@dataclass(frozen=True, slots=True)
class Candidate:
    """One complete alternative for the span."""

    text: str
    confidence: Share
    """Confidence in [0, 1]: the geometric mean of the decoder's probabilities of the tokens,
    times that of the causal encoder, which did not write them. Of a masked model, the geometric
    mean of the probabilities that the score adds up."""
    score: Annotated[float, Limits(-math.inf)]
    """What candidates are ranked by, higher is better: log-likelihood in nats of the text and
    the start of the suffix after it, with what the checkpoint grants for each token."""
    confidences: Confidences = ()
    """Of `text`."""
    seed: int | None = None
    """Number (in `InfillJob.all_seeds`) of the seed that it started as; equal to that one's
    text, or a correction of it. Of several seeds, that of the first segment. `None` where it
    was written from noise."""
    segments: Segments = ()
    """The free segments of `text`, if the job has pinned texts: `text` is all of them, with the
    pinned texts between them."""


@dataclass(frozen=True, slots=True)
class TextSource:
    """Where a text comes from."""

    seed: Seed | None = None
    """The text elsewhere that denoising started from; `None` where it started from noise."""
    is_corrected: bool = False
    """Whether the model changed the seed."""


FROM_NOISE = TextSource()


def source_of(candidate: Candidate, seeds: Sequence[Seed]) -> TextSource:
    """The source of a candidate; a number that no seed has counts as none."""
    seed = next((seed for at, seed in enumerate(seeds) if at == candidate.seed), None)
    if seed is None:
        return FROM_NOISE
    # Models see only "\n".
    text = seed.text.replace("\r\n", "\n")
    return TextSource(seed, text not in (candidate.text, *candidate.segments))


@dataclass(frozen=True, slots=True)
class Infill:
    """The result of a job. Without candidates, `reason` says why."""

    candidates: Annotated[tuple[Candidate, ...], Limits(most=2 * MAX_CANDIDATES)]
    steps: int
    timings_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage: queue, prompt, encode, denoise, rank, total."""
    reason: Reason | None = None
    model: str = ""
    prompt_tokens: int = 0
    """Tokens of the prompt; 0 if unknown."""
    cached_tokens: int = 0
    """How many of them had been read for an earlier job; 0 if unknown."""


class JobState(enum.Enum):
    """The states of a job."""

    WAITING = "waiting"
    """Accepted, not yet started."""
    RUNNING = "running"
    """The engine thread is working on it."""
    DONE = "done"
    """Its infill was delivered."""
    CANCELLED = "cancelled"
    """The client cancelled it."""
    SUPERSEDED = "superseded"
    """A newer job for the same document replaced it."""
    FAILED = "failed"
    """It raised an exception; the engine continues."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended, and with what."""

    state: JobState
    infill: Infill

    def __post_init__(self) -> None:
        if self.state in (JobState.WAITING, JobState.RUNNING):
            raise ValueError(f"state is {self.state.value}; no job ends so")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The properties of a model, for building jobs and for display."""

    name: str
    """Its name as the user would write it; "bundled" for the small one."""
    device: str
    prefix_tokens: int
    """Maximum text before the span that the model sees, in tokens."""
    suffix_tokens: int
    """Maximum text after the span that the model sees, in tokens."""
    follows_instructions: bool = True
    """Whether a rewrite may have an instruction."""
    memory_bytes: int = 0
    """Memory on the device; 0 on a CPU or if unknown."""
    notes: tuple[Reason, ...] = ()
    """Why it is not the model, the device or the way of computing that was the first choice."""
    runs_as: str = ""
    """The way of computing, for display; empty if there is no choice."""
    sees_other_files: bool = True
    """Whether its prompt has room for text of other files."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model in this process or behind a socket that is ready for jobs."""

    infiller: Infiller
    info: ModelInfo
    measure: Callable[[str], int]
    """Number of tokens of a text, possibly approximate."""
    look: Callable[[], ModelInfo] | None = None
    """What `info` has become: a way of computing may fail at any time and give way to
    another. `None` if it does not change."""
    changed: Callable[[], Reason | None] | None = None
    """Why the model must be loaded again: its files are not those that were loaded. `None` if
    that cannot be."""
    counts: Callable[[], Mapping[str, int]] = dict
    """What the engine has done so far, by names that end in what is counted."""


class Infiller(Protocol):
    """Fills spans: the engine in this process, or one behind a socket."""

    def submit(self, job: InfillJob) -> JobHandle:
        """Queue a job; a waiting or running job on the same document is superseded."""
        ...

    async def close(self) -> None:
        """Release everything and cancel all open jobs."""
        ...


@runtime_checkable
class PreparingInfiller(Protocol):
    """An `Infiller` that can be told of a job before it is submitted."""

    def prepare(self, job: InfillJob) -> None:
        """Send a job ahead that will probably be submitted in a moment, as this very object.
        Nothing is done for it until then."""
        ...


class JobHandle(Protocol):
    """A job under way."""

    @property
    def state(self) -> JobState: ...

    def drafts(self) -> AsyncIterator[Draft]:
        """Yield drafts in order until the job ends; a slow reader only misses older drafts."""
        ...

    async def result(self) -> JobResult:
        """Wait for the end. A cancelled, superseded or failed job has no candidates."""
        ...

    def follow(
        self, on_draft: Callable[[Draft], None], on_result: Callable[[JobResult], None]
    ) -> None:
        """Call these on the event loop, as soon as there is a draft or the end: no task has to
        wait for them. They must not raise."""
        ...

    def cancel(self) -> None:
        """Stop within one denoising step. Calling it again, or too late, does nothing."""
        ...
