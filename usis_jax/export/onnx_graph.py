"""ONNX's operators as the generators' graphs need them."""

import numpy as np


class Graph:
    """Collects the nodes and weights of a graph; values are known by their names.

    Images are [B, C, H, W], as ONNX has them.
    """

    def __init__(self):
        self.nodes, self.weights = [], []

    def add(self, kind, *inputs, to=None, **attributes):
        """Adds an operator; returns the name of its output."""
        from onnx import helper

        name = to or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def to_int64(self, x):
        """Whole numbers as int64, which alone every runtime takes as classes."""
        from onnx import TensorProto, helper

        name = f"Cast_{len(self.nodes)}"
        self.nodes.append(helper.make_node("Cast", [x], [name], to=TensorProto.INT64))
        return name

    def constant(self, array):
        """Adds an array; returns its name."""
        from onnx import numpy_helper

        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def conv(self, x, kernel, bias=None):
        """Convolution that keeps the size; kernel [k, k, in, out], bias [out]."""
        more = [] if bias is None else [self.constant(bias)]
        kernel = self.constant(np.asarray(kernel, np.float32).transpose(3, 2, 0, 1))
        size = self.weights[-1].dims[-1]
        return self.add("Conv", x, kernel, *more, pads=[size // 2] * 4)

    def leaky_relu(self, x):
        """As the networks have it, with slope 0.2."""
        return self.add("LeakyRelu", x, alpha=0.2)

    def every(self, x, step):
        """Every `step`th row and column."""
        if step == 1:
            return x
        starts, ends, axes, steps = (
            self.constant(np.array(values, np.int64))
            for values in ([0, 0], [2**31 - 1] * 2, [2, 3], [step, step])
        )
        return self.add("Slice", x, starts, ends, axes, steps)

    def up(self, x, mode="nearest"):
        """Doubles height and width, nearest or linear (half-pixel centres, edges repeated)."""
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        place = "asymmetric" if mode == "nearest" else "half_pixel"
        more = {"nearest_mode": "floor"} if mode == "nearest" else {}
        return self.add(
            "Resize", x, "", scales, mode=mode, coordinate_transformation_mode=place, **more
        )

    def haar(self, x, channels):
        """Haar transform of images of so many channels; sub-bands as in ops.haar."""
        kernel = self.constant(_bands(channels))
        return self.add("Conv", x, kernel, strides=[2, 2])

    def inverse_haar(self, x, channels):
        """Inverse Haar transform; `channels` of its result."""
        kernel = self.constant(_bands(channels))
        return self.add("ConvTranspose", x, kernel, strides=[2, 2])


def _bands(channels):
    """Kernels [4C, C, 2, 2] of the Haar transform; their transpose is the inverse."""
    signs = np.array(
        [[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]], np.float32
    )
    kernel = 0.5 * np.einsum("bij,oc->bocij", signs, np.eye(channels, dtype=np.float32))
    return kernel.reshape(4 * channels, channels, 2, 2)
