"""Data sets: label specs, TFDS builders, and the streams that training reads."""
