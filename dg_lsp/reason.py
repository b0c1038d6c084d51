"""Why something was not suggested, was refused or failed: a stable code and a message.

Part of the seam, beside `job.py`: every package may raise and pass on what is here. Programs
and tests go by the code; the message is for people, and its wording may change at any time.
docs/troubleshooting.md lists all codes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ReasonCode(enum.Enum):
    """One code for each cause that a user can do something about. The values are stable."""

    # The settings or the place rule a suggestion out, and the model is not asked.
    SWITCHED_OFF = "switched-off"
    """By the settings `enable`, `languages` or `completionFallback`."""
    ON_DEMAND = "on-demand"
    """The setting `trigger` wants suggestions only when they are asked for."""
    NOT_INCLUDED = "not-included"
    """The setting `include` names other files."""
    EXCLUDED = "excluded"
    """By the setting `exclude`, an ignore file, or because the name looks like secrets."""
    SECRET = "secret"
    """The place is in what looks like a secret."""
    NOT_OPEN = "not-open"
    OUT_OF_SYNC = "out-of-sync"
    """An edit of the document could not be read."""
    OTHER_VERSION = "other-version"
    """The request is about another version of the document than the one that is open."""
    SELECTED_LINES = "selected-lines"
    """The entry selected in the editor's list replaces several lines."""
    TOO_LONG = "too-long"
    """The selection is longer than the model can rewrite."""
    NO_INSTRUCTIONS = "no-instructions"
    """The model follows no instructions."""

    # The model was asked, and nothing of its answer can be used.
    NOTHING_MISSING = "nothing-missing"
    """The model finds the code complete."""
    BLANK = "blank"
    """The model wrote nothing, only blanks, or bytes that form no text."""
    ALREADY_THERE = "already-there"
    """Everything that the model wrote stands there already."""
    ONE_LINE = "one-line"
    """Only one line may go in, by the setting `multiLine`, and it would be empty."""
    LOW_CONFIDENCE = "low-confidence"
    """The model is less sure than the setting `minConfidence` asks for."""
    INVALID = "invalid"
    """The code would not be valid with it."""
    DEADLINE = "deadline"
    """The time that the request allows was over before there was a usable text."""
    CHANGED = "changed"
    """The document changed while the model wrote."""
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    EDIT_REFUSED = "edit-refused"
    """The editor did not apply the edit."""

    # The engine could not finish the job.
    UNLOADED = "unloaded"
    """The model was unloaded while the job waited or ran."""
    BUSY = "busy"
    """The engine has as many open jobs as it takes."""
    OUT_OF_MEMORY = "out-of-memory"
    """The device ran out of memory in the middle of a job."""
    STALLED = "stalled"
    """The model made no step for minutes."""
    JOB_FAILED = "job-failed"
    """The job raised an error in the engine."""

    # There is no engine to be had.
    NO_ENGINE = "no-engine"
    """No engine answers at the address."""
    ENGINE_SILENT = "engine-silent"
    """The engine is there, but gives no sign of life."""
    ENGINE_LOST = "engine-lost"
    """The connection ended before the answer was complete."""
    ENGINE_CLOSED = "engine-closed"
    """The engine is shutting down."""
    BAD_ANSWER = "bad-answer"
    """What answers is not a dg-lsp engine, or its answer cannot be read."""
    VERSION_MISMATCH = "version-mismatch"
    """The engine is of another version of dg-lsp."""
    TOKEN_REFUSED = "token-refused"
    """The token is missing or wrong."""
    CANNOT_START = "cannot-start"
    """The engine process cannot be started, or ended at once."""
    CRASHING = "crashing"
    """The engine ended too often in a short time; it is started again after a pause."""
    CANNOT_STOP = "cannot-stop"
    """The engine process cannot be ended."""
    ALREADY_RUNNING = "already-running"
    """An engine for this model and device runs already."""
    REMOTE_ENGINE = "remote-engine"
    """The engine was started elsewhere and cannot be restarted from here."""
    SETTINGS_CHANGED = "settings-changed"
    """The settings name another engine now."""
    BAD_ADDRESS = "bad-address"
    """The address of an engine cannot be used, or nothing can listen there."""
    BAD_TOKEN = "bad-token"
    """The token, or the file that holds it, cannot be used."""
    BAD_DIRECTORY = "bad-directory"
    """The directory for sockets and locks cannot be made or is not the user's alone."""

    # There is no model to be had.
    LOADING = "loading"
    """The model is still being loaded."""
    NO_MODEL = "no-model"
    """There is no model of that name or in that directory."""
    UNKNOWN_FAMILY = "unknown-family"
    """The checkpoint belongs to a model family that dg-lsp does not support."""
    BAD_CHECKPOINT = "bad-checkpoint"
    """Files of the model are missing, damaged or do not belong together."""
    NO_DEVICE = "no-device"
    """The device is unknown, missing or too old."""
    DOES_NOT_FIT = "does-not-fit"
    """The model needs more memory than there is, or than `--vram` allows."""
    MISSING_PACKAGE = "missing-package"
    """A Python package is needed that is not installed."""
    LOAD_FAILED = "load-failed"
    """Loading the model raised an error that dg-lsp does not know."""
    NO_REPOSITORY = "no-repository"
    """The hub has no such repository or revision."""
    LICENCE = "licence"
    """The terms of the weights have not been accepted."""
    DOWNLOAD_FAILED = "download-failed"
    DISK_FULL = "disk-full"
    """The disk has too little room for the model."""
    NAME_TAKEN = "name-taken"
    """There is a model of that name, or another process is making one."""

    # The request or the command cannot be followed as it was made.
    INVALID_REQUEST = "invalid-request"
    """A field of a request is missing, unknown or has a wrong value."""
    TOO_LARGE = "too-large"
    """The request has more bytes or characters than are read."""
    NO_ENDPOINT = "no-endpoint"
    """There is no such path, or not for this method."""
    WEB_PAGE = "web-page"
    """A web page made the browser send the request."""
    INVALID_ARGUMENT = "invalid-argument"
    """An argument or option of a command is wrong."""
    BAD_POSITION = "bad-position"
    """The line or column is outside the file."""
    BAD_FILE = "bad-file"
    """The file is missing, unreadable, or not text in a supported encoding."""
    BAD_DATA = "bad-data"
    """The data or the environment of an evaluation cannot be used."""
    NOTHING_TRACED = "nothing-traced"
    """No request was traced yet."""

    DEFECT = "defect"
    """A fault of dg-lsp."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A code for programs and a message for people."""

    code: ReasonCode
    message: str
    """One clause, without a full stop; it names the setting or the value that decided."""

    def __str__(self) -> str:
        return self.message


class CodedError(Exception):
    """A refusal or failure that a user can understand: one line, and a code.

    Subclasses that are a `ValueError` as well stand for what the user can get wrong.
    """

    code = ReasonCode.DEFECT
    """Of the class; an instance may have one of its own."""

    def __init__(self, message: str, code: ReasonCode | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    @property
    def reason(self) -> Reason:
        return Reason(self.code, str(self))


def reason_of(error: BaseException, otherwise: ReasonCode = ReasonCode.DEFECT) -> Reason:
    """The reason that an error carries; others get the given code."""
    return error.reason if isinstance(error, CodedError) else Reason(otherwise, str(error))


def reason_json(reason: Reason) -> dict[str, str]:
    """As it stands in JSON everywhere."""
    return {"code": reason.code.value, "message": reason.message}
