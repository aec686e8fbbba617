"""Builders by the names of their data sets."""

from usis_jax.data.datasets import (
    ade20k,
    camvid,
    cityscapes,
    coco_stuff,
    faces,
    folder,
    gta5,
    kitti,
)
from usis_jax.data.datasets.published import Published

_BUILDERS = {
    builder.name: builder
    for builder in (
        camvid.Camvid,
        faces.Faces,
        cityscapes.Cityscapes,
        ade20k.Ade20k,
        coco_stuff.CocoStuff,
        gta5.Gta5,
        kitti.Kitti,
    )
}


def find(name: str) -> type[folder.Folder]:
    """Builder class of a data set; that of a folder data set where the name is not known."""
    return _BUILDERS.get(name) or folder.named(name)


def published(name: str) -> type[Published] | None:
    """Builder class of a published data set that is read as its owners distribute it, or None."""
    builder = _BUILDERS.get(name)
    return builder if builder and issubclass(builder, Published) else None
