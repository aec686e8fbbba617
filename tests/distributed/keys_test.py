import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.distributed import keys


def test_devices_draw_the_keys_that_one_device_draws_for_the_whole_batch():
    key = jax.random.key(5)
    whole = jax.random.key_data(keys.sample_keys(key, 8, axis_name=None))
    parts = jax.pmap(lambda _: jax.random.key_data(keys.sample_keys(key, 2)), axis_name="batch")(
        jnp.arange(4)
    )
    np.testing.assert_array_equal(parts.reshape(whole.shape), whole)
    assert len(np.unique(whole, axis=0)) == 8
