"""One line of what `usis doctor` says."""

from typing import NamedTuple

OK, NOTE, WRONG = "ok", "note", "wrong"


class Finding(NamedTuple):
    """What was found of one thing.

    Attributes:
      part: group that it is shown in, such as "packages".
      name: the thing, such as "jax".
      state: OK; NOTE, worth knowing, nothing fails for it; WRONG, something will fail.
      text: what was found.
      advice: what to do, empty where there is nothing to do.
    """

    part: str
    name: str
    state: str
    text: str
    advice: str = ""
