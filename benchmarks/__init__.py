"""Benchmarks, run from the root of the repository, such as `python -m benchmarks.input`."""
