"""Kernels that do in one launch what the class does in many, between the matrix products.

Each has a reference in plain torch (`reference.py`) that it is tested against. torch.compile
fuses what lies between them (compiled.py).
"""
