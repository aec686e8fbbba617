"""Published state dicts, taken apart key by key: convolutions with the batch norms behind them."""

from collections.abc import Mapping

import numpy as np

from usis_jax.errors import UserError

EPSILON = 1e-5
NORM = {"scale": "weight", "shift": "bias", "mean": "running_mean", "var": "running_var"}
"""Parts of a batch norm and their names."""
COUNTERS = ("num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")
"""What batch norms keep for their training only, the last three where devices were synchronised."""


class StateDict:
    """A published state dict of which every key must be taken once.

    Args:
      arrays: key -> array.
      name: of the file, for messages.
      network: of the network, for messages.
      epsilon: of its batch norms.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], name, network: str, epsilon: float = EPSILON
    ):
        self._left, self._name, self._epsilon = dict(arrays), name, epsilon
        self._advice = f"give the published file of {network}"

    def take(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array, which no longer is left over then.

        Raises:
          UserError: there is none, or it has another shape.
        """
        value = self._left.pop(key, None)
        if value is None:
            raise UserError(f"{self._name} has no {key!r}; {self._advice}")
        if np.shape(value) != shape:
            raise UserError(
                f"{self._name}: {key!r} has the shape {np.shape(value)}, it must be "
                f"{shape}; {self._advice}"
            )
        return np.asarray(value, np.float32)

    def convolution(self, conv: str, norm: str | None, size: int, read: int, width: int) -> dict:
        """A convolution as `residual.Convolution` has it.

        Args:
          conv, norm: prefixes of the keys; without a norm the convolution has a bias.
          size, read, width: of the kernel, its input and output.

        Returns:
          {"conv": {"kernel": float32 [size, size, read, width], "bias": float32 [width]}}, the
          batch norm folded in.

        Raises:
          UserError: as `take`.
        """
        kernel = self.take(f"{conv}.weight", (width, read, size, size)).transpose(2, 3, 1, 0)
        if norm is None:
            return {"conv": {"kernel": kernel, "bias": self.take(f"{conv}.bias", (width,))}}
        parts = {
            part: np.float64(self.take(f"{norm}.{key}", (width,))) for part, key in NORM.items()
        }
        for key in COUNTERS:
            self._left.pop(f"{norm}.{key}", None)
        gain = parts["scale"] / np.sqrt(parts["var"] + self._epsilon)
        return {
            "conv": {
                "kernel": kernel * np.float32(gain),
                "bias": np.float32(parts["shift"] - parts["mean"] * gain),
            }
        }

    def finish(self) -> None:
        """Checks that nothing is left over.

        Raises:
          UserError: keys are.
        """
        if self._left:
            raise UserError(
                f"{self._name} has {len(self._left)} keys that the network has not, "
                f"such as {min(self._left)!r}; {self._advice}"
            )
