"""Names of a run's numbers in groups, for TensorBoard and Weights & Biases, and a writer to the
latter."""

import importlib.util
import logging
import secrets
from pathlib import Path

import numpy as np

from usis_jax.config import settings as settings_lib
from usis_jax.errors import UserError
from usis_jax.storage import atomic, texts

_ID_FILE = "wandb_id.txt"
_DIAGNOSTICS = ("score_", "right_", "pixel_accuracy", "class_accuracy", "data_order")


def grouped(name):
    """The name under which a number of `metrics.jsonl` is shown on dashboards.

    Args:
        name: such as "loss_real", "score_fake", "speed/images_per_second".
    Returns:
        Such as "losses/real", "diagnostics/score_fake"; names with a group keep it.
    """
    if "/" in name:
        return name
    if name.startswith(_DIAGNOSTICS):
        return f"diagnostics/{name}"
    return f"losses/{name.removeprefix('loss_')}"


class Grouped:
    """A clu MetricWriter that passes numbers on under their names in groups.

    Args:
        writer: the MetricWriter that gets them.
    """

    def __init__(self, writer):
        self._writer = writer

    def write_scalars(self, step, scalars):
        """Writes numbers under `grouped` names."""
        self._writer.write_scalars(step, {grouped(k): v for k, v in scalars.items()})

    def __getattr__(self, name):
        return getattr(self._writer, name)


def check_wandb(settings):
    """Raises UserError where a Weights & Biases project is asked for and wandb is missing."""
    project = settings.wandb.project
    if project and importlib.util.find_spec("wandb") is None:
        raise UserError(
            f"wandb.project is {project!r}, and the package wandb is not installed: "
            "pip install wandb, or leave wandb.project empty"
        )


class Wandb:
    """A clu MetricWriter to a Weights & Biases run, which a resumed run goes on with.

    Training does not depend on it: what it cannot write is said once and left out.

    Args:
        settings: Settings with `wandb.project`.
        workdir: directory of the run; the id of the run there is kept in it.
    Raises:
        UserError: the run cannot be started there.
    """

    def __init__(self, settings, workdir):
        import wandb

        workdir = Path(workdir)
        self._library, self._failed = wandb, False
        try:
            self._run = wandb.init(
                project=settings.wandb.project,
                name=workdir.absolute().name,
                id=_run_id(workdir),
                resume="allow",
                dir=str(workdir),
                config=settings_lib.flatten(settings),
            )
            # A run that goes back to a checkpoint writes steps again: they are a value of their
            # own, because W&B's counter never goes back.
            self._run.define_metric("step")
            self._run.define_metric("*", step_metric="step")
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"wandb.project is {settings.wandb.project!r}, and no run can be started there: "
                f"{first}; try `wandb login`, WANDB_MODE=offline or an empty wandb.project"
            ) from None

    def write_scalars(self, step, scalars):
        """Logs numbers under `grouped` names."""
        self._log(step, {grouped(name): float(value) for name, value in scalars.items()})

    def write_images(self, step, images):
        """Logs pictures, uint8 [1, H, W, 3] each."""
        self._log(step, {name: self._library.Image(np.asarray(picture[0]))
                         for name, picture in images.items()})  # fmt: skip

    def _log(self, step, values):
        if self._failed:
            return
        try:
            self._run.log({**values, "step": int(step)})
        except Exception as error:
            self._failed = True
            logging.warning("no more is written to Weights & Biases: %s", error)

    def _leave_out(self, *args, **kwargs):
        """Not shown there."""

    write_summaries = write_videos = write_audios = write_texts = _leave_out
    write_histograms = write_hparams = flush = _leave_out

    def close(self):
        """Ends the run, which uploads what is left."""
        try:
            self._run.finish()
        except Exception as error:
            logging.warning("Weights & Biases did not take everything: %s", error)


def _run_id(workdir):
    """The id of this work directory's run, made at the first start."""
    path = workdir / _ID_FILE
    try:
        if found := texts.read(path).strip():
            return found
    except (OSError, ValueError):
        pass
    found = secrets.token_hex(4)
    atomic.write_text(path, found + "\n")
    return found
