"""A grey picture and a prompt in, colour out: the pixel decoder draws under the constraint of the grey picture's luma.

Each pixel's R, G and B are sampled as always, but among the colours of the given luma (`decoding.draw_allowed`). The
base sees the grey picture averaged to its own size, and every pixel that it draws has its luma there within the model's
levels. The stages add what is between.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from .grey_picture import GreyPicture
from .imagen import Imagen
from .luma import LumaMasks, with_luma


def masks_of(model: Imagen, grey: GreyPicture) -> LumaMasks:
    """What the base may draw of it; the picture is stretched to a square."""
    side = model.config.image_size
    small = np.asarray(grey.image().resize((side, side), Image.Resampling.BOX))
    return LumaMasks(torch.from_numpy(small.flatten().astype(np.int64)), model.level_values(), model.device)


def with_given_luma(coloured: Image.Image, grey: GreyPicture, side: int) -> Image.Image:
    """The finished picture with the grey one's luma to within 1 of 255 at every pixel, where that is as large.

    Args:
        coloured: as the model made it, in the size asked for.
        side: of the base, whose own pixels are as near as its levels come.
    """
    if coloured.width == side or coloured.size != (grey.width, grey.height):
        return coloured
    return with_luma(coloured, grey.image())
