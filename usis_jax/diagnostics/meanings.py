"""What the numbers of a run mean, for those who look at them in TensorBoard."""

from usis_jax.diagnostics import rules
from usis_jax.workdir.wandb_writer import grouped


def markdown() -> str:
    """A sentence on what each training diagnostic means, under the names that dashboards show."""
    lines = [f"- **{diagnostic.name}** ({', '.join(f'`{grouped(name)}`' for name in diagnostic.series)}): "
             f"{diagnostic.meaning}" for diagnostic in rules.apply({})]  # fmt: skip
    return "\n".join([*lines, "", "Statuses and thresholds are in `report.html` and in "
                       "docs/training_curves.md."])  # fmt: skip
