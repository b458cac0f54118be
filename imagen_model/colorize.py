"""A grey picture and a prompt in, colour out: the pixel decoder draws under the constraint of the grey picture's luma.

Each pixel's R, G and B are sampled as always, but among the colours of the given luma (`decoding.draw_allowed`).
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from .generation import ErrorCode, GenerationRequest, InvalidRequest
from .imagen import single_thread_on_cpu
from .imagen_generator import ImagenGenerator
from .luma import LumaMasks, with_luma
from .post_processing import post_process
from .progress import at_size


def colorize(generator: ImagenGenerator, image: Image.Image, request: GenerationRequest) -> Image.Image:
    """The picture in colours that fit the request's prompt.

    The base sees the grey picture averaged to its own size, and every pixel that it draws has its luma there within
    the model's levels. The stages add what is between; where the given picture is at least as large as the result,
    the result has the given luma to within 1 of 255 at every pixel.

    Args:
        image: of any mode and size; its luma (Pillow's "L") is what is used. It is stretched to a square.

    Raises:
        InvalidRequest: the model does not take the request, or has no pixel decoder.
    """
    model = generator.model
    if model.config.base_stage is not None:
        message = "colorize needs a base that draws pixel by pixel; use a model whose base is a pixel_decoder"
        raise InvalidRequest(ErrorCode.INVALID_PARAMETER, message)
    resolved = generator.rules.resolve(request)
    shape = generator.group_key(resolved)
    grey, side = image.convert("L"), model.config.image_size
    small = np.asarray(grey.resize((side, side), Image.Resampling.BOX))
    masks = LumaMasks(torch.from_numpy(small.flatten().astype(np.int64)), model.level_values(), model.device)
    with single_thread_on_cpu(model.device):
        (picture,) = generator.sample([resolved], shape, {}, masks)
    coloured = at_size(picture.numpy(), resolved, smooth=shape.stages > 0)
    if side < coloured.width <= min(grey.size):
        coloured = with_luma(coloured, grey.resize(coloured.size, Image.Resampling.BOX))
    return post_process(coloured, resolved.post_processing)
