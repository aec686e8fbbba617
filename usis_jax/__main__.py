"""`python -m usis_jax` is `usis`."""

import sys

from usis_jax.runtime import huge_pages


def main() -> int:
    """Runs one command as a program of its own; returns its exit code."""
    huge_pages.ask()
    # Only now, as a new start would import it all a second time.
    from usis_jax.cli import main

    return main.main()


# Worker processes import this module, too.
if __name__ == "__main__":
    sys.exit(main())
