"""Masked diffusion on the Qwen2 backbone: Dream, DreamOn, Dream-Coder, Open-dCoder."""
