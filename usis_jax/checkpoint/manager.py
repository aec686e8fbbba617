"""Checkpoints: training state, generator for sampling, and config, in one Orbax step.

Each checkpoint holds three items: `state` (everything training needs except the EMA weights),
`generator` (EMA weights and their own statistics: all that sampling needs) and `meta` (format
version, config, label spec, metrics). Arrays are stored under flat names such as
"params/generator/head/kernel", as NumPy arrays, so a checkpoint written on eight devices is
restored on one. `meta` has the checksums of all arrays and its own: a damaged checkpoint is found
when it is read.
"""

from pathlib import Path

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from usis_jax.checkpoint import checksums, flat_trees, metadata, ranking, readback
from usis_jax.config import schema
from usis_jax.errors import UserError
from usis_jax.storage import disk_errors
from usis_jax.workdir import layout

_EMA_FIELDS = ("ema_params",)


class Checkpoints:
    """The checkpoints of one work directory: the latest `keep` and the best one.

    Args:
        workdir: directory of the run; checkpoints lie in its folder `checkpoints`.
        keep: how many of the latest checkpoints stay, at least 1.
        read_only: True for sampling: nothing in the directory is created or deleted.
        best: name of the value, of `sections.BETTER`, that decides which one is best; checkpoints
            that were measured by another one are not compared with it. None: that of the newest
            measured checkpoint.
    """

    def __init__(self, workdir, keep=3, read_only=False, best=None):
        self.workdir, self._verified = Path(workdir).absolute(), read_only
        directory = self.workdir / "checkpoints"
        if read_only and not directory.is_dir():
            raise FileNotFoundError(layout.no_checkpoint(workdir))
        self._ranking = ranking.Ranking(self.meta)
        policy = checkpoint_managers.AnyPreservationPolicy(
            [checkpoint_managers.LatestN(keep), self._ranking]
        )
        with disk_errors.quiet():
            options = ocp.CheckpointManagerOptions(
                preservation_policy=None if read_only else policy,
                create=not read_only,
                read_only=read_only,
                cleanup_tmp_directories=not read_only,
                # Only the steps: what they say of themselves is read here, held to its checksum.
                lightweight_initialize=True,
                multiprocessing_options=_hosts(read_only),
            )
            self._manager = ocp.CheckpointManager(directory, options=options)
        if best:
            self._ranking.measure = best
        else:
            self._ranking.take_measure_of(self.all_steps())

    @property
    def best(self):
        """Name of the value that decides which checkpoint is best."""
        return self._ranking.measure

    def latest_step(self):
        """Returns the newest saved step, or None."""
        return self._manager.latest_step()

    def best_step(self):
        """Returns the step with the best value of `best`, or None if none was measured by it."""
        return self._ranking.best(self.all_steps())

    def reached_preemption(self, step):
        """Returns True when the cluster has announced that all hosts must stop at `step`."""
        return self._manager.reached_preemption(step)

    def check_space(self, state, to_come=1):
        """Raises OSError (no space left) when the disk cannot hold the next checkpoints.

        Args:
            state: pytree of arrays, of one checkpoint.
            to_come: how many will be there at once; those that are there already have their place.
        """
        there = len(self._manager.all_steps()) if to_come > 1 else 0
        disk_errors.check_space(self.workdir, state, max(1, to_come - there))

    def save(self, step, state, settings, spec, ema_collections=None, metrics=None, progress=None):
        """Starts writing one checkpoint; returns before the disk has it.

        The first one is waited for, read back and compared, so that a run that saves nothing which
        can be read ends there.

        Args:
            step: int, the number of steps taken.
            state: TrainState of NumPy (or addressable JAX) arrays, one copy.
            settings: Settings of the run.
            spec: LabelSpec of its label maps.
            ema_collections: the EMA generator's re-estimated statistics; None keeps the state's.
            metrics: dict of floats, with the one named `best` if this step was measured.
            progress: dict of JSON values of the training loop beside its state.
        Returns:
            False if that step is already saved.
        Raises:
            OSError: no space left.
            UserError: the first one does not read back as it was written.
        """
        if step in self._manager.all_steps():
            return False
        self.check_space(state)
        flat = flat_trees.flatten(state)
        rest = {k: v for k, v in flat.items() if k.split("/")[0] not in _EMA_FIELDS}
        collections = state.ema_collections if ema_collections is None else ema_collections
        generator = {f"params/{k}": v for k, v in flat_trees.flatten(state.ema_params).items()}
        generator |= flat_trees.flatten(collections)
        items = {"state": rest, "generator": generator}
        meta = metadata.described(step, settings, spec, metrics or {}) | {
            "best": {"measure": self.best, "better": schema.BETTER[self.best]},
            "progress": progress or {},
        }
        begun = self.write(items, meta)
        if begun and not self._verified:
            self.wait()  # all processes
            if jax.process_index() == 0:
                self.verify(step)
            self._verified = True
        return begun

    def add_metrics(self, step, metrics):
        """Adds to a saved checkpoint what was measured after it had been saved.

        Waits until the checkpoint is on the disk. Killed at any moment, the checkpoint is whole,
        with the metrics or without.

        Args:
            step: int, of a checkpoint that `save` began.
            metrics: dict of floats.
        Raises:
            OSError: it cannot be written.
        """
        self.wait()
        self._ranking.note(step, metrics)
        if jax.process_index() == 0 and step in self._manager.all_steps():
            with disk_errors.naming_faults(self.workdir):
                metadata.add_metrics(self.workdir / "checkpoints" / str(step), metrics)

    def save_imported(self, variables, settings, spec, origin):
        """Writes a generator that other code trained, as step 0, without a training state.

        Args:
            variables: its parameters and statistics, arrays.
            settings: Settings with its sizes.
            spec: LabelSpec of its label maps.
            origin: dict of JSON values that say where it comes from, "file" among them.
        Raises:
            OSError: no space left.
        """
        self.check_space(variables)
        meta = metadata.described(0, settings, spec, {}) | {"imported": origin}
        meta.pop("random")  # nothing in it was drawn here
        self.write({"generator": flat_trees.flatten(variables)}, meta)
        self.verify(0)

    def write(self, items, meta):
        """Starts writing named dicts of arrays, and what is said of them; False if it did not."""
        meta["checksums"] = {name: checksums.of_arrays(flat) for name, flat in items.items()}
        meta["checksum"] = checksums.of_json(meta)
        self._ranking.note(meta["step"], meta["metrics"])
        arrays = {name: ocp.args.StandardSave(flat) for name, flat in items.items()}
        description = {metadata.ITEM: ocp.args.JsonSave(meta)}
        composite = ocp.args.Composite(**arrays, **description)
        with disk_errors.quiet(), disk_errors.naming_faults(self.workdir):
            return self._manager.save(meta["step"], args=composite)

    def restore(self, template, step=None, best=False):
        """Restores a training state.

        Args:
            template: TrainState with the shapes that the config gives.
            step: int, or None for the latest (or best).
            best: choose the best step instead of the latest.
        Returns:
            TrainState of NumPy arrays.
        Raises:
            FileNotFoundError: there is no such checkpoint.
            DamagedError: it is damaged.
            UserError: arrays of the checkpoint do not fit the template, or it was imported.
        """
        step = self._choose(step, best)
        flat = self.restore_arrays(step)
        (generator,) = self.read(step, "generator")
        for name, value in generator.items():
            if name.startswith("params/"):
                flat[f"ema_{name}"] = value
        return flat_trees.unflatten(template, flat, f"checkpoint {step} of {self.workdir}")

    def restore_arrays(self, step=None, best=False):
        """Restores a training state as it is stored, except for the moving average's weights.

        Returns:
            dict of NumPy arrays by flat name, such as "params/segmenter/to_logits/bias".
        Raises:
            FileNotFoundError: there is no such checkpoint.
            DamagedError: it is damaged.
            UserError: the checkpoint was imported and has no training state.
        """
        step = self._choose(step, best)
        if "imported" in self.meta(step):
            raise UserError(f"{self.workdir} holds a generator that was imported, and nothing else")
        (flat,) = self.read(step, "state")
        return flat

    def restore_generator(self, step=None, best=False):
        """Restores only what sampling needs.

        Returns:
            (variables, meta): nested dicts {"params": ..., "batch_stats": ...} of NumPy arrays,
            and the dict of `meta`.
        Raises:
            DamagedError: it is damaged.
        """
        step = self._choose(step, best)
        (generator,) = self.read(step, "generator")
        return flat_trees.nest(generator), self.meta(step)

    def meta(self, step=None, best=False):
        """Returns the dict of `meta` of a checkpoint.

        Raises:
            DamagedError: it is damaged.
            UserError: another version wrote it.
        """
        step = self._choose(step, best)
        with disk_errors.finding_damage(self.workdir, step):
            meta = metadata.read(self.workdir / "checkpoints" / str(step))
        metadata.check_version(meta, self.workdir)
        metadata.check_step(meta, step, self.workdir)
        return meta

    def verify(self, step):
        """Reads a checkpoint back as others do, and compares every value with what was written.

        Raises:
            UserError: it cannot be read, or is not what was written.
        """
        self.wait()
        with Checkpoints(self.workdir, read_only=True) as reader:
            readback.check(reader, step)

    def read(self, step, *names):
        """Items of a checkpoint, {flat name: NumPy array} each, held against their checksums."""
        expected = self.meta(step)["checksums"]
        arrays = {name: ocp.args.StandardRestore() for name in names}
        with disk_errors.finding_damage(self.workdir, step):
            items = self._manager.restore(step, args=ocp.args.Composite(**arrays))
            items = [dict(items[name]) for name in names]
        for name, flat in zip(names, items, strict=True):
            if reason := checksums.damaged(flat, expected[name]):
                raise disk_errors.DamagedError(self.workdir, step, f"{reason} in {name}")
        return items

    def all_steps(self):
        """Returns the saved steps, in order."""
        return sorted(self._manager.all_steps())

    def wait(self):
        """Waits until every checkpoint begun is on the disk."""
        with disk_errors.naming_faults(self.workdir):
            self._manager.wait_until_finished()

    def close(self):
        """Waits for what is being written and releases the threads."""
        with disk_errors.naming_faults(self.workdir):
            self._manager.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.close()
        except Exception:
            # What went wrong before explains more than what goes wrong while closing.
            if kind is None:
                raise

    def _choose(self, step, best):
        if step is None:
            step = self.best_step() if best else self.latest_step()
            if step is None and best and self.latest_step() is not None:
                raise FileNotFoundError(
                    f"no measured checkpoint in {self.workdir}, so none is best: take the latest"
                )
            if step is None:
                raise FileNotFoundError(layout.no_checkpoint(self.workdir))
        elif step not in self._manager.all_steps():
            steps = ", ".join(map(str, sorted(self._manager.all_steps()))) or "none"
            raise FileNotFoundError(f"no checkpoint {step} in {self.workdir}: there are {steps}")
        return step


def _hosts(read_only):
    """All write together; each reads by itself, since what they find may differ."""
    if not read_only:
        return ocp.options.MultiprocessingOptions()
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"reader{index}"
    )
