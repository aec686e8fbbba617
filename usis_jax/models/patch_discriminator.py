"""Patch discriminator: one score a tile of a photo."""

from jax import Array

from usis_jax.models.whole_discriminator import WholeDiscriminator


def cut(photo: Array, patch: int) -> Array:
    """Cut photos into square tiles.

    Args:
      photo: float [B, H, W, C].
      patch: side of a tile, a divisor of H and W.

    Returns:
      float [B * H/patch * W/patch, patch, patch, C]: the tiles of the first photo, row by row from
      the top left, then those of the second.

    Raises:
      ValueError: a size is not a multiple of `patch`.

    Source: paper, table 1 (patch discriminator).
    """
    batch, height, width, channels = photo.shape
    if height % patch or width % patch:
        raise ValueError(
            f"discriminator: photo is {height}x{width}, both sizes must be multiples "
            f"of the patch {patch}"
        )
    tiles = photo.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return tiles.swapaxes(2, 3).reshape(-1, patch, patch, channels)


class PatchDiscriminator(WholeDiscriminator):
    """The whole-image discriminator on each tile of a photo, `patch` pixels wide and high.

    The photo's loss is the mean over its tiles. `levels` is 3 where a tile of 64 pixels ends with
    4.

    Source: paper, table 1 (patch discriminator).
    """

    levels: int = 3
    patch: int = 64

    def __call__(self, photo: Array, tiles: int = 0) -> tuple[Array, list[Array]]:
        """Score tiles.

        Args:
          photo: float [B, H, W, 3] in [-1, 1]; H and W multiples of `patch`.
          tiles: samples that belong to one photo; 0 = as many as it is cut into.

        Returns:
          (score float32 [B * tiles, 1], features of the tiles fine to coarse: levels + 1 tensors
          [B * tiles, h, w, C]), tiles in the order of `cut`.

        Raises:
          ValueError: a size is not a multiple of `patch`, or `patch` not of 2 ** (levels + 1).

        Source: paper, table 1.
        """
        cut_out = cut(photo, self.patch)
        return super().__call__(cut_out, tiles or cut_out.shape[0] // photo.shape[0])
