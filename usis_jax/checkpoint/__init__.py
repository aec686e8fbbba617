"""Checkpoints: Orbax's manager, metadata, checksums, the best ones."""
