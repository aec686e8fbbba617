"""One picture of a few photos and coloured label maps of a user's folders."""

import pathlib

import numpy as np
from PIL import Image

from usis_jax.data.images import decode, label_pixels
from usis_jax.data.inspection import label_files
from usis_jax.data.inspection.draft_spec import Draft
from usis_jax.data.inspection.label_files import Labels
from usis_jax.data.inspection.photo_files import Photos
from usis_jax.display import image_grid

_ROWS = 6
_COLUMNS_OF_ONE = 3
_WIDTH = 256
_UNKNOWN = (255, 0, 255)


def draw(photos: Photos | None, labels: Labels | None, draft: Draft | None) -> np.ndarray | None:
    """Draws photos beside label maps: pairs of one name where there are some.

    Args:
      photos: sums over the photos, or None.
      labels: sums over the label maps, or None.
      draft: label spec that gives ids their colours, and a legend; or None.

    Returns:
      uint8 [H, W, 3], or None where no file can be read.
    """
    parts = [part for part in (photos, labels) if part and part.sizes]
    if not parts:
        return None
    size = _size(parts)
    if len(parts) == 1:
        (part,) = parts
        names = _spread(sorted(part.sizes), _ROWS * _COLUMNS_OF_ONE)
        columns = min(_COLUMNS_OF_ONE, len(names))
        names = names[: len(names) // columns * columns]
        tiles = np.stack([_tile(part, name, size, draft) for name in names])
        title = "photo" if part is photos else "label map"
        shown = [(title, tiles[i::columns]) for i in range(columns)]
    else:
        chosen, title = _choose(photos, labels)
        shown = [
            (heading, np.stack([_tile(part, name, size, draft) for name in names]))
            for heading, part, names in zip(
                ("photo", title), parts, zip(*chosen, strict=True), strict=True
            )
        ]
    picture = image_grid.grid(shown, scale=1)
    if labels and labels.sizes and draft:
        picture = np.concatenate([picture, _legend(draft, picture.shape[1])])
    return picture


def _choose(photos: Photos, labels: Labels) -> tuple[list[tuple[str, str]], str]:
    """Names of photos and label maps to show in one row, and the title of the label maps."""
    stems = [{name.rpartition(".")[0]: name for name in sorted(p.sizes)} for p in (photos, labels)]
    shared = sorted(stems[0].keys() & stems[1].keys())
    if shared:
        chosen = [(stems[0][name], stems[1][name]) for name in _spread(shared, _ROWS)]
        return chosen, "label map of the same name"
    rows = min(_ROWS, len(stems[0]), len(stems[1]))
    each = [_spread(sorted(part.sizes), rows) for part in (photos, labels)]
    return list(zip(*each, strict=True)), "label map, of another place"


def _spread(names: list[str], count: int) -> list[str]:
    """At most `count` names from all over the list."""
    count = min(count, len(names))
    return [names[i * len(names) // count] for i in range(count)]


def _size(parts) -> tuple[int, int]:
    """(W, H) of a tile, in the proportions of most files."""
    ratios = [height / width for part in parts for width, height in part.sizes.values()]
    return _WIDTH, int(np.clip(round(_WIDTH * np.median(ratios)), _WIDTH // 4, 2 * _WIDTH))


def _tile(part, name: str, size: tuple[int, int], draft: Draft | None) -> np.ndarray:
    """One photo or label map, uint8 [H, W, 3]."""
    path = pathlib.Path(part.root, name)
    if isinstance(part, Photos):
        image = decode.turned(decode.open_image(path, "photo", size), path)
        return np.asarray(decode.to_rgb(image, path).resize(size))
    image = decode.open_image(path, "label map").resize(size, Image.Resampling.NEAREST)
    if draft is None or image.mode not in label_pixels.ID_MODES:
        return np.asarray(decode.to_rgb(image, path))
    ids = label_files.to_values(image, path).astype(np.int64)
    picture = np.full((*ids.shape, 3), _UNKNOWN, np.uint8)
    for file_id, train_id in draft.spec.file_ids:
        picture[ids == file_id] = draft.spec.colours[train_id]
    return picture


def _legend(draft: Draft, width: int) -> np.ndarray:
    """Names of the classes that occur, in their colours, uint8 [H, width, 3]."""
    entries = [
        (f"{name}: {share.split(',')[0].replace(' of the pixels', '')}", tuple(colour.tolist()))
        for name, colour, share in zip(
            draft.spec.classes, draft.spec.colours, draft.shares, strict=True
        )
        if share != "in no file"
    ]
    return image_grid.legend(entries, width)
