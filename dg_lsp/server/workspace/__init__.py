"""The documents and notebooks that the editor has open, and which of them are excluded."""
