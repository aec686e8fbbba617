"""Small photos and label maps for tests of a user's own folders."""

import numpy as np
from PIL import Image


def label(seed=0, classes=4, size=(32, 48)):
    """Train ids uint8 [H, W]: flat rectangles in which every class occurs."""
    random = np.random.default_rng(seed)
    array = np.zeros(size, np.uint8)
    for k in range(1, classes):
        top, left = random.integers(0, size[0] - 8), random.integers(0, size[1] - 8)
        array[top : top + 8 + 4 * (k % 2), left : left + 8] = k
    array[: size[0] // 4, :] = np.repeat(np.arange(classes), -(-size[1] // classes))[: size[1]]
    return array


def photo(seed=0, size=(32, 48)):
    """Photo uint8 [H, W, 3] with as many colours as pixels."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def save(array, path, **options):
    """Writes an array as a picture, making its folder; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(path, **options)
    return path


def palette_image(ids, colours):
    """Palette image whose indices are `ids` and whose palette is `colours`."""
    image = Image.fromarray(ids).convert("P")
    image.putpalette([int(v) for colour in colours for v in colour])
    image.putdata(ids.ravel().tolist())
    return image


def folder(root, count=6, photos="photos", labels="labels", to_file=lambda ids: ids):
    """Writes `count` photos and as many label maps of other names; returns the folder."""
    for i in range(count):
        save(photo(i), root / photos / f"photo_{i}.jpg", quality=95)
        save(to_file(label(i)), root / labels / f"map_{i}.png")
    return root
