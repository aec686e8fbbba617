"""The small generator of street scenes that comes with the package, to try it before training.

`scenes.safetensors` is what `usis export --format=safetensors --dtype=float16` wrote;
`scenes.safetensors.md` says what it was trained on, with which commands, and its scores.
"""

import pathlib

FILE = pathlib.Path(__file__).parent / "scenes.safetensors"
