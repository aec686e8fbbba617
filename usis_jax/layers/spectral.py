"""Spectral normalisation: convolutions whose kernel is divided by its largest singular value."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

EPSILON = 1e-12

xavier_small = nn.initializers.variance_scaling(0.02**2, "fan_avg", "normal")
"""Xavier normal initialisation with gain 0.02, the SPADE family's choice."""

_FOLDED = "folded"
"""Name of the variable that says of a kernel that it is divided by its norm already."""


def normalise(x: Array) -> Array:
    """Scale a vector [N] to unit Euclidean length. Source: Miyato et al. 2018, algorithm 1."""
    return x / jnp.maximum(jnp.linalg.norm(x), EPSILON)


def power_iteration(matrix: Array, u: Array) -> tuple[Array, Array]:
    """One power iteration for the largest singular value.

    Args:
      matrix: float [M, N].
      u: float [N], the current right vector (output side of the convolution).

    Returns:
      (u float [N], v float [M]), unit length, no gradient flows through them.

    Source: Miyato et al. 2018, algorithm 1; paper §5.1 (one iteration a training forward).
    """
    matrix = jax.lax.stop_gradient(matrix)
    v = normalise(matrix @ u)
    u = normalise(v @ matrix)
    return u, v


def fold(variables: dict) -> dict:
    """Divide the kernels of all `SpectralConv` by their spectral norms, once for many calls.

    Args:
      variables: of a network that has such layers or not: nested dicts of arrays.

    Returns:
      Variables with which the network computes the same when `iterate` is false; it cannot be
      trained with them.
    """
    params, vectors = (variables.get(name, {}) for name in ("params", "spectral"))
    return {**variables, "params": _folded(params, vectors), "spectral": _marked(vectors)}


def _folded(params, vectors):
    if "u" in vectors:
        return {**params, "kernel": _over_sigma(params["kernel"], vectors["u"], vectors["v"])}
    return {
        name: _folded(own, vectors[name]) if name in vectors else own
        for name, own in params.items()
    }


def _marked(vectors):
    if "u" in vectors:
        return {_FOLDED: np.zeros((), np.float32)}
    return {name: _marked(own) for name, own in vectors.items()}


def _over_sigma(kernel: Array, u: Array, v: Array) -> Array:
    sigma = v @ kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32) @ u
    return (kernel / sigma).astype(kernel.dtype)


class SpectralConv(nn.Conv):
    """`nn.Conv` with the kernel divided by its spectral norm sigma = v^T W u.

    W is the kernel as a matrix [kh*kw*in, out]. The vectors u [out] and v [kh*kw*in] live in the
    collection "spectral" and are iterated once a call when `iterate` is true and that collection is
    mutable, so evaluation leaves them alone.

    The first `fixed_biases` biases get no gradient: those of outputs that only batch normalisation
    reads, which takes a bias away again. Their gradient is zero but for rounding, which Adam would
    make a step of full length, another one on another number of devices.

    Source: paper §5.1 and the SPADE generator and UNet of OASIS.
    """

    iterate: bool = False
    fixed_biases: int = 0

    def param(self, name, init_fn, *args, **kwargs):
        """As `nn.Module.param`, but the kernel [kh, kw, in, out] comes back divided by sigma."""
        value = super().param(name, init_fn, *args, **kwargs)
        if name == "kernel":
            return self._divide_by_sigma(value)
        if not self.fixed_biases:
            return value
        fixed = jnp.arange(self.features) < self.fixed_biases
        return jnp.where(fixed, jax.lax.stop_gradient(value), value)

    def _divide_by_sigma(self, kernel: Array) -> Array:
        if self.has_variable("spectral", _FOLDED):
            return kernel
        matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)

        def initial_u():
            # A random vector alone underestimates sigma, and the first step's losses explode.
            vector = normalise(jax.random.normal(self.make_rng("params"), (matrix.shape[1],)))
            return jax.lax.fori_loop(0, 8, lambda _, u: power_iteration(matrix, u)[0], vector)

        u = self.variable("spectral", "u", initial_u)
        v = self.variable("spectral", "v", lambda: normalise(matrix @ u.value))
        left, right = u.value, v.value
        if self.iterate and self.is_mutable_collection("spectral"):
            left, right = power_iteration(matrix, left)
            u.value, v.value = left, right
        return _over_sigma(kernel, left, right)
