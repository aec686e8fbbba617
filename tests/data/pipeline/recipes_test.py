"""What training reads of published data sets is what PIL computes by the published recipes.

The recipes: photos bicubic, label maps nearest, without looking at EXIF; Cityscapes to 512x256 (W x
H); ADE20K and COCO-Stuff to 286x286 with a random crop of 256x256 in training, and directly to
256x256 in evaluation; training mirrors at random.
"""

import itertools

import numpy as np
import pytest
from PIL import Image

from tests.support import published_data
from usis_jax.config import loading, settings
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.preparation import prepare
from usis_jax.data.specs import lookup
from usis_jax.ops import pixel_range

RECIPES = {
    "cityscapes": {"stored": (256, 512), "seen": (256, 512), "files": (300, 600)},
    "ade20k": {"stored": (286, 286), "seen": (256, 256), "files": (310, 230)},
    "coco_stuff": {"stored": (286, 286), "seen": (256, 256), "files": (270, 400)},
}


def _expected(name, root, kind, split, size):
    """{name of image: array} by PIL alone; label maps as ids of the files."""
    result = {}
    for image in published_data.names(name, split):
        opened = Image.open(published_data.path(name, root, kind, split, image))
        if kind == "photos":
            opened = opened.convert("RGB").resize(size[::-1], Image.BICUBIC)
        else:
            opened = opened.resize(size[::-1], Image.NEAREST)
        result[image] = np.array(opened)
    return result


def _ids(name, label):
    """Label map in train ids as ids of the files."""
    back = {train: file_id for file_id, train in reversed(lookup.get(name).file_ids)}
    return np.vectorize(lambda k: back[k] if back[k] >= 0 else 255)(label)


def _find(crop, images):
    """(name, top, left, mirrored) of every place in `images` that shows exactly `crop`."""
    found = []
    for (name, image), mirrored in itertools.product(images.items(), (False, True)):
        wanted = crop[:, ::-1] if mirrored else crop
        for top in range(image.shape[0] - crop.shape[0] + 1):
            row = image[top]
            for left in range(image.shape[1] - crop.shape[1] + 1):
                if (row[left : left + 8] == wanted[0, :8]).all():
                    part = image[top : top + crop.shape[0], left : left + crop.shape[1]]
                    found += [(name, top, left, mirrored)] if (part == wanted).all() else []
    return found


@pytest.fixture(scope="module", params=RECIPES)
def run(request, tmp_path_factory):
    """Name, folder and settings of a data set prepared by its own configuration."""
    name = request.param
    root = tmp_path_factory.mktemp(name)
    published_data.write(name, root, size=RECIPES[name]["files"])
    turned = published_data.path(
        name, root, "photos", "train", published_data.names(name, "train")[0]
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.open(turned)
    photo.load()
    photo.save(turned, exif=exif)
    config = loading.load_config(name)
    config.data.prepared_dir = str(root / "prepared")
    config.data.threads = 0
    config.batch_size = 5
    values = settings.load(config)
    prepare.prepare(values, root, progress=False, allow_partial=True)
    return name, root, values


def test_training_sees_random_crops_of_what_pil_computes(run):
    name, root, values = run
    stored, seen = RECIPES[name]["stored"], RECIPES[name]["seen"]
    batches = list(itertools.islice(input_pipeline.training(values), 3))
    for kind, field in (("photos", "photo"), ("labels", "label")):
        expected = _expected(name, root, kind, "train", stored)
        places = []
        for image in np.concatenate([batch[field] for batch in batches]):
            assert image.shape[:2] == seen
            if kind == "labels":
                image = _ids(name, image)
            (place,) = _find(image, expected)
            places.append(place)
        # Three batches of five are three passes over the five images.
        assert sorted(p[0] for p in places) == sorted(3 * published_data.names(name, "train"))
        assert {mirrored for *_, mirrored in places} == {False, True}
        offsets = {(top, left) for _, top, left, _ in places}
        assert len(offsets) == 1 if stored == seen else len(offsets) > 10


def test_validation_is_what_pil_computes_at_the_size_that_networks_see(run):
    name, root, values = run
    examples = input_pipeline.validation(values)
    assert examples.paired
    assert examples.names == published_data.names(name, "validation")
    for kind, images in (("photos", examples.photos), ("labels", examples.labels)):
        expected = _expected(name, root, kind, "validation", RECIPES[name]["seen"])
        for image, wanted in zip(images, expected.values(), strict=True):
            np.testing.assert_array_equal(image if kind == "photos" else _ids(name, image), wanted)


def test_training_images_are_stored_once(run):
    name, root, _ = run
    stored = {}
    for path in (root / "prepared").rglob("*.array_record*"):
        split = path.name.removeprefix(f"{name}-").split(".")[0]
        stored.setdefault(path.parent.parent.name, set()).add(split)
    big, small = ("x".join(map(str, RECIPES[name][key])) for key in ("stored", "seen"))
    for kind in ("photos", "labels"):
        expected = {f"{kind}_{big}": {"train"}, f"{kind}_{small}": {"validation"}}
        if big == small:
            expected = {f"{kind}_{big}": {"train", "validation"}}
        assert {k: v for k, v in stored.items() if k.startswith(kind)} == expected


def test_networks_see_photos_in_the_published_range():
    values = np.arange(256, dtype=np.uint8)
    published = (values.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    # Compiled, a division may become a product with the reciprocal: one rounding's difference.
    np.testing.assert_allclose(
        pixel_range.to_float(np.asarray(values)), published, rtol=0, atol=1.2e-7
    )
    assert published[[0, 255]].tolist() == [-1, 1]
