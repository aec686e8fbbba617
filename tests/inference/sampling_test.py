"""Sampling from a checkpoint: shapes, noise, folders of label maps, bad input."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import usis_jax
from tests.support import tiny_run
from usis_jax.checkpoint import manager
from usis_jax.inference import label_folders, sampling
from usis_jax.methods import train_state
from usis_jax.workdir import layout


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A work directory with the checkpoint of an untrained run."""
    folder = tmp_path_factory.mktemp("run")
    settings = tiny_run.settings()
    layout.save_settings(folder, settings)
    initial = train_state.create(settings, tiny_run.SPEC.num_classes)
    with manager.Checkpoints(folder) as checkpoints:
        checkpoints.save(7, initial, settings, tiny_run.SPEC)
    return folder


@pytest.fixture(scope="module")
def generator(workdir):
    """The generator of that run, loud enough that its images are not all grey."""
    found = usis_jax.Generator.load(workdir)
    # The tiny untrained network stays within one grey level of 127.5
    found.variables["params"] = _louder(found.variables["params"])
    return found


def _louder(tree):
    return {k: _louder(v) if isinstance(v, dict) else 4 * v for k, v in tree.items()}


@pytest.fixture
def labels():
    """Two label maps int32 [2, 16, 16]."""
    return tiny_run.batch(0, 0, 2)["label"]


def test_images_have_one_row_a_sample(generator, labels):
    images = generator(labels, num_samples=3)
    assert (images.shape, images.dtype) == ((3, 2, 16, 16, 3), np.uint8)
    assert generator(labels[0]).shape == (1, 1, 16, 16, 3)
    assert generator.step == 7 and generator.spec == tiny_run.SPEC


def test_images_follow_the_variables(workdir, labels):
    generator = usis_jax.Generator.load(workdir)
    first = generator.folded
    assert generator.folded is first
    plain = generator.sampler(generator.variables, labels, 0, 0)
    np.testing.assert_allclose(generator(labels)[0].astype(int), plain.astype(int), atol=1)
    params = generator.variables["params"]
    bias = params["to_rgb"]["bias"] + 9.0
    params["to_rgb"] = {**params["to_rgb"], "bias": bias}
    assert (generator(labels) == 255).all()
    params["to_rgb"]["bias"] = np.array(bias)
    assert (generator(labels) == 255).all()
    params["to_rgb"]["bias"][:] = -9
    assert (generator(labels) == 0).all()


def test_images_show_themselves_and_compute_like_arrays(generator, labels):
    images = generator(labels, num_samples=3)
    sheet = np.asarray(Image.open(io.BytesIO(images._repr_png_())))
    np.testing.assert_array_equal(sheet, images.picture())
    assert sheet.shape[1] > 3 * 16 and sheet.shape[0] > 2 * 16
    alone = Image.open(io.BytesIO(images[1, 0]._repr_png_()))
    np.testing.assert_array_equal(np.asarray(alone), images[1, 0])
    assert images[:, 0]._repr_png_() and images[0, 0, :, :, 0]._repr_png_() is None
    assert type(images - 1) is np.ndarray and type(images.max()) is np.uint8
    assert type(images[:0]) is type(images) and images[:0]._repr_png_() is None
    assert (jax.jit(jnp.sum)(images) == images.sum(dtype=np.uint32)).all()


def test_label_map_file_is_read_as_train_ids(generator, labels, tmp_path):
    ids = np.array([255, 10, 20, 30], np.uint8)[labels[0]]
    Image.fromarray(ids).save(tmp_path / "map.png")
    np.testing.assert_array_equal(generator.read(tmp_path / "map.png"), labels[0])
    assert generator.read(tmp_path / "map.png", 8, 24).shape == (8, 24)
    with pytest.raises(ValueError, match=r"no.png: label map does not decode"):
        generator.read(tmp_path / "no.png")


def test_generator_says_what_it_is(generator):
    assert repr(generator).startswith("Generator(tiny: 4 classes, 16x16, step 7, 0.")


def test_same_seed_gives_the_same_images_and_samples_differ(generator, labels):
    images = generator(labels, seed=4, num_samples=2)
    np.testing.assert_array_equal(images, generator(labels, seed=4, num_samples=2))
    assert (images[0] != images[1]).any()
    assert (images[0] != generator(labels, seed=5)[0]).any()


def test_noise_of_a_map_does_not_depend_on_its_batch(generator, labels):
    both = generator(labels, seed=1)
    second = generator(labels[1:], seed=1, first=1)
    np.testing.assert_array_equal(both[:, 1:], second)


