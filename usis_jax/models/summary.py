"""Table of all networks of the method at a configuration's sizes, without computing anything."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.config.schema import Decoder, Discriminator, Generator
from usis_jax.config.settings import Settings
from usis_jax.models import registry

_HEADER = ("network", "name", "parameters", "output", "")


class Row(NamedTuple):
    """One network.

    Attributes:
      network: "generator", "segmenter", "discriminator" or "decoder".
      name: value of its field `name`; "unet" for the segmenter.
      selected: whether the configuration uses it.
      parameters: numbers that training moves; 0 where the network does not fit.
      output: shape of its (first) output for one label map or photo; () where it does not fit.
      problem: why it does not fit the configuration's sizes, or "".
    """

    network: str
    name: str
    selected: bool
    parameters: int
    output: tuple[int, ...]
    problem: str = ""


def networks(settings: Settings, num_classes: int) -> list[Row]:
    """All networks of the method at the sizes of a configuration.

    Args:
      settings: the configuration; its widths count for those networks too that it does not select.
      num_classes: K.

    Returns:
      A row for each generator, the segmenter, each discriminator and each decoder (with the
      wavelet discriminator, whose features it takes).

    Source: paper §5 and tables 1 and 4; the wavelet generator is the ICASSP version's.
    """
    chosen = {
        "generator": settings.generator.name,
        "segmenter": "unet",
        "discriminator": settings.discriminator.name,
        "decoder": settings.decoder.name,
    }
    rows = []
    for network, name in _all_names():
        try:
            variant = _with(settings, network, name)
            parameters, output = _size(variant, num_classes, network)
            row = Row(network, name, name == chosen[network], parameters, output)
        except ValueError as error:
            row = Row(network, name, name == chosen[network], 0, (), str(error))
        rows.append(row)
    return rows


def text(rows: Sequence[Row]) -> str:
    """The rows as a table; "selected" stands beside what the configuration uses."""
    lines = [_HEADER]
    for row in rows:
        output = "x".join(map(str, row.output)) or "does not fit"
        lines.append(
            (
                row.network,
                row.name,
                f"{row.parameters:,}" if row.output else "-",
                output,
                row.problem or ("selected" if row.selected else ""),
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:<{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in lines
    )


def _all_names():
    for network, section in (
        ("generator", Generator),
        ("segmenter", None),
        ("discriminator", Discriminator),
        ("decoder", Decoder),
    ):
        if section is None:
            yield network, "unet"
            continue
        (field,) = (f for f in dataclasses.fields(section) if f.name == "name")
        for name in field.metadata["choices"]:
            if name != "none":
                yield network, name


def _with(settings, network, name):
    """The settings with one network in the place of the selected one."""
    if network == "segmenter":
        return settings
    changes = {network: dataclasses.replace(getattr(settings, network), name=name)}
    if network == "discriminator":
        changes["decoder"] = dataclasses.replace(settings.decoder, name="none")
    if network == "decoder":
        changes["discriminator"] = dataclasses.replace(settings.discriminator, name="wavelet")
    return dataclasses.replace(settings, **changes)


def _size(settings, num_classes, network):
    """Parameters and shape of the first output of a network, by shapes alone."""
    built = registry.build(settings, num_classes, axis_name=None)
    height, width = settings.data.height, settings.data.width
    photo = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
    inputs: tuple[Any, ...] = (photo,)
    if network == "generator":
        inputs = (
            jax.ShapeDtypeStruct((1, height, width), jnp.int32),
            jax.ShapeDtypeStruct((1, settings.generator.z_dim), jnp.float32),
        )
    if network == "decoder":
        (_, features), _ = _shapes(built.discriminator, (photo,))
        inputs = (features,)
    output, variables = _shapes(getattr(built, network), inputs)
    parameters = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables["params"]))
    return parameters, jax.tree.leaves(output)[0].shape


def _shapes(module, inputs):
    """(output, variables) of a module as shapes."""
    return jax.eval_shape(module.init_with_output, jax.random.key(0), *inputs)
