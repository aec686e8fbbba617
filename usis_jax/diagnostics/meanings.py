"""What the numbers of a run mean, for those who look at them in TensorBoard."""

from usis_jax.diagnostics import rules
from usis_jax.workdir.wandb_writer import grouped


def markdown() -> str:
    """A sentence on what each training diagnostic means, under the names that dashboards show."""
    lines = [
        f"- **{one.name}** ({', '.join(f'`{grouped(name)}`' for name in one.series)}): "
        f"{one.meaning}"
        for one in rules.apply({})
    ]
    where = "The status of each is in `report.html`, the thresholds in docs/training_curves.md."
    return "\n".join([*lines, "", where])
