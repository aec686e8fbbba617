"""Generators as ONNX models, written by hand with ONNX's own operators.

jax2onnx, the converter that is maintained, was tried first (0.17.1): its graph of the quickstart's
generator gave other images (up to 0.5 away), and it holds orbax-checkpoint back.
"""

import jax
import numpy as np

from usis_jax.errors import UserError
from usis_jax.export import programs
from usis_jax.export.onnx_graph import Graph

_OPSET, _IR_VERSION = 17, 8
_LARGEST = 2**31 - 2**20
_EPSILON = 1e-5


def model(generator, height: int, width: int, texts: dict[str, str]):
    """The generator as an ONNX model of label maps and noise.

    Args:
      generator: Generator.
      height, width: of label maps.
      texts: metadata to put into the file.

    Returns:
      onnx.ModelProto, checked; images go in and out as [B, H, W, C].

    Raises:
      UserError: the package onnx is not installed, or the weights need more than the 2 GiB that a
        file of ONNX may have.

    Source: the networks of paper §5.1 and of the ICASSP version.
    """
    programs.need("onnx", "--format=onnx")
    import onnx
    from onnx import TensorProto, helper

    if sum(leaf.nbytes for leaf in jax.tree.leaves(generator.variables)) > _LARGEST:
        raise UserError(
            "--format=onnx: the weights are larger than the 2 GiB that a file of ONNX "
            "may have; choose stablehlo, saved_model or safetensors"
        )
    graph = Graph()
    _Layers(graph, generator, height, width).build()
    kinds = {"int32": TensorProto.INT32, "float32": TensorProto.FLOAT}

    def info(value):
        return helper.make_tensor_value_info(value.name, kinds[value.dtype], value.shape)

    values = programs.inputs(generator, height, width, "noise")
    whole = helper.make_graph(
        graph.nodes,
        "generator",
        [info(value) for value in values],
        [info(programs.output(height, width))],
        graph.weights,
    )
    made = helper.make_model(
        whole,
        producer_name="usis_jax",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    helper.set_model_props(made, texts)
    onnx.checker.check_model(made)
    return made


def run(content: bytes, values, arguments) -> np.ndarray | None:
    """Images that an ONNX model generates here: float32 [B, H, W, 3]; None without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given = {value.name: argument for value, argument in zip(values, arguments, strict=True)}
    return session.run(["photo"], given)[0]


class _Layers:
    """Adds a generator's layers to a graph, in the order in which they run."""

    def __init__(self, graph, generator, height, width):
        self.graph, self.options = graph, generator.settings.generator
        self.size, self.num_classes = (height, width), generator.spec.num_classes
        self.stride = self.options.stride
        self.variables = jax.tree.map(np.asarray, generator.variables)

    def build(self):
        """Adds all of it; the last value is named photo."""
        graph, wavelet = self.graph, self.options.name == "wavelet"
        self.inputs = self._inputs()
        start = self._of("params", "start")
        x = graph.conv(self._reduced(self.stride), start["kernel"], start["bias"])
        blocks, step = len(self.options.multipliers) - 1, self.stride
        for number in range(blocks):
            if wavelet:
                shortcut, main = self._wavelet_block(x, f"block_{number}", step)
                if number + 1 < blocks:
                    width = self.options.multipliers[number + 1] * self.options.width
                    shortcut, main = self._wavelet_up(shortcut, width), graph.up(main)
                    step //= 2
                x = graph.add("Add", shortcut, main)
            else:
                if number:
                    x, step = graph.up(x), step // 2
                x = self._block(x, f"block_{number}", step)
        last = self._of("params", "to_wavelet" if wavelet else "to_rgb")
        x = x if wavelet else graph.leaky_relu(x)
        x = graph.conv(x, last["kernel"], last["bias"])
        if wavelet:
            x = graph.inverse_haar(x, 3)
        graph.add("Transpose", graph.add("Tanh", x), perm=[0, 2, 3, 1], to="photo")

    def _of(self, collection, *path):
        found = self.variables[collection]
        for name in path:
            found = found[name]
        return found

    def _inputs(self):
        """Noise and one-hot label map in the channels of one image, at full size."""
        graph = self.graph
        depth = graph.constant(np.array(self.num_classes, np.int64))
        values = graph.constant(np.array([0, 1], np.float32))
        label = graph.to_int64("label")
        one_hot = graph.add("OneHot", label, depth, values, axis=1)
        if self.options.noise != "image":
            noise = graph.add("Transpose", "noise", perm=[0, 3, 1, 2])
            return graph.add("Concat", noise, one_hot, axis=1)
        axes = graph.constant(np.array([2, 3], np.int64))
        noise = graph.add("Unsqueeze", "noise", axes)
        spread = graph.constant(np.array([1, 1, *self.size], np.int64))
        return graph.add("Concat", graph.add("Expand", noise, spread), one_hot, axis=1)

    def _reduced(self, step):
        return self.graph.every(self.inputs, step)

    def _spectral_conv(self, x, *path):
        own, vectors = self._of("params", *path), self._of("spectral", *path)
        kernel = own["kernel"].astype(np.float64)
        sigma = vectors["v"] @ kernel.reshape(-1, kernel.shape[-1]) @ vectors["u"]
        return self.graph.conv(x, kernel / sigma, own.get("bias"))

    def _spade(self, x, step, *path):
        """Normalised by the stored statistics, then scaled and shifted by map and noise."""
        graph, statistics = self.graph, self._of("batch_stats", *path, "norm")
        own = self._of("params", *path, "modulation")
        scale = 1 / np.sqrt(statistics["var"].astype(np.float64) + _EPSILON)
        shift = -statistics["mean"] * scale
        scale, shift = (
            graph.constant(value.astype(np.float32)[:, None, None]) for value in (scale, shift)
        )
        x = graph.add("Add", graph.add("Mul", x, scale), shift)
        hidden = graph.conv(self._reduced(step), own["shared"]["kernel"], own["shared"]["bias"])
        hidden = graph.add("Relu", hidden)
        # The scale is 1 + gamma: the one goes into its bias.
        gamma = graph.conv(hidden, own["gamma"]["kernel"], own["gamma"]["bias"] + 1)
        beta = graph.conv(hidden, own["beta"]["kernel"], own["beta"]["bias"])
        return graph.add("Add", graph.add("Mul", x, gamma), beta)

    def _block(self, x, name, step):
        graph, shortcut = self.graph, x
        if "conv_s" in self._of("params", name):
            shortcut = self._spectral_conv(self._spade(x, step, name, "spade_s"), name, "conv_s")
        for number in range(2):
            x = graph.leaky_relu(self._spade(x, step, name, f"spade_{number}"))
            x = self._spectral_conv(x, name, f"conv_{number}")
        return graph.add("Add", shortcut, x)

    def _wavelet_block(self, x, name, step):
        graph, shortcut = self.graph, x
        if "conv_s" in self._of("params", name):
            shortcut = self._spectral_conv(x, name, "conv_s")
        for number in range(2):
            spade = f"spade_{number}"
            channels = self._of("batch_stats", name, spade, "norm", "mean").size
            image = self._spade(graph.inverse_haar(x, channels), step // 2, name, spade)
            x = graph.leaky_relu(graph.haar(image, channels))
            x = self._spectral_conv(x, name, f"conv_{number}")
        return shortcut, x

    def _wavelet_up(self, x, channels):
        return self.graph.haar(
            self.graph.up(self.graph.inverse_haar(x, channels), "linear"), channels
        )