def test_other_sizes_that_are_multiples_of_the_stride_are_allowed(generator):
    assert generator(np.ones((1, 8, 24), int)).shape == (1, 1, 8, 24, 3)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.ones((1, 15, 16), int), "label height is 15; it must be a multiple of .* stride 2"),
        (np.ones((1, 16, 16)), "label must be integers"),
        (np.ones((1, 1, 16, 16), int), "label must be integers"),
        (np.full((16, 16), 4), "label has ids from 4 to 4; this generator knows 0 to 3"),
    ],
)
def test_label_that_does_not_fit_is_refused(generator, label, message):
    with pytest.raises(ValueError, match=message):
        generator(label)


def test_pixel_noise_has_the_size_of_the_map():
    import jax

    settings = tiny_run.settings(generator={"z_dim": 4, "noise": "pixel", "multipliers": (2, 1)})
    options = settings.generator
    z = sampling.map_noise(options, jax.random.key(0), (2, 3, 5))
    assert z.shape == (2, 3, 5, 4)
    one = sampling.map_noise(options, jax.random.key(0), (1, 3, 5), 1)
    np.testing.assert_array_equal(z[1:], one)


def _write_labels(folder, number=3, size=(20, 12), value=None):
    folder.mkdir()
    ids = np.array([a for a, _ in tiny_run.SPEC.file_ids], np.uint8)
    for i in range(number):
        random = np.random.default_rng(i)
        array = ids[random.integers(0, len(ids), size)]
        if value is not None:
            array[0, :2] = value
        Image.fromarray(array).save(folder / f"map{i}.png")
    return folder


def test_folder_of_label_maps_becomes_images_and_a_contact_sheet(generator, tmp_path):
    labels = _write_labels(tmp_path / "labels")
    out = tmp_path / "new" / "out"
    result = label_folders.sample_folder(generator, labels, out, num_samples=2, batch_size=2)
    names = [f"map{i}_{n}.png" for i in range(3) for n in range(2)]
    assert sorted(p.name for p in out.iterdir()) == ["contact_sheet.png", *names]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels", "new"]
    assert (result["labels"], result["photos"], result["step"]) == (3, 6, 7)
    image = Image.open(out / "map2_1.png")
    assert (image.size, image.mode) == ((16, 16), "RGB")
    whole = label_folders.sample_folder(generator, labels, tmp_path / "whole", 2, batch_size=8)
    assert whole["files"] == result["files"]
    for name in names:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_id_outside_the_spec_names_file_and_id_and_writes_nothing(generator, tmp_path):
    labels = _write_labels(tmp_path / "labels", value=77)
    with pytest.raises(ValueError, match=r"map0.png: label id 77 on 2 pixels"):
        label_folders.sample_folder(generator, labels, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_failure_while_generating_leaves_nothing_behind(generator, tmp_path, monkeypatch):
    labels = _write_labels(tmp_path / "labels")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(label_folders.image_grid, "grid", full)
    with pytest.raises(OSError, match="No space left"):
        label_folders.sample_folder(generator, labels, tmp_path / "out", num_samples=1)
    assert [p.name for p in tmp_path.iterdir()] == ["labels"]


def test_folder_that_cannot_be_written_is_named(generator, tmp_path, monkeypatch):
    def denied(**kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(label_folders.tempfile, "mkdtemp", denied)
    labels = _write_labels(tmp_path / "labels", number=1)
    with pytest.raises(PermissionError, match=r"cannot write to --out .*/out: no permission in"):
        label_folders.sample_folder(generator, labels, tmp_path / "out")


def test_missing_and_empty_folders_are_refused(generator, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        label_folders.sample_folder(generator, tmp_path / "no", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no label map"):
        label_folders.sample_folder(generator, tmp_path / "empty", tmp_path / "out")
    labels = _write_labels(tmp_path / "labels", number=1)
    (tmp_path / "out").write_text("x")
    with pytest.raises(ValueError, match="is a file; it must be a folder"):
        label_folders.sample_folder(generator, labels, tmp_path / "out")
    (labels / "map0.bmp").write_bytes((labels / "map0.png").read_bytes())
    with pytest.raises(ValueError, match="same name"):
        label_folders.sample_folder(generator, labels, tmp_path / "other")


def test_workdir_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a work directory"):
        usis_jax.Generator.load(tmp_path / "no")
    layout.save_settings(tmp_path, tiny_run.settings())
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        usis_jax.Generator.load(tmp_path)


def test_run_that_was_never_measured_has_no_best(workdir):
    with pytest.raises(FileNotFoundError, match="no measured checkpoint"):
        usis_jax.Generator.load(workdir, best=True)
