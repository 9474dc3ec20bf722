"""Benchmarks of cyconv over (layer × algorithm), seeded, one thread unless a parameter says more.

The pools below read their size when NumPy first loads, so it is set here, before any import.
"""

import os

for _pool in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB"):
    os.environ[f"{_pool}_NUM_THREADS"] = "1"
