"""Why something was not suggested, was refused or failed: a stable code and a message.

Part of the seam, beside `job.py`: every package may raise and pass on what is here. Programs
and tests go by the code; the message is for people, and its wording may change at any time.
docs/troubleshooting.md lists all codes.
"""

from __future__ import annotations

import enum
import errno
import os
from dataclasses import dataclass


class ReasonCode(enum.Enum):
    """One code for each cause that a user can do something about. The values are stable."""

    # The settings or the position rule out a suggestion, and the model is not asked.
    SWITCHED_OFF = "switched-off"
    """Switched off by the setting `enable`, `languages` or `completionFallback`."""
    ON_DEMAND = "on-demand"
    """The setting `trigger` allows suggestions only on request."""
    NOT_INCLUDED = "not-included"
    """The setting `include` names only other files."""
    EXCLUDED = "excluded"
    """Excluded by the setting `exclude`, an ignore file, or a name that suggests secrets."""
    SECRET = "secret"
    """The cursor is in what looks like a secret, the selection contains one, or the model wrote
    the asterisks that replace one."""
    NOT_OPEN = "not-open"
    OUT_OF_SYNC = "out-of-sync"
    """An edit of the document could not be read."""
    OTHER_VERSION = "other-version"
    """The request is about another version of the document than the one that is open."""
    SELECTED_LINES = "selected-lines"
    """The entry selected in the editor's list replaces several lines."""
    NOT_ASKED = "not-asked"
    """Nothing of use is expected at the cursor while the user types; a request by hand asks."""
    TOO_LONG = "too-long"
    """The selection is longer than the model can rewrite."""
    NO_INSTRUCTIONS = "no-instructions"
    """The model cannot follow instructions."""
    ONE_SPAN = "one-span"
    """The model fills one span at a time, so that no text in it can be pinned."""
    NO_ALTERNATIVES = "no-alternatives"
    """The engine does not say what else may stand in place of a word."""
    CANVAS_FULL = "canvas-full"
    """The pinned texts leave no room in a canvas for the segments beside them."""
    NO_HOLES = "no-holes"
    """There is no mark of a hole in the text."""
    TOO_MANY_HOLES = "too-many-holes"
    """More holes than are filled together."""
    OVERLAPPING_HOLES = "overlapping-holes"
    """Two holes overlap, or have nothing between them."""

    NO_NEXT_EDIT = "no-next-edit"
    """Nothing is certain to follow from the last edits."""

    # The model was asked, but nothing of its answer can be used.
    NOTHING_MISSING = "nothing-missing"
    """The model finds the code complete."""
    BLANK = "blank"
    """The model wrote nothing, only white space, or bytes that form no text."""
    ALREADY_THERE = "already-there"
    """Everything that the model wrote is already there."""
    ALREADY_SHOWN = "already-shown"
    """Everything that the model wrote was shown by an earlier attempt."""
    ONE_LINE = "one-line"
    """Only one line may be inserted (`multiLine`), and it would be empty."""
    LOW_CONFIDENCE = "low-confidence"
    """The confidence is lower than the setting `minConfidence` requires."""
    INVALID = "invalid"
    """The code would not be valid with the text."""
    DEADLINE = "deadline"
    """The request's deadline passed before there was a usable text."""
    UNDECIDED = "undecided"
    """The model's steps were used up before it had decided every token."""
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
    """The engine has as many open jobs as it accepts."""
    RATE_LIMITED = "rate-limited"
    """The client sends more requests or bytes than a shared engine takes from one client."""
    TOO_MANY_JOBS = "too-many-jobs"
    """The client has as many open jobs as a shared engine takes from one client."""
    MODEL_CHANGED = "model-changed"
    """A file of the model was changed while it was in use, so the model is loaded again."""
    OUT_OF_MEMORY = "out-of-memory"
    """The device ran out of memory in the middle of a job."""
    STALLED = "stalled"
    """The model has made no step for minutes."""
    JOB_FAILED = "job-failed"
    """The job raised an error in the engine."""

    GPU_LOST = "gpu-lost"
    """The GPU refuses everything after an error, until the engine process has ended."""

    # There is no engine.
    NO_ENGINE = "no-engine"
    """No engine answers at the address."""
    UNREACHABLE = "unreachable"
    """The machine at the address cannot be found, or does not answer."""
    ENGINE_SILENT = "engine-silent"
    """The engine is running but does not answer."""
    ENGINE_LOST = "engine-lost"
    """The connection ended before the answer was complete."""
    ENGINE_CLOSED = "engine-closed"
    """The engine is shutting down."""
    BAD_ANSWER = "bad-answer"
    """The answer is not from a dg-lsp engine, or cannot be read."""
    VERSION_MISMATCH = "version-mismatch"
    """The engine is of another version of dg-lsp."""
    TOKEN_REFUSED = "token-refused"
    """The token is missing or wrong."""
    NOT_ALLOWED = "not-allowed"
    """Only an administrator's token may do this on a shared engine."""
    WRONG_FINGERPRINT = "wrong-fingerprint"
    """The engine shows another certificate than the one that the setting names."""
    BAD_CERTIFICATE = "bad-certificate"
    """A certificate is expired, not trusted, or cannot be used."""
    CANNOT_START = "cannot-start"
    """The engine process cannot be started, or ended at once."""
    CRASHING = "crashing"
    """The engine crashed too often in a short time; it is started again after a pause."""
    CANNOT_STOP = "cannot-stop"
    """The engine process cannot be stopped."""
    ALREADY_RUNNING = "already-running"
    """An engine for this model and device runs already."""
    REMOTE_ENGINE = "remote-engine"
    """The engine was started elsewhere and cannot be restarted from here."""
    LOCAL_ENGINE = "local-engine"
    """The engine at the address does not answer, so the one on this machine is used."""
    OTHER_SERVER = "other-server"
    """Beside a model that works: the setting names a server that is not a dg-lsp engine, and
    text goes there."""
    SETTINGS_CHANGED = "settings-changed"
    """The settings now name another engine."""
    BAD_ADDRESS = "bad-address"
    """The address of an engine cannot be used, or nothing can listen there."""
    BAD_TOKEN = "bad-token"
    """The token, or the file that holds it, cannot be used."""
    BAD_DIRECTORY = "bad-directory"
    """The directory for sockets and locks cannot be created, or others can access it."""

    # There is no model.
    LOADING = "loading"
    """The engine is starting, or the model is still being loaded."""
    NO_MODEL = "no-model"
    """There is no model of that name or in that directory."""
    UNKNOWN_FAMILY = "unknown-family"
    """The checkpoint belongs to a model family that dg-lsp does not support."""
    UNKNOWN_FORMAT = "unknown-format"
    """The weights are in a format that dg-lsp does not read."""
    BAD_CHECKPOINT = "bad-checkpoint"
    """Files of the model are missing, damaged or do not belong together."""
    NO_DEVICE = "no-device"
    """There is no device of that name."""
    NO_GPU = "no-gpu"
    """The machine has no GPU that dg-lsp supports, or torch does not find it."""
    OLD_GPU = "old-gpu"
    """The GPU's compute capability is too low."""
    OLD_DRIVER = "old-driver"
    """NVIDIA's driver is older than the CUDA build of torch requires."""
    NO_CUDA = "no-cuda"
    """torch was built without CUDA, although there is a GPU."""
    NO_COMPILER = "no-compiler"
    """Triton finds no C compiler or no Python.h, which it needs to start a kernel."""
    KERNEL_FAILED = "kernel-failed"
    """A way of computing raised an error, at load or later, and is no longer used."""
    WRONG_NUMBERS = "wrong-numbers"
    """A way of computing gave wrong numbers, at load or later, and is no longer used."""
    WRONG_WEIGHTS = "wrong-weights"
    """The model finds a fixed text much less likely than when its weights were first loaded."""
    ROUNDED_EMBEDDING = "rounded-embedding"
    """The embedding is kept in 8 bits, because it leaves too little memory otherwise."""
    DOES_NOT_FIT = "does-not-fit"
    """The model needs more memory than there is, or than `--vram` allows."""
    MISSING_PACKAGE = "missing-package"
    """A required Python package is not installed."""
    LOAD_FAILED = "load-failed"
    """Loading the model raised an unexpected error."""
    NO_REPOSITORY = "no-repository"
    """The hub has no such repository or revision."""
    LICENCE = "licence"
    """The terms of the weights have not been accepted."""
    DOWNLOAD_FAILED = "download-failed"
    DISK_FULL = "disk-full"
    """The disk has too little room for the model, or for what is written."""
    NAME_TAKEN = "name-taken"
    """There is a model of that name, or another process is making one."""

    # The request or the command is invalid.
    INVALID_REQUEST = "invalid-request"
    """A field of a request is missing, unknown or has a wrong value."""
    TOO_LARGE = "too-large"
    """The request is longer than the limit."""
    TOO_SLOW = "too-slow"
    """The request did not come within the time for it."""
    NO_ENDPOINT = "no-endpoint"
    """There is no such path, or not for this method."""
    WEB_PAGE = "web-page"
    """A web page made the browser send the request."""
    INVALID_ARGUMENT = "invalid-argument"
    """An argument or option of a command is wrong."""
    BAD_POSITION = "bad-position"
    """The line or column is outside the file."""
    BAD_FILE = "bad-file"
    """The file is missing, unreadable, or not text in a supported encoding; or standard input
    or output is closed."""
    BAD_DATA = "bad-data"
    """The data or the environment of an evaluation cannot be used."""
    NOTHING_TRACED = "nothing-traced"
    """No request has been traced yet."""

    OTHER = "other"
    """A reason of a newer version of dg-lsp, which this one does not have."""
    DEFECT = "defect"
    """A bug in dg-lsp."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A code for programs and a message for people."""

    code: ReasonCode
    message: str
    """One clause, without a full stop, that names the setting or value responsible."""

    def __str__(self) -> str:
        return self.message


class CodedError(Exception):
    """A refusal or failure that a user can understand: one line, and a code.

    Subclasses that are also a `ValueError` are for errors that the user can correct.
    """

    code = ReasonCode.DEFECT
    """The default code of the class; an instance may have its own."""

    def __init__(self, message: str, code: ReasonCode | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    @property
    def reason(self) -> Reason:
        return Reason(self.code, str(self))


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room for a file: on the disk, in the user's quota, or below the limit of its size."""


def reason_of(error: BaseException, otherwise: ReasonCode = ReasonCode.DEFECT) -> Reason:
    """The reason of a coded error, or of a full disk; other errors get the given code."""
    if isinstance(error, CodedError):
        return error.reason
    if isinstance(error, OSError) and error.errno in FULL:
        # Copying a file names its source first.
        name = error.filename2 or error.filename
        file = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "a file"
        return Reason(ReasonCode.DISK_FULL, f"{file} cannot be written: {error.strerror}")
    return Reason(otherwise, str(error))


def reason_json(reason: Reason) -> dict[str, str]:
    """The reason as JSON, in the form used everywhere."""
    return {"code": reason.code.value, "message": reason.message}
