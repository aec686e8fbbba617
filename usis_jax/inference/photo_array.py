"""Generated images as an array that notebooks show as a picture."""

import io

import numpy as np
from PIL import Image

from usis_jax.display import image_grid

_MOST_SHOWN = 16


class Photos(np.ndarray):
    """uint8 [N, B, H, W, 3], or a part of it; an array like every other but for its picture.

    In a notebook the picture has a column a sample and a row a label map. What is computed from
    it is an ordinary array.
    """

    def __array_wrap__(self, array, context=None, return_scalar=False):
        """Results of computations as NumPy's own arrays and numbers."""
        return array[()] if return_scalar or not array.ndim else np.asarray(array)

    def _repr_png_(self):
        """PNG for notebooks, or None for what is no images."""
        are_images = self.ndim in (3, 4, 5) and self.shape[-1] == 3 and self.dtype == np.uint8
        if not are_images or not self.size:
            return None
        file = io.BytesIO()
        Image.fromarray(self.picture()).save(file, "PNG")
        return file.getvalue()

    def picture(self):
        """All images (of many, the first 16 of 16 maps) in one; a single image is left as it is.

        Returns:
            uint8 [rows, columns, 3].
        """
        array = np.asarray(self)
        if array.ndim == 3:
            return array
        rows = array if array.ndim == 5 else array[:, None]
        rows = rows[:_MOST_SHOWN, :_MOST_SHOWN]
        return image_grid.grid([(f"sample {n}", images) for n, images in enumerate(rows)])
