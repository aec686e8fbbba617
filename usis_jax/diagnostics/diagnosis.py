"""What a training diagnostic says: a number in words, and whether it is well."""

import dataclasses

FINE, LOOK, BAD, UNKNOWN = "fine", "look at it", "bad", "not known yet"


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One training diagnostic.

    Args:
        name: what it is called.
        value: the latest value in words.
        status: FINE, LOOK, BAD or UNKNOWN.
        meaning: one sentence on what it tells.
        rule: the thresholds.
        advice: what to try when it is not fine.
        series: names of the logged numbers that show it over time.
    """

    name: str
    value: str
    status: str
    meaning: str
    rule: str
    advice: str
    series: tuple[str, ...] = ()
