"""Limits linear algebra to one core: one core is what is measured, and other runs use the others.

Import it before numpy.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
