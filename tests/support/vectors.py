"""Reference vectors of the published networks: tensors from a documented stream, stored outputs."""

import json
import zlib

import numpy as np

from tests.support import places

_FOLDER = places.VECTORS
_CASES = json.loads((_FOLDER / "parity_manifest.json").read_text())["cases"]


def options(case):
    """The published options of a case."""
    return _CASES[case]["options"]


def outputs(case):
    """Stored arrays of a case, channels first; see `thin`."""
    return dict(np.load(_FOLDER / f"parity_{case}.npz"))


def thin(case, name, array):
    """Our own array, channels first, on the pixels that are stored: some keep every third only."""
    return array[..., ::3, ::3] if name in _CASES[case].get("every_third", ()) else array


def inputs(case):
    """Inputs of a case, channels first; labels are int32."""
    drawn = {}
    for name, entry in _CASES[case]["inputs"].items():
        rule, shape = entry["rule"], tuple(entry["shape"])
        tag = entry.get("tag", f"{case}/{name}")
        if rule.startswith("blocks of "):
            block = int(rule.split()[-1])
            small = _stream(tag).randint(
                0, options(case)["semantic_nc"], (shape[0], shape[1] // block, shape[2] // block)
            )
            drawn[name] = small.repeat(block, axis=1).repeat(block, axis=2).astype(np.int32)
        else:
            drawn[name] = _normal(tag, shape)
    return drawn


def state_dict(case):
    """Published key -> float32 array of a case's network."""
    entries = _CASES[case]["tensors"]
    arrays = {}
    for key, entry in entries.items():
        if entry["rule"] != "power100":
            arrays[key] = _weight(f"{case}/{key}", entry)
    for key, entry in entries.items():
        if entry["rule"] == "power100" and key.endswith("weight_u"):
            stem = key.removesuffix("weight_u")
            arrays[key], arrays[stem + "weight_v"] = _leading(
                arrays[stem + "weight_orig"], _normal(f"{case}/{key}", entry["shape"])
            )
    return arrays


def error(ours, reference):
    """Largest difference relative to the largest entry of the reference."""
    ours, reference = np.asarray(ours), np.asarray(reference)
    assert ours.shape == reference.shape, (ours.shape, reference.shape)
    return np.abs(ours - reference).max() / np.abs(reference).max()


def _stream(tag):
    return np.random.RandomState(zlib.crc32(tag.encode()) & 0x7FFFFFFF)


def _normal(tag, shape):
    return _stream(tag).standard_normal(shape).astype(np.float32)


def _weight(tag, entry):
    n, shape = _normal(tag, entry["shape"]), entry["shape"]
    rules = {
        "n": lambda: n,
        "0.05*n": lambda: 0.05 * n,
        "0.1*n": lambda: 0.1 * n,
        "1+0.2*|n|": lambda: 1 + 0.2 * np.abs(n),
        "n/sqrt(prod(shape[1:]))": lambda: n / np.sqrt(np.prod(shape[1:])),
    }
    return rules[entry["rule"]]().astype(np.float32)


def _leading(weight, start):
    """Left and right vector after 100 rounds of power iteration, by the smaller Gram matrix."""
    matrix = weight.reshape(len(weight), -1).astype(np.float64)
    gram = matrix @ matrix.T
    u = start.astype(np.float64)
    for _ in range(99):
        u = gram @ u
        u /= np.linalg.norm(u)
    v = matrix.T @ u
    v /= np.linalg.norm(v)
    u = matrix @ v
    return (u / np.linalg.norm(u)).astype(np.float32), v.astype(np.float32)
