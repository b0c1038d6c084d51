"""The strategies of masked diffusion: unknown positions hold a mask token until decided.

What DreamOn (arXiv 2602.01326) adds, tokens that delete a position or expand it to two, is
optional: a model without them tries several lengths instead.
"""

from dg_lsp.engine.masked.family import masked_family
from dg_lsp.engine.masked.rules import MaskTokens

__all__ = ["MaskTokens", "masked_family"]
