"""``python -m cyconv.cli`` is the command ``cyconv``."""

import sys

from . import main

sys.exit(main())
