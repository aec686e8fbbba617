"""`python -m usis_jax` is `usis`."""

import sys

from usis_jax.cli import main

sys.exit(main())
