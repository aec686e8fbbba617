"""Initial values of parameters, traced once a shape.

Flax calls an initialiser for its result's shape whenever a network is traced, which took a sixth of
the time before a compiled step starts.
"""

import flax.linen as nn
import jax


def _traced_once(initialiser):
    return jax.jit(initialiser, static_argnums=(1, 2))


xavier_small = _traced_once(nn.initializers.variance_scaling(0.02**2, "fan_avg", "normal"))
"""Xavier normal initialisation with gain 0.02, the SPADE family's choice."""

standard_normal = _traced_once(nn.initializers.normal(1.0))
"""N(0, 1), StyleGAN2's choice for layers with equalised learning rate."""

zeros = _traced_once(nn.initializers.zeros)
"""Zeros, for biases."""
