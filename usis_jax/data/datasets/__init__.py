"""TFDS builders, one module a data set."""
