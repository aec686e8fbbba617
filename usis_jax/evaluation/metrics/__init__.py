"""Measures of generated images, each with a module of its own."""
