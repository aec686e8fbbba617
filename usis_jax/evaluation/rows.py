"""Results of measures."""

import dataclasses

LOWER, HIGHER = "lower", "higher"
NO_EVALUATOR = "no evaluator; usis train-evaluator trains one, --evaluator=DIR names it"
"""Why measures that need an evaluator are left out."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One result.

    Args:
        id: by which it is stored and found again, such as "fid"; unique among the rows of one
            evaluation. It never changes.
        measure: its name for people; one name always means one protocol but for sizes and numbers
            of images.
        value: of the generated images.
        real: the same of real photos: the bound, or the floor of a distance; None if there is none.
        better: "lower" or "higher".
        protocol: what was compared with what, at which size, with which network.
        warning: why not to compare it with published numbers, or None.
        details: more numbers of the measure, as JSON values.
        controls: the same of each of `baselines.NAMES`, None where it has none; {} without them.
    """

    id: str
    measure: str
    value: float
    real: float | None
    better: str
    protocol: str
    warning: str | None = None
    details: dict = dataclasses.field(default_factory=dict)
    controls: dict = dataclasses.field(default_factory=dict)


def generated_images(inputs):
    """How many generated images, and their conditions, for a protocol."""
    return f"{len(inputs.generated)} generated images{conditions(inputs)}"


def conditions(inputs):
    """Size and seed, which every protocol names, and label maps that are not the run's own."""
    height, width = inputs.generated.shape[1:3]
    maps = "" if inputs.maps_name == "label maps" else f", {inputs.maps_name}"
    return f" of {height}x{width}, EMA, seed {inputs.sizes.seed}{maps}"
