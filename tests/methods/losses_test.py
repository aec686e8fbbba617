import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.methods import losses

RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, 4, (4, 3, 5)).astype(np.int32)  # class 4 of 5 is absent
LOGITS = RANDOM.normal(size=(4, 3, 5, 6)).astype(np.float32)


def balanced_by_hand(logits, label, void):
    """The loss pixel by pixel in float64."""
    logits = np.asarray(logits, np.float64)
    pixels = {c: (label == c).sum() for c in np.unique(label) if c != void}
    total = 0.0
    for index in np.ndindex(label.shape):
        c = label[index]
        if c != void:
            weight = label.size / (len(pixels) * pixels[c])
            z = logits[index]
            total += weight * (np.log(np.exp(z).sum()) - z[c + 1])
    return total / label.size


def test_class_weights_by_hand():
    label = jnp.array([[[0, 0, 0], [0, 1, 2]]])
    np.testing.assert_allclose(losses.class_weights(label, 4), [6 / (3 * 4), 2, 2, 0])
    np.testing.assert_allclose(losses.class_weights(label, 4, void=0), [0, 3, 3, 0])


def test_classes_weigh_the_same_in_total():
    weights = np.asarray(losses.class_weights(LABEL, 5))
    shares = [weights[c] * (c == LABEL).sum() for c in range(4)]
    np.testing.assert_allclose(shares, LABEL.size / 4, rtol=1e-6)


@pytest.mark.parametrize("void", [None, 0, 2, 4])
def test_balanced_cross_entropy_agrees_with_a_loop(void):
    loss = losses.balanced_cross_entropy(LOGITS, LABEL, void=void)
    np.testing.assert_allclose(loss, balanced_by_hand(LOGITS, LABEL, void), rtol=1e-5)


def test_balanced_cross_entropy_gradient_agrees_with_finite_differences():
    gradient = jax.grad(losses.balanced_cross_entropy)(jnp.asarray(LOGITS), LABEL, void=0)
    for index in [(0, 0, 0, 0), (1, 2, 3, 1), (2, 1, 4, 5), (3, 0, 2, 3), (0, 2, 2, 2)]:
        step = np.zeros(LOGITS.shape)
        step[index] = 1e-4
        difference = (
            balanced_by_hand(LOGITS + step, LABEL, 0) - balanced_by_hand(LOGITS - step, LABEL, 0)
        ) / 2e-4
        np.testing.assert_allclose(gradient[index], difference, rtol=1e-3, atol=1e-7)


def test_maps_of_void_only_cost_nothing():
    label = np.zeros((1, 2, 2), np.int32)
    loss, gradient = jax.value_and_grad(losses.balanced_cross_entropy)(
        jnp.asarray(LOGITS[:1, :2, :2]), label, void=0
    )
    assert loss == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def test_class_frequencies_are_those_of_all_devices():
    mapped = jax.pmap(
        lambda x, y: losses.balanced_cross_entropy(x, y, void=0, axis_name="batch"),
        axis_name="batch",
    )
    per_device = mapped(LOGITS[:, None], LABEL[:, None])
    np.testing.assert_allclose(
        per_device.mean(), losses.balanced_cross_entropy(LOGITS, LABEL, void=0), rtol=1e-5
    )


def test_adversarial_losses_by_hand():
    score = jnp.array([[0.0], [1.0], [-2.0]])
    raised = [np.log(2), np.log1p(np.e), np.log1p(np.exp(-2))]
    lowered = [np.log(2), np.log1p(np.exp(-1)), np.log1p(np.exp(2))]
    np.testing.assert_allclose(losses.nonsaturating_fake(score), np.mean(raised), rtol=1e-6)
    np.testing.assert_allclose(losses.nonsaturating_real(score), np.mean(lowered), rtol=1e-6)
    np.testing.assert_allclose(losses.nonsaturating_generator(score), np.mean(lowered), rtol=1e-6)


def test_r1_of_a_quadratic_score_by_hand():
    photo = RANDOM.normal(size=(3, 2, 2, 3)).astype(np.float32)
    penalty = losses.r1_penalty(lambda x: jnp.square(x).sum(axis=(1, 2, 3))[:, None], photo)
    by_hand = np.mean([np.square(2 * one).sum() for one in photo])
    np.testing.assert_allclose(penalty, by_hand, rtol=1e-5)


def test_r1_of_several_scores_a_photo_is_that_of_their_sum():
    photo = RANDOM.normal(size=(3, 4, 4, 3)).astype(np.float32)

    def score(x):  # two overlapping parts of each photo, as rows of their own
        parts = jnp.stack([x[:, :3], x[:, 1:]], axis=1).reshape(6, -1)
        return jnp.square(parts).sum(axis=1, keepdims=True)

    seen = np.array([1, 2, 2, 1]).reshape(1, 4, 1, 1)  # parts that a row of pixels is in
    by_hand = np.square(2 * seen * photo).sum() / 3
    np.testing.assert_allclose(losses.r1_penalty(score, photo), by_hand, rtol=1e-5)


def test_r1_agrees_with_finite_differences():
    weights = RANDOM.normal(size=(12, 4))
    photo = RANDOM.normal(size=(2, 2, 2, 3))

    def score(x, array):
        return array.tanh(x.reshape(x.shape[0], -1) @ weights).sum(axis=1, keepdims=True)

    expected = 0.0
    for index in np.ndindex(photo.shape):
        step = np.zeros(photo.shape)
        step[index] = 1e-5
        slope = (score(photo + step, np) - score(photo - step, np))[index[0], 0] / 2e-5
        expected += slope**2 / len(photo)
    penalty = losses.r1_penalty(lambda x: score(x, jnp), jnp.asarray(photo, jnp.float32))
    np.testing.assert_allclose(penalty, expected, rtol=1e-4)


def test_reconstruction_is_the_mean_absolute_difference():
    a, b = jnp.array([[1.0, -1.0]]), jnp.array([[0.5, 1.0]])
    assert losses.reconstruction(a, b) == 1.25
