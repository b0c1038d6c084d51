"""The language server: turns LSP requests into jobs, and infills into LSP answers."""
