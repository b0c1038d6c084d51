"""How well and how fast spans are filled: benchmarks, the user's own code, held-out code."""


class EvaluationError(ValueError):
    """Something that cannot be measured as asked; one line that says why and what to do."""
