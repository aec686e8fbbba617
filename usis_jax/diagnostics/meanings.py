"""What the numbers of a run mean, for those who look at them in TensorBoard."""

from usis_jax.diagnostics import rules
from usis_jax.workdir.wandb_writer import grouped


def markdown() -> str:
    """A sentence on what each sign of health means, under the names that boards show."""
    lines = [f"- **{sign.name}** ({', '.join(f'`{grouped(name)}`' for name in sign.series)}): "
             f"{sign.meaning}" for sign in rules.judge({})]  # fmt: skip
    return "\n".join([*lines, "", "Verdicts and thresholds are in `report.html` and in "
                       "docs/training_curves.md."])  # fmt: skip
