"""How well and how fast spans are filled: benchmarks, the user's own code, held-out code."""

from dg_lsp.reason import CodedError, ReasonCode


class EvaluationError(CodedError, ValueError):
    """Something that cannot be measured as asked; one line that says why and what to do."""

    code = ReasonCode.BAD_DATA
