"""The language server: LSP in, jobs out. The only package that knows pygls and lsprotocol."""
