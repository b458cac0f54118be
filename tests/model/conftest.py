from __future__ import annotations

from pathlib import Path

import pytest
import torch

from imagen_model import Imagen
from imagen_model.training.job import TrainingJob
from imagen_model.training.loop import build_model

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
