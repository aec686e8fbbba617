"""Losses that jump: single steps whose loss lies far above what it was before.

Means over a logging interval hide them, so the largest value of each loss since the last line is
logged beside its mean. A jump is measured against the loss's level: its mean on the line before, or
what guessing gives, whichever is more.
"""

import math
from typing import NamedTuple

from usis_jax.diagnostics.diagnosis import BAD, FINE, LOOK, UNKNOWN, Diagnostic

PREFIX = "highest/"
LOSS = "loss_"
LOOK_ABOVE, BAD_ABOVE = 4.0, 10.0
# softplus(0), what D's and G's losses are while D guesses.
_GUESSING = math.log(2)
_ADVERSARIAL = ("generator", "real", "fake")


class Jump(NamedTuple):
    """The largest value of a loss in some steps.

    Attributes:
        name: of the loss, such as "segmentation".
        step: at which it was logged, or the step itself where that is known.
        value: of the loss.
        level: what it was before.
    """

    name: str
    step: int
    value: float
    level: float

    @property
    def times(self):
        """How many times its level the loss was."""
        return self.value / self.level

    def __str__(self):
        return f"{self.name} {self.value:.3g}, {self.times:.0f} times its level of {self.level:.3g}"


def level(name, before, num_classes):
    """The level of a loss that a jump is measured against.

    Args:
        name: of the loss, such as "segmentation".
        before: its mean before, or None.
        num_classes: K of the label maps.
    Returns:
        float above 0, or None where there is nothing to compare with.
    """
    chance = math.log(num_classes + 1) if name == "segmentation" else (
        _GUESSING if name in _ADVERSARIAL else 0.0)  # fmt: skip
    found = max(chance, before or 0.0)
    return found if found > 0 else None


def in_interval(highest, before, num_classes):
    """Jumps in one logging interval.

    Args:
        highest: dict of name -> (largest value, its step) of each "loss_..." in it.
        before: dict of the means of the interval before; empty if there was none.
        num_classes: K of the label maps.
    Returns:
        list of Jump, of more than LOOK_ABOVE times the level.
    """
    found = []
    for full, (value, step) in sorted(highest.items()):
        name = full.removeprefix(LOSS)
        base = level(name, before.get(full), num_classes)
        if base is not None and value > LOOK_ABOVE * base:
            found.append(Jump(name, step, value, base))
    return found


def largest(series, num_classes):
    """The largest jump among all logged lines, by how many times its level it is.

    Args:
        series: dict of name -> (steps, values), of plots.read_metrics.
        num_classes: K of the label maps.
    Returns:
        Jump, or None where no largest values are logged.
    """
    jumps = []
    for full, (steps, values) in series.items():
        if not full.startswith(PREFIX):
            continue
        name = full.removeprefix(PREFIX)
        means = dict(zip(*series.get(f"{LOSS}{name}", ((), ())), strict=True))
        before = None
        for step, value in zip(steps, values, strict=True):
            base = level(name, before, num_classes)
            if base is not None:
                jumps.append(Jump(name, step, value, base))
            before = means.get(step, before)
    return max(jumps, key=lambda jump: jump.times, default=None)


def diagnostic(series, classes):
    """The diagnostic of loss jumps: whether a loss has jumped in any step of the run.

    Args:
        series: as of `largest`.
        classes: classes of the label maps; only their number counts.
    Returns:
        Diagnostic.
    """
    jump = largest(series, len(classes) or 10)
    status, text = UNKNOWN, "the largest losses are not logged"
    if jump is not None:
        status = BAD if jump.times > BAD_ABOVE else LOOK if jump.times > LOOK_ABOVE else FINE
        text = "no" if status == FINE else f"{jump} (line of step {jump.step:,})"
    return Diagnostic(
        "Losses jump", text, status,
        "The largest loss of a single step against the loss before it, or against guessing: a step "
        "far too large throws away what was learned, even where the mean of a line hides it.",
        f"fine up to {LOOK_ABOVE:.0f} times the mean of the line before (or guessing, if that is "
        f"more), bad above {BAD_ABOVE:.0f} times",
        "Lower the rates (optimizer.generator_rate, segmenter_rate, discriminator_rate); at the "
        "start a larger batch_size or optimizer.discriminator_warmup helps too. If it recovers "
        "within some hundred steps, it does no harm.",
        tuple(sorted(name for name in series if name.startswith(PREFIX))),
    )  # fmt: skip
