"""`python -m dg_lsp`: the same as the console script `dg-lsp`."""

from dg_lsp.cli import main

if __name__ == "__main__":
    main()
