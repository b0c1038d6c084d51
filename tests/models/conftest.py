"""Kernels run in Triton's interpreter, which must be asked for before they are imported."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"
