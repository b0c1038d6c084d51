"""Masked diffusion on a Qwen2 backbone beside what a user would otherwise run on a CPU.

All methods have the same shape and the same random weights, so that only time is compared.
"""
