"""One thread, one model: from a job to an infill. Knows nothing of LSP."""
