"""Damaged files of every kind that is read: a clear error or a right result; see damages.py.

Formats without checksums (JPEG, BMP, TIFF, text, safetensors, PyTorch's old one) cannot tell a
changed byte that is still well-formed; such inputs are counted, and only have to be read in peace.
"""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.support import damages, own_files, published_files, tiny_run
from tests.support.damages import Kind
from usis_jax.data.datasets import archives
from usis_jax.data.images import decode
from usis_jax.data.inspection import label_files, photo_files
from usis_jax.data.pipeline import class_frequency
from usis_jax.data.specs import label_spec, lookup
from usis_jax.display import loss_plot
from usis_jax.interop import files, torchscript
from usis_jax.workdir import layout

COLOURS = [(30, 60, 200), (200, 60, 30), (90, 90, 90), (0, 0, 0)]
SPEC = label_spec.LabelSpec("four", tuple("abcd"), COLOURS, void=3)


def _picture(name, image, **options):
    """Maker of a file of a picture."""
    return lambda folder: own_files.save(image, folder / name, **options)


def _read_photo(path):
    found = photo_files.read(path)  # `usis inspect` must agree with `usis prepare`
    photo = decode.load_photo(path, 24, 40)
    assert found.problem is None, f"inspect refuses what prepare reads: {found.problem}"
    return photo


def _read_label(path):
    found = label_files.read(path)
    label = decode.load_label(path, 24, 40, SPEC)
    assert found.problem is None, f"inspect refuses what prepare reads: {found.problem}"
    return label


def _text(name, text):
    def make(folder):
        (folder / name).write_text(text)
        return folder / name

    return make


def _spec(name):
    def make(folder):
        spec = label_spec.LabelSpec(
            "four",
            tuple("abcd"),
            COLOURS,
            3,
            {7: 0, 8: 1, 9: 2, 10: 3},
            [(0, 1)],
            {tuple(c): k for k, c in enumerate(COLOURS)},
        )
        spec.save(folder / name)
        return folder / name

    return make


def _config(folder):
    layout.save_settings(folder, tiny_run.settings())
    return folder


def _metrics(folder):
    rows = [{"step": step, "loss_generator": step / 7, "speed/x": 3.0} for step in range(9)]
    (folder / loss_plot.METRICS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


PLACE = archives.Place(6, ".png", ("photos",), (("*.zip", "photos"),))


def _archive(folder):
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        for number in range(6):
            path = own_files.save(own_files.photo(number, (9, 9)), folder / f"{number}.png")
            archive.write(path, f"photos/{path.name}", kinds[number % 2])
            path.unlink()
    return folder


def _read_archive(folder):
    found = archives.find(folder, PLACE)
    if len(found) != PLACE.count:  # as Published.check
        raise archives_error(f"{folder} has {len(found)} photos, {PLACE.count} are published")
    return {name: decode.load_photo(file, 9, 9) for name, file in found.items()}


def archives_error(text):
    """A ValueError as the package raises it."""
    try:
        lookup.get(text)
    except ValueError as error:
        return error


def _weights(name, legacy=False, wrapped=False):
    def make(folder):
        random = np.random.default_rng(0)
        arrays = {
            f"layer_{n}.weight": random.standard_normal((n + 1, 3), np.float32) for n in range(6)
        }
        arrays["count"] = np.array(7)
        path = folder / name
        if name.endswith(".safetensors"):
            files.write(path, arrays)
        else:
            published_files.save(
                {"netEMA": arrays, "epoch": 3} if wrapped else arrays, path, legacy=legacy
            )
        return path

    return make


def _script(folder):
    """A TorchScript file as far as its tensors go."""
    files.write(folder / "a.pth", {"weight": np.arange(60, dtype=np.float32)})
    with zipfile.ZipFile(folder / "a.pth") as whole, zipfile.ZipFile(folder / "a.pt", "w") as out:
        for entry in whole.infolist():
            out.writestr(entry.filename, whole.read(entry))
        out.writestr("archive/code/__torch__.py", "class Net(Module):\n  weight : Tensor\n")
        out.writestr("archive/constants.pkl", b"\x80\x02).")
    (folder / "a.pth").unlink()
    return folder / "a.pt"


def _pixels(folder):
    np.save(folder / "class_pixels_train.npy", np.arange(40, dtype=np.int32).reshape(10, 4))
    return folder / "class_pixels_train.npy"


KINDS = {
    "photo.png": Kind(_picture("a.png", own_files.photo()), _read_photo, True),
    "photo.jpg": Kind(_picture("a.jpg", own_files.photo(), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1"
                               b"\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"), _read_photo),
    "photo.bmp": Kind(_picture("a.bmp", own_files.photo()), _read_photo),
    "photo.tif": Kind(_picture("a.tif", own_files.photo(), compression="tiff_lzw"), _read_photo),
    "photo.webp": Kind(_picture("a.webp", own_files.photo()), _read_photo),
    "photo.gif": Kind(_picture("a.gif", Image.fromarray(own_files.photo()[..., 0])), _read_photo),
    "photo.ppm": Kind(_picture("a.ppm", own_files.photo()), _read_photo),
    "photo of 16 bits": Kind(
        _picture("a.png", own_files.photo()[..., 0].astype(np.uint16) * 257), _read_photo, True),
    "label map": Kind(_picture("a.png", own_files.label()), _read_label, True),
    "label map with palette": Kind(
        _picture("a.png", own_files.palette_image(own_files.label(), COLOURS)), _read_label, True),
    "label map in colours": Kind(
        _picture("a.png", np.array(COLOURS, np.uint8)[own_files.label()]), _read_label, True),
    "label map.tif": Kind(_picture("a.tif", own_files.label()), _read_label),
    "spec.toml": Kind(_spec("a.toml"), label_spec.LabelSpec.load),
    "spec.yaml": Kind(_spec("a.yaml"), label_spec.LabelSpec.load),
    "spec.json": Kind(_spec("a.json"), label_spec.LabelSpec.load),
    "config.json": Kind(_config, layout.load_settings),
    "metrics.jsonl": Kind(_metrics, loss_plot.read_metrics),
    "archive": Kind(_archive, _read_archive, True),
    "weights.pth": Kind(_weights("a.pth"), files.read, True),
    "wrapped weights.pth": Kind(_weights("a.pth", wrapped=True), files.read, True),
    "old weights.pth": Kind(_weights("a.pth", legacy=True), files.read),
    "weights.safetensors": Kind(_weights("a.safetensors"), files.read),
    "TorchScript": Kind(_script, torchscript.read, True),
    "counted pixels": Kind(_pixels, class_frequency._stored),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_damaged_file_is_an_error_or_read_right(name, tmp_path):
    damages.fuzz(name, KINDS[name], tmp_path)


def test_fuzzer_notices_what_must_not_be(tmp_path):
    def careless(path):
        content = path.read_bytes()
        return json.loads(content)["a"] if content.startswith(b"{") else content

    kind = Kind(_text("a.json", '{"a": [1, 2, 3]}'), careless, True)
    with pytest.raises(AssertionError, match=r"not clear|traceback") as caught:
        damages.fuzz("careless", kind, tmp_path, 60)
    assert "silent damage" in str(caught.value) and "USIS_FUZZ_SEED" in str(caught.value)

    def endless(path):
        while path.read_bytes() != b"":
            pass

    path = tmp_path / "x"
    path.write_bytes(b"x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(damages, "LIMIT_SECONDS", 0.1)
        assert "took longer than 0.1 s" in damages.outcome_of(Kind(None, endless), path, "")
