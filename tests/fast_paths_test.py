import jax
import numpy as np
import pytest
import tiny_step


def taken(settings):
    """The gradients of a step with the R1 penalty: Adam's first moments, as beta1 is 0."""
    after, _ = tiny_step.run(settings, 1, (True,))
    return {player: memory[0].mu for player, memory in after.opt_state.items()}


@pytest.mark.parametrize("networks", [
    ("spade", "wavelet", "wavelet_upsample", "joint"),
    ("wavelet", "whole", "none", "alternating")])
def test_step_with_fast_paths_takes_the_plain_gradients(networks):
    fast, plain = (taken(tiny_step.combination(*networks, fast_paths=choice))
                   for choice in (True, False))
    for player, gradients in plain.items():
        scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradients))
        assert scale > 0
        jax.tree.map(lambda a, b, scale=scale: np.testing.assert_allclose(
            a, b, atol=1e-4 * scale), fast[player], gradients)
