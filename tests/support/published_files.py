"""Files as the published code saves them: keys and shapes of its generators, and torch's formats.

Written without PyTorch and without the package's own writer: Python's pickler does the work, with
stand-ins for the few names of torch that such a file holds.
"""

import contextlib
import itertools
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

_KINDS = {
    "float32": "FloatStorage",
    "int64": "LongStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
}


def generator(width, segmentation, wavelet=False, seed=0):
    """State dict of a published generator with drawn weights.

    `segmentation` is noise and classes. The wavelet generator's blocks have Haar transforms, and
    SPADE layers for their shortcuts that are never used.
    """
    random, arrays = np.random.default_rng(seed), OrderedDict()
    factor = 4 if wavelet else 1

    def draw(key, *shape):
        scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.05
        arrays[key] = random.standard_normal(shape, np.float32) * np.float32(scale)

    def haar(*names):
        for name in names:
            sign = -1 if name.endswith("iwt") else 1
            for band, rows in (
                ("ll", [[1, 1], [1, 1]]),
                ("lh", [[-sign, -sign], [sign, sign]]),
                ("hl", [[-sign, sign], [-sign, sign]]),
                ("hh", [[1, -1], [-1, 1]]),
            ):
                arrays[f"{name}.{band}"] = np.float32(rows) / 2

    def norm(key, channels):
        arrays[f"{key}.first_norm.running_mean"] = np.zeros(channels, np.float32)
        arrays[f"{key}.first_norm.running_var"] = np.ones(channels, np.float32)
        arrays[f"{key}.first_norm.num_batches_tracked"] = np.array(7)
        for part, inputs, outputs in (
            ("mlp_shared.0", segmentation, 128),
            ("mlp_gamma", 128, channels),
            ("mlp_beta", 128, channels),
        ):
            draw(f"{key}.{part}.weight", outputs, inputs, 3, 3)
            draw(f"{key}.{part}.bias", outputs)
        if wavelet:
            haar(f"{key}.iwt", f"{key}.hwt")

    def spectral(key, inputs, outputs, size, bias=True):
        if bias:
            draw(f"{key}.bias", outputs)
        draw(f"{key}.weight_orig", outputs, inputs, size, size)
        matrix = arrays[f"{key}.weight_orig"].reshape(outputs, -1)
        u = random.standard_normal(outputs, np.float32)
        v = matrix.T @ u
        v /= np.linalg.norm(v)
        u = matrix @ v
        arrays[f"{key}.weight_u"], arrays[f"{key}.weight_v"] = u / np.linalg.norm(u), v

    widths = [factor * multiplier * width for multiplier in (16, 16, 16, 8, 4, 2, 1)]
    last = ("conv_img.conv", 12, 1) if wavelet else ("conv_img", 3, 3)
    draw(f"{last[0]}.weight", last[1], widths[-1], last[2], last[2])
    draw(f"{last[0]}.bias", last[1])
    for number, (a, b) in enumerate(itertools.pairwise(widths)):
        block = f"body.{number}"
        spectral(f"{block}.conv_0", a, min(a, b), 3)
        spectral(f"{block}.conv_1", min(a, b), b, 3)
        norm(f"{block}.norm_0", a // factor)
        norm(f"{block}.norm_1", min(a, b) // factor)
        if a != b:
            spectral(f"{block}.conv_s", a, b, 1, bias=False)
            norm(f"{block}.norm_s", a // factor)
    draw("fc.weight", widths[0], segmentation, 3, 3)
    draw("fc.bias", widths[0])
    if wavelet:
        haar("iwt", "up_residual.iwt", "up_residual.hwt")
    return arrays


class Module:
    """Object of a TorchScript class."""

    __module__ = "__torch__.net"

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def save(content, path, legacy=False):
    """Writes nested dicts of arrays as torch.save does, in its present format or its old one.

    With Modules among them it is the part with weights of what torch.jit.save writes.
    """
    storages = []

    class Tensor:
        def __init__(self, array):
            self.array = array

        def __reduce__(self):
            array = self.array
            strides = tuple(stride // array.itemsize for stride in array.strides)
            return _torch["_rebuild_tensor_v2"], (
                Storage(array),
                0,
                array.shape,
                strides,
                False,
                OrderedDict(),
            )

    class Storage:
        def __init__(self, array):
            self.array = array

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if not isinstance(thing, Storage):
                return None
            storages.append(thing.array)
            kind = _torch[_KINDS[thing.array.dtype.name]]
            pid = ("storage", kind, str(len(storages) - 1), "cpu", thing.array.size)
            return (*pid, None) if legacy else pid

    def tensors(value):
        if isinstance(value, Module):
            return Module(**tensors(value.__dict__))
        if isinstance(value, dict):
            return type(value)((key, tensors(part)) for key, part in value.items())
        return Tensor(np.array(value, order="C")) if isinstance(value, np.ndarray) else value

    with _torch_names(), open(path, "wb") as file:
        (_save_legacy if legacy else _save_zip)(file, tensors(content), Pickler, storages)


def _save_zip(file, content, pickler, storages):
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("best_EMA/data.pkl", "w") as entry:
            pickler(entry, 2).dump(content)
        for number, array in enumerate(storages):
            archive.writestr(f"best_EMA/data/{number}", array.tobytes())
        archive.writestr("best_EMA/version", "3\n")


def _save_legacy(file, content, pickler, storages):
    sizes = {"short": 2, "int": 4, "long": 4}
    for part in (
        0x1950A86A20F9469CFC6C,
        1001,
        {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes},
    ):
        pickle.dump(part, file, 2)
    pickler(file, 2).dump(content)
    pickle.dump([str(number) for number in range(len(storages))], file, 2)
    for array in storages:
        file.write(struct.pack("<q", array.size) + array.tobytes())


def _named(module, name):
    kind = (
        type(name, (), {})
        if name.endswith("Storage")
        else types.FunctionType((lambda *_: None).__code__, {}, name)
    )
    kind.__module__, kind.__qualname__ = module, name
    return kind


_torch = {name: _named("torch", name) for name in _KINDS.values()}
_torch["_rebuild_tensor_v2"] = _named("torch._utils", "_rebuild_tensor_v2")
_torch["Module"] = Module


@contextlib.contextmanager
def _torch_names():
    """Modules of the names above, so that the pickler finds what it writes down."""
    names = ("torch", "torch._utils", "__torch__", "__torch__.net")
    before = {name: sys.modules.get(name) for name in names}
    for name in before:
        sys.modules[name] = types.ModuleType(name)
    for name, value in _torch.items():
        setattr(sys.modules[value.__module__], name, value)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
