import numpy as np

from usis_jax.distributed import padding


def test_batches_have_one_shape_and_say_how_many_rows_count():
    rows = np.arange(10).reshape(5, 2)
    found = list(padding.batches(rows, 3))
    assert [(start, batch.shape, count) for start, batch, count in found] == [
        (0, (3, 2), 3),
        (3, (3, 2), 2),
    ]
    counted = [batch[:count] for _, batch, count in found]
    np.testing.assert_array_equal(np.concatenate(counted), rows)
    np.testing.assert_array_equal(found[1][1][2], rows[4])
