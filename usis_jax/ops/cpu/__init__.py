"""Implementations that exist for CPUs only; `ops.kernels` chooses them."""
