"""Floating-point operations of a traced program, counted on its jaxpr: the same on every platform.

XLA's own count takes a loop's body once, however often it runs, and TPUs have none before
optimisation.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jax.extend import core

# What moves or makes numbers and computes none.
_MOVES = frozenset({
    "broadcast_in_dim", "reshape", "transpose", "slice", "dynamic_slice", "dynamic_update_slice",
    "pad", "concatenate", "gather", "squeeze", "rev", "convert_element_type", "iota", "copy",
    "select_n", "stop_gradient", "bitcast_convert_type", "split", "all_gather", "axis_index",
    "random_bits", "random_wrap", "random_unwrap", "random_fold_in", "random_split", "copy_p",
})  # fmt: skip


def count(jaxpr: core.Jaxpr) -> float:
    """Floating-point operations of one call.

    Args:
      jaxpr: the program; of a mapped one, the part of one device counts.

    Returns:
      Multiplications and additions of products and convolutions (taps in the padding left out), one
      for each number of any other arithmetic; the longest branch of a choice, a loop as often as it
      runs (once, where that is known only when it does).
    """
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: core.JaxprEqn) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "cond":
        return max(count(branch.jaxpr) for branch in params["branches"])
    if name == "scan":
        return params["length"] * count(params["jaxpr"].jaxpr)
    inner = list(_inner(params))
    if inner:
        return sum(count(jaxpr) for jaxpr in inner)
    if name == "dot_general":
        return _of_product(equation)
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    if name in _MOVES:
        return 0.0
    sizes = equation.invars if name.startswith(("reduce", "arg", "cum")) else equation.outvars
    return float(
        sum(
            math.prod(x.aval.shape)
            for x in sizes
            if np.issubdtype(getattr(x.aval, "dtype", np.int32), np.inexact)
            or str(getattr(x.aval, "dtype", "")) == "bfloat16"
        )
    )


def _inner(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
    """Programs that an equation calls: of a function with rules of its own, the function only."""
    for name, value in params.items():
        if name.startswith(("fwd", "bwd", "jvp")):
            continue
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, core.Jaxpr):
                yield item


def _of_product(equation: core.JaxprEqn) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    terms = math.prod(shape[axis] for axis in contracted)
    return 2.0 * terms * math.prod(equation.outvars[0].aval.shape)


def _of_convolution(equation: core.JaxprEqn) -> float:
    params = equation.params
    numbers = params["dimension_numbers"]
    image, kernel = (x.aval.shape for x in equation.invars)
    out = equation.outvars[0].aval.shape
    pairs = 1.0
    for axis in range(len(image) - 2):
        size, taps = image[numbers.lhs_spec[axis + 2]], kernel[numbers.rhs_spec[axis + 2]]
        results = out[numbers.out_spec[axis + 2]]
        dilation, spread = params["lhs_dilation"][axis], params["rhs_dilation"][axis]
        place = (
            np.arange(results)[:, None] * params["window_strides"][axis]
            + np.arange(taps)[None] * spread
            - params["padding"][axis][0]
        )
        seen = (place >= 0) & (place <= (size - 1) * dilation) & (place % dilation == 0)
        pairs *= seen.sum()
    batch, features = out[numbers.out_spec[0]], out[numbers.out_spec[1]]
    batch //= params["batch_group_count"] if batch > 1 else 1
    return 2.0 * pairs * batch * features * kernel[numbers.rhs_spec[1]]
