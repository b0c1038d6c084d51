"""Measures how well spans are filled: public benchmarks, the user's own code, held-out code."""

import enum

from dg_lsp.reason import CodedError, ReasonCode


class EvaluationError(CodedError, ValueError):
    """Something cannot be measured as requested; one line says why and what to do."""

    code = ReasonCode.BAD_DATA


class SeedSource(enum.Enum):
    """Where an evaluation looks for texts that the model may start from."""

    NONE = "none"
    DOCUMENT = "document"
    """The file of the span."""
    FOLDER = "folder"
    """The other files as well."""
