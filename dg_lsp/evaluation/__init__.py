"""Measures how well spans are filled: public benchmarks, the user's own code, held-out code."""

from dg_lsp.reason import CodedError, ReasonCode


class EvaluationError(CodedError, ValueError):
    """Something cannot be measured as requested; one line says why and what to do."""

    code = ReasonCode.BAD_DATA
