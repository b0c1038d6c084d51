"""Changes a span of a document on request, if the span still exists.

The new text is inserted where the span is by then; if the span itself has changed, the edit is
refused. A rewrite that would break the code is tried again with other seeds, and carries a
warning if no attempt is better. Commands and code actions both use it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from lsprotocol import types

from dg_lsp.document.edit import minimal_replacement
from dg_lsp.document.holes import held_by, within
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite, Suggestion, warning_at
from dg_lsp.job import Draft, Span
from dg_lsp.reason import CodedError, Reason, ReasonCode
from dg_lsp.server.convert import range_at, width
from dg_lsp.server.features.drafts import send_drafts
from dg_lsp.server.lsp_ext import JobToken, confidence_runs
from dg_lsp.server.session import Session
from dg_lsp.server.status import Report
from dg_lsp.server.suggest import decide
from dg_lsp.server.suggest.answer import Answer, refused
from dg_lsp.server.suggest.draft_suggestions import DraftSuggestion, suggest_draft
from dg_lsp.server.workspace.documents import Document, find_again

ANNOTATION = "dg-lsp"
LANE = "rewrite"
"""Rewrites supersede each other, but typing elsewhere in the document does not stop one."""

MOVED = Reason(ReasonCode.CHANGED, "the selected text has changed in the meantime")

# `#` also begins directives of C and C#, attributes of Rust and the line that names a program.
_DIRECTIVE = (
    r"#(?:!|\[|(?:define|elif|else|endif|endregion|error|if|ifdef|ifndef|import|include|line"
    r"|nullable|pragma|region|undef|using|warning)\b)"
)
_COMMENT_LANGUAGES = {
    r"#+": """coffeescript dockerfile elixir fish ini julia makefile nim nix perl php
        plaintext powershell properties python r ruby shellscript tcl toml yaml""",
    r"//+": """bicep c cpp csharp cuda-cpp dart fsharp go groovy java javascript javascriptreact
        jsonc kotlin less objective-c objective-cpp php rust scala scss solidity swift
        typescript typescriptreact vue zig""",
    r"/\*+": """c cpp csharp css cuda-cpp dart go groovy java javascript javascriptreact jsonc
        kotlin less objective-c objective-cpp php rust scala scss solidity sql swift typescript
        typescriptreact vue""",
    r"--+": "ada elm haskell lua purescript sql vhdl",
    r";+": "asm clojure commonlisp elisp emacs-lisp fennel ini lisp racket scheme",
    r"%+": "bibtex erlang latex matlab prolog tex",
    r"<!--": "html markdown php svelte vue xml",
}
_ANY_LANGUAGE = r"#+|//+|/\*+"
"""How comments begin in a language that is not listed."""


class RewriteRefusedError(CodedError):
    """Nothing was changed; the one-line message says why."""


@dataclass(frozen=True, slots=True)
class RewriteRequest:
    """What to change, in the version of the document that the request refers to."""

    document: Document
    span: Span
    instruction: str | None = None
    strength: float = 0.6
    seed: int = 0
    shown: tuple[str, ...] = ()
    """What earlier attempts have shown."""
    token: JobToken | None = None
    """The token of its drafts."""
    holes: tuple[Span, ...] = ()
    """The parts of the span that are filled, the first one at its start and the last one at its
    end; empty if the whole span is rewritten."""
    is_warm: bool = False
    """Whether the holes hold text that denoising starts from."""
    kept: tuple[str, str] = ("", "")
    """The text on both sides of the span that is part of the change, but stays."""

    @property
    def whole(self) -> Span:
        """The span with what is kept on its sides."""
        before, after = map(len, self.kept)
        return Span(self.span.start - before, self.span.end + after)


@dataclass(frozen=True, slots=True)
class Change:
    """`new_text` instead of the span, in the current version of the document."""

    document: Document
    span: Span
    new_text: str
    warning: str | None = None
    """What is wrong with it, as one clause, if no attempt was better."""
    confidences: tuple[float, ...] = ()
    """Probability of each character of `new_text`."""


async def rewrite(
    session: Session,
    request: RewriteRequest,
    method: str,
    report: Report = lambda message, share: None,
) -> Change:
    """The change that the model proposes; raises `RewriteRefusedError` if there is none.

    `method` is the editor's method or command. `report` is called with the progress.
    """
    document, span = request.document, request.span
    at = range_at(document.text, span.start, span.start, session.units).start
    change: Change | None = None
    with session.tracer.request(
        method, document.uri, at, "invoked", document.language
    ) as trace:
        # A rewrite of masked text would put the mask into the document.
        refusal = session.exclusion(document)
        for written in request.holes or (span,):
            refusal = refusal or session.secret(document, written.start, written.end)
        trace.checked()
        if refusal is not None:
            answer = refused(refusal)
        else:
            end = span.end if span.start < span.end else None
            site = session.site(document, span.start, end)
            if request.holes:
                site = _with_holes(site, request)
            answer = await _write(session, request, site, report)
            if answer.suggestions:
                change = _change(session, request, site, answer.suggestions[0])
                answer = answer if change else answer.dropped(MOVED)
        trace.end(answer)
    if change is None:
        assert answer.reason is not None
        raise RewriteRefusedError(answer.reason.message, answer.reason.code)
    return change


def _with_holes(site: InsertionSite, request: RewriteRequest) -> InsertionSite:
    holes = within(request.holes)
    # Parts of a text that are written anew may become empty; a hole keeps its mark then.
    held = () if request.is_warm else held_by(site.replaced or "", holes)
    return replace(site, holes=holes, held=held)


async def _write(
    session: Session, request: RewriteRequest, site: InsertionSite, report: Report
) -> Answer:
    options = RequestOptions(
        may_be_empty=False,
        instruction=None if site.replaced is None else request.instruction,
        strength=request.strength,
        seed=request.seed,
        shown=request.shown,
        is_warm=request.is_warm,
        lane=LANE,
    )
    on_draft = _draft_listener(session, request, site, report)
    return await session.rewrites.rewrite(
        decide.Request(site, options), session.settings, on_draft
    )


def _change(
    session: Session, request: RewriteRequest, site: InsertionSite, written: Suggestion
) -> Change | None:
    """The change in the current document; `None` if the span itself has changed."""
    document = request.document
    now = session.documents.get(document.uri)
    found = None if now is None else find_again(request.whole, document.text, now.text)
    if now is None or found is None:
        return None
    (before, after), sure = request.kept, written.confidences
    text = before + written.text + after
    sure = ((1.0,) * len(before) + sure + (1.0,) * len(after)) if sure else ()
    return Change(now, found, text, warning_at(written, site), sure)


def confidence(session: Session, change: Change) -> list[tuple[float, int]]:
    """How sure the model is of each part of a change, as in `dgLsp/draft`."""
    widths = [width(character, session.units) for character in change.new_text]
    return [*confidence_runs(change.confidences, widths)]


def workspace_edit(session: Session, change: Change, label: str) -> types.WorkspaceEdit:
    """The smallest edit that makes the change, in a form that the client supports."""
    document, span = change.document, change.span
    smallest = minimal_replacement(document.text[span.start : span.end], change.new_text)
    edited = range_at(
        document.text,
        span.start + smallest.start,
        span.start + smallest.end,
        session.units,
    )
    if not session.client.versions_edits:
        return types.WorkspaceEdit({document.uri: [types.TextEdit(edited, smallest.new_text)]})
    identifier = types.OptionalVersionedTextDocumentIdentifier(document.uri, document.version)
    if not session.client.annotates_edits:
        plain = types.TextEdit(edited, smallest.new_text)
        return types.WorkspaceEdit(
            document_changes=[types.TextDocumentEdit(identifier, [plain])]
        )
    annotated = types.AnnotatedTextEdit(ANNOTATION, edited, smallest.new_text)
    about = types.ChangeAnnotation(label, False, "Written by a language model")
    if change.warning is not None:
        about = types.ChangeAnnotation(f"{label} ({change.warning})", False, change.warning)
    return types.WorkspaceEdit(
        document_changes=[types.TextDocumentEdit(identifier, [annotated])],
        change_annotations={ANNOTATION: about},
    )


@functools.lru_cache
def _comment_of(language: str) -> re.Pattern[str]:
    """Matches a line that is a comment in a language."""
    marks = [
        mark for mark, languages in _COMMENT_LANGUAGES.items() if language in languages.split()
    ]
    marker = "|".join(marks) or _ANY_LANGUAGE
    return re.compile(rf"\s*(?!{_DIRECTIVE})(?:{marker})\s*(.*?)\s*(?:\*/|-->)?\s*")


def leading_comment(selection: str, language: str) -> tuple[str, int] | None:
    """The text of the comment lines at the top of a selection, and where the code begins.

    `None` if they are empty, or if no code follows.
    """
    pattern = _comment_of(language)
    said: list[str] = []
    start = 0
    for line in selection.splitlines(keepends=True):
        comment = pattern.fullmatch(line)
        if comment is None:
            break
        said.append(comment[1])
        start += len(line)
    text = " ".join(part for part in said if part)
    return (text, start) if text and selection[start:].strip() else None


def _draft_listener(
    session: Session, request: RewriteRequest, site: InsertionSite, report: Report
) -> Callable[[Draft | None, Draft], None]:
    """Reports the progress of an attempt, and sends drafts to a client that handles them."""
    document, span = request.document, request.whole
    tell = None
    if request.token is not None and session.client.extensions.drafts:
        shown = range_at(document.text, span.start, span.end, session.units)
        tell = send_drafts(session, document, shown, *request.kept, request.token)

    def listen(older: Draft | None, draft: Draft) -> None:
        def draft_now() -> DraftSuggestion:
            return suggest_draft(older, draft, site, session.settings.multi_line)

        blocks = f"block {draft.block} of {draft.blocks}, " if draft.blocks > 1 else ""
        report(f"{blocks}step {draft.step} of {draft.steps_allowed}", draft.share_done)
        if tell is not None:
            tell(draft_now)

    return listen
