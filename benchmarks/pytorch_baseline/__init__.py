"""The method in PyTorch: what our JAX code is compared with.

Networks, losses and the published training step, written from the paper and from the description of
the published networks in our own modules; no line is taken from published code. Parameters have the
published keys, so that reference vectors and `usis_jax.interop.torch` fit. Nothing here imports
`usis_jax`: PyTorch may live in an environment of its own.

Tensors are [B, C, H, W] float32; label maps int64 [B, H, W].
"""
