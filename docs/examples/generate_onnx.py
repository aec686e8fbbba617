"""Generates an image with an ONNX file of `usis export`; needs onnxruntime, numpy and pillow only.

python generate_onnx.py generator.onnx map.png image.png [SEED]
map.png has one class number a pixel (the ids of the label spec in generator.onnx.json).
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

file, map_file, photo_file = sys.argv[1:4]
seed = int(sys.argv[4]) if len(sys.argv) > 4 else 0
with open(f"{file}.json", encoding="utf-8") as text:
    about = json.load(text)
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

# The label map: nearest neighbour, then from ids in files to classes.
size = (about["width"], about["height"])
ids = np.array(Image.open(map_file).resize(size, Image.NEAREST))
classes = {i: k for k, entry in enumerate(about["label_spec"]["classes"]) for i in entry["ids"]}
label = np.vectorize(classes.__getitem__)(ids).astype(np.int32)[None]

shape = [len(label) if size == "batch" else size for size in about["inputs"][1]["shape"]]
noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
if about["noise"]["kind"] == "mixed":  # the first half of the channels is one value an image
    half = shape[-1] // 2
    noise[..., :half] = noise[:, :1, :1, :half]
(photo,) = session.run(["photo"], {"label": label, "noise": noise})
photo = np.clip(np.round((photo[0] + 1) * 127.5), 0, 255).astype(np.uint8)
Image.fromarray(photo).save(photo_file)
