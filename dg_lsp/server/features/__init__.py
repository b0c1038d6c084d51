"""One module per LSP method, and what several of them share."""
