"""`python -m rlnas`."""

import sys

from rlnas.cli import main

sys.exit(main())
