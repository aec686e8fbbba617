"""Settings of tiny networks for tests that read prepared data."""

from usis_jax.config import settings as settings_lib


def settings(prepared_dir, batch_size=4, seed=0, **data):
    """Settings of a run on the folder data set "yard" at 8x16; `data` are fields of data."""
    data = {
        "photos": "yard:train",
        "labels": "yard:train",
        "validation": "yard:validation",
        "height": 8,
        "width": 16,
        "prepared_dir": str(prepared_dir),
        "threads": 2,
    } | data
    return settings_lib.load(
        {
            "batch_size": batch_size,
            "seed": seed,
            "data": data,
            "generator": {"multipliers": (1, 1, 1)},
            "segmenter": {"down": (4,), "up": (4,)},
        }
    )
