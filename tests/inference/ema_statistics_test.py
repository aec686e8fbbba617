import numpy as np

from tests.support import tiny_step
from usis_jax import methods
from usis_jax.inference import ema_statistics


def test_estimated_statistics_generate_as_the_batchs_own():
    settings = tiny_step.settings()
    generator = methods.get("usis").networks(settings, tiny_step.CLASSES, axis_name=None).generator
    before, label = tiny_step.created(settings), tiny_step.batch(0)["label"]
    z = np.random.default_rng(0).normal(size=(tiny_step.BATCH, 4)).astype(np.float32)
    params, collections = before.params["generator"], before.collections["generator"]
    trained, _ = generator.apply(
        {"params": params, **collections}, label, z, train=True, mutable=["batch_stats", "spectral"]
    )
    estimated = ema_statistics.estimate_statistics(generator, params, collections, label, z)
    image = generator.apply({"params": params, **estimated}, label, z)
    np.testing.assert_allclose(image, trained, atol=1e-5)
