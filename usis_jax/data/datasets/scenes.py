"""The embedded data set `scenes`: procedural street scenes, drawn without any download."""

import functools

from usis_jax.data.datasets.base import ImageBuilder
from usis_jax.data.scenes.render import draw_scene
from usis_jax.data.scenes.workers import draw_scenes

__all__ = ["Scenes", "draw_scene", "seeds"]

_COUNTS = {"train": 1500, "validation": 200, "test": 200}


def seeds(kind: str, split: str, count: int, start: int = 0) -> list[int]:
    """Scene numbers of a split.

    Args:
      kind: "photos" or "labels". Their training scenes differ, so that nothing is paired; in
        validation and test both kinds show the same scenes, for measuring.
      split: "train", "validation" or "test".
      count: number of scenes, at least 0.
      start: number of the data set, at least 0; another one gives other scenes.

    Returns:
      `count` scene numbers; no two splits share one.
    """
    group = {"validation": 2, "test": 3}.get(split, 0 if kind == "photos" else 1)
    return [(start << 40) + 4 * i + group for i in range(count)]


class Scenes(ImageBuilder, skip_registration=True):
    """Photos or label maps of procedural street scenes.

    The config's `origin` may hold {"counts": {split: number}, "seed": int}; without them there are
    1,500 scenes to train and 200 each for validation and test.
    """

    name = "scenes"

    def images(self):
        """For each split, names and drawn images in order; several processes draw."""
        config = self.builder_config
        counts = config.origin.get("counts", _COUNTS)
        return {split: self._split(split, count) for split, count in counts.items() if count}

    def _split(self, split: str, count: int):
        config = self.builder_config
        numbers = seeds(config.kind, split, count, config.origin.get("seed", 0))
        drawn = draw_scenes(numbers, config.kind, config.height, config.width)
        prefix = config.kind if split == "train" else split
        for i, image in enumerate(drawn):
            yield f"{prefix}_{i:06d}", functools.partial(_same, image)


def _same(image):
    return image
