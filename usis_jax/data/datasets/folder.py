"""Data set of a user's folders of photos and label maps; `layout` says how the files lie.

Photos and label maps need not belong together; where a photo and a label map have the same name
(path without suffix), they are a pair that measuring may use.
"""

import functools

from usis_jax.data.datasets.base import ImageBuilder
from usis_jax.data.images import decode


class Folder(ImageBuilder, skip_registration=True):
    """Photos or label maps of files; `named` gives the class for a data set's name."""

    # Whether photos are turned as their EXIF orientation says.
    UPRIGHT = True

    def images(self):
        """For each split, names and loaders of the files in the configuration."""
        config = self.builder_config
        size = (config.height, config.width)
        if config.kind == "photos":
            load = functools.partial(
                decode.load_photo, height=size[0], width=size[1], upright=self.UPRIGHT
            )
        else:
            load = functools.partial(
                decode.load_label, height=size[0], width=size[1], spec=config.spec
            )
        return {
            split: [(name, functools.partial(load, path)) for name, path in files.items()]
            for split, files in self.files.items()
        }


def named(name: str) -> type[Folder]:
    """Class of the builder for a folder data set of that name."""

    class Named(Folder, skip_registration=True):
        pass

    Named.name = name
    Named.__name__ = Named.__qualname__ = name.title().replace("_", "")
    return Named
