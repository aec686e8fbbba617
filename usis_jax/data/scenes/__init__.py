"""Procedural street scenes, the data set that comes with the package."""
