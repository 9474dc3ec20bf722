"""``python -m cyconv`` is the command ``cyconv``."""

import sys

from cyconv.cli import main

sys.exit(main())
