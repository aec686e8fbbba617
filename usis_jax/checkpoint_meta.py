"""What a checkpoint says about itself: version, step, config, label spec, metrics."""

from usis_jax import settings as settings_lib
from usis_jax.data import label_spec

FORMAT_VERSION = 1


def described(step, settings, spec, metrics):
    """What a checkpoint says about itself.

    Args:
        step: int, the number of steps taken.
        settings: Settings of the run.
        spec: LabelSpec of its label maps.
        metrics: dict of floats.
    Returns:
        dict of JSON values.
    """
    return {
        "format_version": FORMAT_VERSION,
        "step": int(step),
        "settings": settings_lib.to_json(settings),
        "label_spec": spec.to_dict(),
        "metrics": {k: float(v) for k, v in metrics.items()},
    }


def checked(meta, workdir):
    """Returns meta, or raises ValueError when a newer usis_jax wrote it."""
    version = meta.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"checkpoint in {workdir} has format {version}, this version reads {FORMAT_VERSION}"
        )
    return meta


def restore_spec(meta):
    """Returns the LabelSpec that travels in a checkpoint's meta."""
    return label_spec.LabelSpec.from_dict(meta["label_spec"])
