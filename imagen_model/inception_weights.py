"""The weights of FID's Inception, from a file that the user has: loaded strictly, and as numbers only."""

from __future__ import annotations

import hashlib
import math
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .catalog import ModelNotFound
from .devices import choose_device
from .inception import Inception

FILES = ("*.safetensors", "*.pth", "*.pt")
PUBLISHED = "6726825d"  # how the SHA-256 of the published file begins


def load_inception(place: str | Path, device: str = "auto") -> Inception:
    """Args:
        place: the file of weights, `.pth` or `.safetensors`, or a folder that holds one.

    Raises:
        ModelNotFound: there is none, or it holds another network; the message names the tensors.
    """
    path = find_weights(Path(place).expanduser())
    try:
        # Unpickled as tensors only, so that a file from anywhere can run nothing.
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelNotFound(f"{path} cannot be read as weights ({str(error) or type(error).__name__:.200})") from None
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelNotFound(f"{path} holds no state dict; give pt_inception-2015-12-05-{PUBLISHED}.pth")
    model = Inception()
    wanted = model.state_dict()
    # Counters of training steps, which older torch did not write and nothing reads.
    found |= {name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")}
    wrong = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unknown": sorted(found.keys() - wanted.keys()),
        "of another shape": [name for name in wanted if name in found and wanted[name].shape != found[name].shape],
    }
    if any(wrong.values()):
        shown = "; ".join(f"{kind}: {', '.join(names[:4])} ({len(names)})" for kind, names in wrong.items() if names)
        raise ModelNotFound(
            f"{path} is not the Inception of FID ({shown}); give pt_inception-2015-12-05-{PUBLISHED}.pth"
        )
    model.load_state_dict(found)
    with path.open("rb") as file:
        model.name = f"{path.name}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[: len(PUBLISHED)]}"
    if not all(math.isfinite(float(value.sum())) for value in model.state_dict().values()):
        raise ModelNotFound(f"{path} holds numbers that are not finite; fetch it again")
    return model.eval().requires_grad_(False).to(choose_device(device))


def find_weights(path: Path) -> Path:
    if not path.is_dir():
        if not path.is_file():
            raise ModelNotFound(f"there is no file {path}; give pt_inception-2015-12-05-{PUBLISHED}.pth")
        return path
    found = sorted(file for pattern in FILES for file in path.glob(pattern))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ModelNotFound(f"the folder {path} must hold one file of weights ({', '.join(FILES)}), there is: {names}")
    return found[0]
