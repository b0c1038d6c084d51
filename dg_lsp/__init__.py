"""dg-lsp: a language server that infills code with a diffusion language model.

Importing this package loads neither torch nor any language server library.
"""

__version__ = "0.1.0"
