"""Generates an image with weights of `usis export`; needs safetensors, numpy and pillow only.

python generate_safetensors.py generator.safetensors map.png image.png [SEED]
map.png has one class number a pixel (the ids of the label spec in generator.safetensors.json).
This is the whole SPADE generator in NumPy; the other formats are faster.
"""

import json
import sys

import numpy as np
from PIL import Image
from safetensors.numpy import load_file


def conv(x, kernel, bias=0.0):
    """Convolution of [B, H, W, C] with a kernel [k, k, C, F] that keeps the size."""
    reach, (height, width) = kernel.shape[0] // 2, x.shape[1:3]
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    taps = np.ndindex(*kernel.shape[:2])
    return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in taps) + bias


def leaky_relu(x):
    """Slope 0.2 below zero."""
    return np.where(x > 0, x, 0.2 * x)


def generate(weights, settings, label, noise):
    """Images [B, H, W, 3] in [-1, 1] of label [B, H, W] and noise [B, Z] or [B, H, W, Z]."""
    if settings["name"] != "spade":
        raise SystemExit("this script has the SPADE generator only; export another format")
    stride = 2 ** (len(settings["multipliers"]) - 2)
    if noise.ndim == 2:
        noise = np.broadcast_to(noise[:, None, None], (*label.shape, noise.shape[-1]))
    channels = weights["params/start/kernel"].shape[2]
    classes = np.eye(channels - noise.shape[-1], dtype=np.float32)[label]
    given = np.concatenate([noise, classes], axis=-1)  # what every SPADE layer sees

    def convolve(x, name):
        own = f"params/{name}"
        return conv(x, weights[f"{own}/kernel"], weights.get(f"{own}/bias", 0.0))

    def spectral(x, name):  # the kernel is divided by its largest singular value
        kernel = weights[f"params/{name}/kernel"]
        u, v = weights[f"spectral/{name}/u"], weights[f"spectral/{name}/v"]
        sigma = v @ kernel.reshape(-1, kernel.shape[-1]) @ u
        return conv(x, kernel / sigma, weights.get(f"params/{name}/bias", 0.0))

    def spade(x, name):
        mean, var = (weights[f"batch_stats/{name}/norm/{what}"] for what in ("mean", "var"))
        small = given[:, :: given.shape[1] // x.shape[1], :: given.shape[2] // x.shape[2]]
        hidden = np.maximum(convolve(small, f"{name}/modulation/shared"), 0)
        gamma, beta = (convolve(hidden, f"{name}/modulation/{what}") for what in ("gamma", "beta"))
        return (x - mean) / np.sqrt(var + 1e-5) * (1 + gamma) + beta

    x = convolve(given[:, ::stride, ::stride], "start")
    for number in range(len(settings["multipliers"]) - 1):
        block, shortcut = f"block_{number}", x.repeat(2, 1).repeat(2, 2) if number else x
        x = shortcut
        if f"params/{block}/conv_s/kernel" in weights:
            shortcut = spectral(spade(x, f"{block}/spade_s"), f"{block}/conv_s")
        for part in "01":
            x = spectral(leaky_relu(spade(x, f"{block}/spade_{part}")), f"{block}/conv_{part}")
        x = shortcut + x
    return np.tanh(convolve(leaky_relu(x), "to_rgb"))


def main(file, map_file, photo_file, seed=0):
    """Generates an image of one label map."""
    with open(f"{file}.json", encoding="utf-8") as text:
        about = json.load(text)
    weights = {name: value.astype(np.float32) for name, value in load_file(file).items()}
    stride = 2 ** (len(about["settings"]["generator"]["multipliers"]) - 2)
    size = [side // stride * stride for side in (about["width"], about["height"])]
    ids = np.array(Image.open(map_file).resize(size, Image.NEAREST))
    classes = {i: k for k, entry in enumerate(about["label_spec"]["classes"]) for i in entry["ids"]}
    label = np.vectorize(classes.__getitem__)(ids)[None]
    kind, channels = about["noise"]["kind"], about["noise"]["channels"]
    shape = (1, channels) if kind == "image" else (*label.shape, channels)
    noise = np.random.default_rng(int(seed)).standard_normal(shape, np.float32)
    if kind == "mixed":  # the first half of the channels is one value an image
        noise[..., : channels // 2] = noise[:, :1, :1, : channels // 2]
    photo = generate(weights, about["settings"]["generator"], label, noise)[0]
    photo = np.clip(np.round((photo + 1) * 127.5), 0, 255).astype(np.uint8)
    Image.fromarray(photo).save(photo_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
