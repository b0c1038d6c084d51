"""The masked objective: trains a small Qwen2 model to infill by masked diffusion."""
