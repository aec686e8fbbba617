"""Generating images with trained networks."""
