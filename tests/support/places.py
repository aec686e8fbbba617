"""Folders of the repository that tests read."""

import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
VECTORS = REPOSITORY / "tests/vectors"
PACKAGE = REPOSITORY / "usis_jax"
