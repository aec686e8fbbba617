"""Measures of how close painted photos are to real ones."""
