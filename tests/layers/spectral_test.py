import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.layers.spectral import SpectralConv, fold, normalise, power_iteration

X = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)


def initial(iterate=True, **kwargs):
    module = SpectralConv(5, (3, 3), iterate=iterate, **kwargs)
    return module, module.init(jax.random.key(0), X)


def iterated(module, variables, times):
    for _ in range(times):
        _, updates = module.apply(variables, X, mutable=["spectral"])
        variables = {**variables, **updates}
    return variables


def matrix(variables):
    kernel = np.asarray(variables["params"]["kernel"], np.float64)
    return kernel.reshape(-1, kernel.shape[-1])


def test_power_iteration_finds_the_largest_singular_value():
    w = np.random.default_rng(1).normal(size=(20, 7)).astype(np.float32)
    u = normalise(jnp.ones(7))
    for _ in range(100):
        u, v = power_iteration(w, u)
    np.testing.assert_allclose(v @ w @ u, np.linalg.svd(w)[1][0], rtol=1e-5)


def test_sigma_agrees_with_svd_after_training_forwards():
    module, variables = initial()
    variables = iterated(module, variables, 60)
    left, right = (np.asarray(variables["spectral"][name]) for name in ("u", "v"))
    sigma = right @ matrix(variables) @ left
    np.testing.assert_allclose(sigma, np.linalg.svd(matrix(variables))[1][0], rtol=1e-5)


def test_output_is_the_convolution_with_the_divided_kernel():
    module, variables = initial(use_bias=False)
    variables = iterated(module, variables, 60)
    y = SpectralConv(5, (3, 3), use_bias=False).apply(variables, X)
    kernel = variables["params"]["kernel"] / np.linalg.svd(matrix(variables))[1][0]
    expected = jax.lax.conv_general_dilated(
        X, kernel.astype(np.float32), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_evaluation_leaves_the_vectors_alone():
    module, variables = initial(iterate=False)
    _, updates = module.apply(variables, X, mutable=["spectral"])
    jax.tree.map(np.testing.assert_array_equal, updates["spectral"], variables["spectral"])


def test_training_iterates_once():
    module, variables = initial()
    _, updates = module.apply(variables, X, mutable=["spectral"])
    w = matrix(variables)
    v = w @ np.asarray(variables["spectral"]["u"])
    v /= np.linalg.norm(v)
    u = w.T @ v
    np.testing.assert_allclose(updates["spectral"]["v"], v, atol=1e-5)
    np.testing.assert_allclose(updates["spectral"]["u"], u / np.linalg.norm(u), atol=1e-5)


def test_initial_kernel_is_not_normalised():
    _, variables = initial(kernel_init=jax.nn.initializers.constant(0.5))
    np.testing.assert_array_equal(variables["params"]["kernel"], 0.5)


def test_gradient_follows_the_published_formula():
    """d<C, W/sigma>/dW = (C - <C, W/sigma> v u^T) / sigma (Miyato et al. 2018, eq. 12)."""
    module, variables = initial(iterate=False, use_bias=False)
    pixel = np.random.default_rng(2).normal(size=(1, 3, 3, 3)).astype(np.float32)
    cotangent = np.random.default_rng(3).normal(size=(5,)).astype(np.float32)

    def value(kernel):
        y = module.apply({**variables, "params": {"kernel": kernel}}, pixel)
        return (y[0, 1, 1] * cotangent).sum()  # the centre sees the whole kernel

    gradient = jax.grad(value)(variables["params"]["kernel"])
    w = matrix(variables)
    u, v = (np.asarray(variables["spectral"][name], np.float64) for name in ("u", "v"))
    sigma = v @ w @ u
    c = np.outer(pixel.reshape(-1), cotangent)
    expected = (c - (c * w / sigma).sum() * np.outer(v, u)) / sigma
    np.testing.assert_allclose(
        gradient.reshape(w.shape), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


def test_fixed_biases_count_but_get_no_gradient():
    module, variables = initial(iterate=False, fixed_biases=2)
    gradient = jax.grad(lambda params: module.apply({**variables, "params": params}, X).sum())(
        variables["params"]
    )
    np.testing.assert_array_equal(gradient["bias"], [0, 0, 72, 72, 72])
    moved = {**variables["params"], "bias": jnp.arange(5.0)}
    difference = module.apply({**variables, "params": moved}, X) - module.apply(variables, X)
    np.testing.assert_allclose(difference, np.broadcast_to(np.arange(5), (2, 6, 6, 5)), atol=1e-6)


def test_folded_kernels_give_the_same_and_are_not_divided_again():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(3, (1, 1))(SpectralConv(5, (3, 3), name="own")(x))

    variables = Two().init(jax.random.key(0), X)
    variables["params"]["own"]["kernel"] *= 3
    folded = fold(variables)
    np.testing.assert_allclose(Two().apply(folded, X), Two().apply(variables, X), atol=1e-5)
    assert jax.tree.structure(folded["params"]) == jax.tree.structure(variables["params"])
    vectors = variables["spectral"]["own"]
    kernel = matrix({"params": variables["params"]["own"]})
    np.testing.assert_allclose(
        folded["params"]["own"]["kernel"].reshape(kernel.shape),
        kernel / (vectors["v"] @ kernel @ vectors["u"]),
        rtol=1e-5,
    )
    plain = {"params": {"kernel": np.ones(3)}}
    assert fold(plain)["params"]["kernel"] is plain["params"]["kernel"]
