"""The tests: named problems, an oracle that shares no code with the product, derived bounds."""

import os
import sys
import sysconfig
from pathlib import Path

# `python -m pytest` puts the checkout first on the path. Where it is not built in place it must not
# hide the installed package.
_CHECKOUT = Path(__file__).parents[1]
if not (_CHECKOUT / f"cyconv/runtime/parallel{sysconfig.get_config_var('EXT_SUFFIX')}").exists():
    sys.path[:] = [entry for entry in sys.path if entry != str(_CHECKOUT)]

# Processes that run beside each other leave the cores to those that have work. OpenMP reads this
# when it is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
