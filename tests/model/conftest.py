from __future__ import annotations

from pathlib import Path

import pytest
import torch

from imagen_model import Imagen
from imagen_model.denoiser_config import DenoiserConfig
from imagen_model.training.building import build_model
from imagen_model.training.job import TrainingJob

TINY = {
    "image_size": 16,
    "levels": 8,
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_size": 48,
    "max_text_tokens": 40,
    "text_config": {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "num_hidden_layers": 1},
    "sampling_defaults": {"guidance_scale": 1.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0},
}

TINY_JOB = TrainingJob(
    output="",
    model={**TINY, "num_layers": 1},
    steps=12,
    batch_size=4,
    learning_rate=3e-3,
    warmup_steps=2,
    precision="fp32",
    validate_every=6,
    validation_batches=1,
    checkpoint_every=5,
    sample_prompts=("a red circle",),
)


@pytest.fixture(scope="session")
def tiny() -> Imagen:
    """Untrained, but with distributions uneven enough that two seeds differ and two kernels would show."""
    model = build_model(TrainingJob(output="unused", model=TINY, seed=5))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.decoder.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_folder(tiny: Imagen, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.save_pretrained(folder)
    return folder


SMALL_STAGE = {
    "image_size": 32,
    "low_resolution_size": 16,
    "unshuffle": 2,
    "channels": [16, 32],
    "blocks": [1, 1],
    "strides": [1, 2],
    "self_attention": [False, True],
    "text_attention": [False, True],
    "head_size": 16,
    "embedding_size": 16,
    "text_size": 16,
}
# The last stage steers by guidance, is thresholded dynamically and starts from a noised picture.
LARGE_STAGE = {
    **SMALL_STAGE,
    "image_size": 64,
    "low_resolution_size": 32,
    "unshuffle": 4,
    "guidance_scale": 2.0,
    "threshold": 0.9,
    "augmentation": 0.1,
    "sampler": "ancestral",
    "inference_steps": 2,
}


def unsettle(model: Imagen) -> Imagen:
    """Untrained stages change nothing by design; these do, in a way that depends on all that they see."""
    torch.manual_seed(2)
    nets = [*model.stages, *([model.denoiser] if model.config.base_stage else [])]
    with torch.no_grad():
        for net in nets:
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(scope="session")
def cascade(tiny_folder: Path) -> Imagen:
    """The tiny model with two super-resolution stages: 16 -> 32 -> 64."""
    model = Imagen.from_pretrained(tiny_folder)
    model.put_stage(0, DenoiserConfig.of(SMALL_STAGE))
    model.put_stage(1, DenoiserConfig.of(LARGE_STAGE))
    return unsettle(model)


@pytest.fixture(scope="session")
def denoising(tiny_folder: Path) -> Imagen:
    """The tiny model with a denoising U-Net as its base."""
    model = Imagen.from_pretrained(tiny_folder)
    model.put_denoising_base(DenoiserConfig.of({**SMALL_STAGE, "image_size": 16, "low_resolution_size": None}))
    model.config.sampling_defaults = {"guidance_scale": 2.0, "num_inference_steps": 3}
    return unsettle(model)
