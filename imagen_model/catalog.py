"""From the name that a user gives to the model that is really used, without loading a weight.

The driver of a job calls `find_model` to refuse an unknown name, to learn what the model takes and to pin
its revision, long before a worker with a GPU starts. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .denoiser_config import DEFAULT_STEPS, DenoiserConfig
from .flat_colour import FlatColourGenerator
from .generation import Generator, RequestRules

BUNDLED = Path(__file__).parent / "checkpoints"
# Never published by Google (arXiv 2205.11487 came without code or weights), yet asked for by many.
UNPUBLISHED = "google/imagen-text-to-image"
DEFAULT_MODEL = "imagen-small"
FLAT_COLOUR = "flat-colour"
CAPTIONER = "captioner"  # subfolder of a model that brings one
# How much larger than its last stage makes them a cascade's pictures can be asked for.
ENLARGED = 4


class ModelNotFound(ValueError):
    """No model of that name; the message says what can be given instead."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that exists.

    Args:
        name: the name of the model really used, as the manifest states it.
        folder: where its configuration and weights lie; None for `flat-colour`.
        revision: hash over the configuration, tokenizer and weights; pictures of two revisions may differ.
        rules: what the model takes.
    """

    name: str
    folder: str | None
    revision: str
    rules: RequestRules

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        """The model in memory, ready to generate.

        Args:
            batch_size: requests computed together; None for the model's own choice on the device.
            device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".
        """
        if self.folder is None:
            return FlatColourGenerator(batch_size or 16)
        from .imagen_generator import ImagenGenerator

        return ImagenGenerator.from_folder(self.folder, batch_size=batch_size, device=device)


def bundled_models() -> list[str]:
    return sorted(path.parent.name for path in BUNDLED.glob("*/config.json"))


def used_name(name: str) -> str:
    """The name of the model really used: `google/imagen-text-to-image` becomes the bundled one."""
    return DEFAULT_MODEL if name == UNPUBLISHED else name


def find_folder(name: str) -> Path:
    """The folder of a bundled model, of a folder given by path, or of a model in the local hub cache.

    Raises:
        ModelNotFound: there is none of that name.
    """
    if name == UNPUBLISHED:
        warnings.warn(
            f"{UNPUBLISHED} was never published by Google; using the bundled {DEFAULT_MODEL} instead", stacklevel=3
        )
    name = used_name(name)
    for folder in (BUNDLED / name, Path(name).expanduser()):
        if (folder / "config.json").is_file():
            return folder
    if Path(name).expanduser().is_dir():
        raise ModelNotFound(f"the folder {name} holds no config.json; give one written by Imagen.save_pretrained")
    downloaded = download_from_hub(name)
    if downloaded is not None:
        return downloaded
    known = ", ".join([*bundled_models(), FLAT_COLOUR])
    raise ModelNotFound(
        f"no model called {name!r}; give one of the bundled ({known}), a folder written by "
        "Imagen.save_pretrained, or the hub id of such a model"
    )


def download_from_hub(name: str) -> Path | None:
    """The local copy of a hub repository `owner/name`, fetched if need be; None where there is none."""
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.txt"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None
    return folder if (folder / "config.json").is_file() else None


def find_model(name: str) -> ModelSource:
    """The model of that name.

    Args:
        name: a bundled model (`imagen-small`), `flat-colour`, a folder, or a hub id.

    Raises:
        ModelNotFound: there is none, or the folder holds another kind of model.
    """
    if name == FLAT_COLOUR:
        return ModelSource(FLAT_COLOUR, None, "flat-colour-1", FlatColourGenerator.rules)
    folder = find_folder(name)
    rules = read_rules((folder / "config.json").read_bytes(), str(folder))
    # A path differs between machines, so the manifest names a user's own folder by its last part only.
    used = used_name(name)
    shown = used if used in bundled_models() or ("/" in used and not Path(used).exists()) else folder.resolve().name
    return ModelSource(shown, str(folder), folder_revision(folder), rules)


def decides_pictures(name: str) -> bool:
    """Whether the file, by its name in the folder, is part of what draws: configuration, tokenizer or weights, and
    not the captioner's, which reads pictures."""
    path = PurePosixPath(name)
    return path.suffix in {".json", ".safetensors", ".txt"} and path.parts[0] != CAPTIONER


def folder_revision(folder: Path) -> str:
    """Hash over every file that decides what a picture looks like (hex, 16 digits)."""
    digests = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if decides_pictures(name) and path.is_file():
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").digest()
    return revision_of(digests)


def revision_of(digests: Mapping[str, bytes]) -> str:
    """The same, from each file's SHA-256 by its name in the folder, with `/`."""
    total = hashlib.sha256()
    for name in sorted(digests, key=lambda name: PurePosixPath(name).parts):
        total.update(name.encode() + digests[name])
    return total.hexdigest()[:16]


def read_rules(config: bytes, place: str) -> RequestRules:
    """What the model takes whose `config.json` this is.

    Args:
        place: where it lies, for the message.

    Raises:
        ModelNotFound: it is no Imagen's.
    """
    try:
        values = json.loads(config)
        kind = values.get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelNotFound(f"the config.json of {place} is damaged ({error}); write the model again") from error
    if kind != "imagen":
        raise ModelNotFound(
            f"{place} holds a model of type {kind!r}, not 'imagen'; give a folder written by Imagen.save_pretrained"
        )
    return rules_from_config(values)


def rules_from_config(config: dict[str, Any]) -> RequestRules:
    """What an Imagen takes, read from its `config.json`."""
    base = int(config["image_size"])
    stages = [DenoiserConfig.of(fields) for fields in config.get("super_resolution") or []]
    diffusion = ([DenoiserConfig.of(config["denoiser"])] if config.get("denoiser") else []) + stages
    defaults: dict[str, int | float] = dict(config.get("sampling_defaults") or {})
    if any(stage.inference_steps is None for stage in diffusion):
        defaults.setdefault("num_inference_steps", DEFAULT_STEPS)
    if not config.get("denoiser"):
        defaults.setdefault("best_of", 1)  # a denoising base has no likelihood to choose by
    last = stages[-1].image_size if stages else base
    final = last * int(config.get("display_factor", 8))
    # A base's few large cells can be shown at any of these sizes.
    largest = max(ENLARGED * last, 32 * base)
    others = [base * 2**power for power in range(16) if base * 2**power <= largest]
    return RequestRules(
        sizes=tuple((side, side) for side in (final, *(side for side in others if side != final))),
        defaults=defaults,
        limits={"guidance_scale": 20.0},
    )
