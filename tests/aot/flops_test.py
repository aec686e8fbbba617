"""Operations of traced programs, against XLA's count and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.aot import flops
from usis_jax.ops import conv


def counted(function, *arguments):
    return flops.count(jax.make_jaxpr(function)(*arguments).jaxpr)


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("stride, padding", [(1, 1), (2, 0), (1, 0)])
def test_convolution_and_its_gradients_count_as_xla_counts_them(stride, padding):
    x, kernel = ones(2, 9, 7, 3), ones(3, 3, 3, 5)

    def gradients(x, kernel):
        value, pullback = jax.vjp(lambda x, k: conv.conv(x, k, stride, padding), x, kernel)
        return pullback(value)

    by_xla = jax.jit(gradients).lower(x, kernel).cost_analysis()["flops"]
    assert counted(gradients, x, kernel) == pytest.approx(by_xla, rel=0.02)


def test_taps_in_the_padding_are_left_out():
    # Of a 2x2 image a 3x3 kernel sees all four pixels at each of four places.
    assert (
        counted(lambda x, k: conv.conv(x, k, padding=1), ones(1, 2, 2, 1), ones(3, 3, 1, 1))
        == 2 * 16
    )


def test_product_counts_two_for_each_term_and_moving_nothing():
    assert counted(lambda a, b: (a @ b).T.reshape(-1), ones(3, 4), ones(4, 5)) == 2 * 3 * 4 * 5


def test_loops_count_as_often_as_they_run_and_choices_by_the_longest_branch():
    def looped(x):
        return jax.lax.fori_loop(0, 7, lambda _, y: y @ x, x)

    assert counted(looped, ones(4, 4)) == 7 * 2 * 64

    def chosen(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: x, x)

    assert counted(chosen, ones(4, 4)) == 2 * 64


def test_functions_with_rules_of_their_own_count_once():
    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (square(x), x), lambda x, g: (jnp.dot(g, g) * x,))
    assert counted(square, ones(6)) == 6
    assert counted(jax.jit(square), ones(6)) == 6
