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
from .hub import HubSnapshot, find_on_hub
from .hub_model import HubModel
from .nearest import did_you_mean
from .open_models.folder import FIRST_STAGE, INDEX, UnusableModel, check_here, is_diffusers, model_files
from .open_models.options import NO_OPTIONS, ModelOptions
from .open_models.rules import read_model
from .open_models.signature import NotInstalled
from .open_models.source import DiffusersSource, revision_with
from .post_processing import COLORIZE, FINISHING

BUNDLED = Path(__file__).parent / "checkpoints"
# Never published by Google (arXiv 2205.11487 came without code or weights), yet asked for by many.
UNPUBLISHED = "google/imagen-text-to-image"
CONFIG = "config.json"
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
        check_here(self.folder)
        from .imagen_generator import ImagenGenerator

        return ImagenGenerator.from_folder(self.folder, batch_size=batch_size, device=device)


def bundled_models() -> list[str]:
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{CONFIG}"))


def used_name(name: str) -> str:
    """The name of the model really used: `google/imagen-text-to-image` becomes the bundled one."""
    return DEFAULT_MODEL if name == UNPUBLISHED else name


def is_model(folder: Path) -> bool:
    """Whether the folder says of itself that it is one."""
    return (folder / CONFIG).is_file() or holds_diffusers(folder)


def holds_diffusers(folder: Path) -> bool:
    return is_diffusers([name for name in (INDEX, FIRST_STAGE) if (folder / name).is_file()])


def find_folder(name: str) -> Path:
    """The folder of a bundled model, of a folder given by path, or of a model in the local hub cache.

    Raises:
        ModelNotFound: there is none of that name.
    """
    return find_place(name)[0]


def find_place(name: str) -> tuple[Path, HubSnapshot | None]:
    """The folder, and where on the hub it is from. Raises as `find_folder`."""
    if name == UNPUBLISHED:
        warnings.warn(
            f"{UNPUBLISHED} was never published by Google; using the bundled {DEFAULT_MODEL} instead", stacklevel=4
        )
    name = used_name(name)
    for folder in (BUNDLED / name, Path(name).expanduser()):
        if is_model(folder):
            return folder, None
    if Path(name).expanduser().is_dir():
        raise ModelNotFound(
            f"the folder {name} holds neither {CONFIG} nor {INDEX}; give one written by Imagen.save_pretrained or "
            "by a diffusers pipeline"
        )
    try:
        snapshot = find_on_hub(name)
    except (UnusableModel, NotInstalled) as error:
        raise ModelNotFound(str(error)) from error
    fetched = None if snapshot is None else snapshot.held()
    if fetched is not None and is_model(fetched):
        return fetched, snapshot
    known = [*bundled_models(), FLAT_COLOUR]
    raise ModelNotFound(
        f"no model called {name!r}; give one of the bundled ({', '.join(known)}), a folder written by "
        "Imagen.save_pretrained or by a diffusers pipeline, or the hub id of such a model"
        f"{did_you_mean(name, known)}"
    )


def find_model(name: str, options: ModelOptions = NO_OPTIONS) -> ModelSource | DiffusersSource | HubModel:
    """The model of that name.

    Args:
        name: a bundled model (`imagen-small`), `flat-colour`, a folder, or a hub id with or without `@revision`.
        options: of diffusers models.

    Raises:
        ModelNotFound: there is none, or the folder holds another kind of model, or one that does not take the options.
    """
    if name == FLAT_COLOUR:
        refuse_options(FLAT_COLOUR, options)
        return ModelSource(FLAT_COLOUR, None, "flat-colour-1", FlatColourGenerator.rules)
    folder, snapshot = find_place(name)
    # A path differs between machines, so the manifest names a user's own folder by its last part only.
    used = used_name(name)
    shown = used if used in bundled_models() or ("/" in used and not Path(used).exists()) else folder.resolve().name
    content = folder_revision(folder)
    model = model_in(folder, shown, content, str(folder), options)
    if snapshot is None:
        return model
    return HubModel(snapshot, content, model.name, model.revision, model.rules, options)


def model_in(
    folder: Path, name: str, revision: str, place: str, options: ModelOptions = NO_OPTIONS
) -> ModelSource | DiffusersSource:
    """The model whose files lie in the folder.

    Args:
        name: as manifests state it.
        revision: of its files.
        place: where it is from, for messages.

    Raises:
        ModelNotFound: as `find_model`.
    """
    if not holds_diffusers(folder):
        refuse_options(name, options)
        return ModelSource(name, str(folder), revision, read_rules((folder / CONFIG).read_bytes(), place))
    try:
        rules, _, _ = read_model(folder, place, options)
        return DiffusersSource(name, str(folder), revision_with(revision, options), rules, options)
    except (UnusableModel, NotInstalled) as error:
        raise ModelNotFound(str(error)) from error


def loadable(
    folder: Path, name: str, revision: str, rules: RequestRules, options: ModelOptions
) -> ModelSource | DiffusersSource:
    """The model in a folder, of which everything is known already."""
    if holds_diffusers(folder):
        return DiffusersSource(name, str(folder), revision, rules, options)
    return ModelSource(name, str(folder), revision, rules)


def refuse_options(name: str, options: ModelOptions) -> None:
    given = ", ".join(options.given())
    if given:
        raise ModelNotFound(f"{name} is no diffusers model and takes none of its settings ({given}); leave them out")


def decides_pictures(name: str) -> bool:
    """Whether the file, by its name in the folder, is part of what draws: configuration, tokenizer or weights; the
    captioner's too, which may choose among candidates."""
    return PurePosixPath(name).suffix in {".json", ".safetensors", ".txt"}


def folder_revision(folder: Path) -> str:
    """Hash over every file that decides what a picture looks like (hex, 16 digits).

    Raises:
        ModelNotFound: it is a diffusers model that this program does not load.
    """
    digests = {}
    for name in deciding_files(folder):
        with (folder / name).open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").digest()
    return revision_of(digests)


def deciding_files(folder: Path) -> list[str]:
    if holds_diffusers(folder):
        try:
            return model_files(folder, str(folder))
        except (UnusableModel, NotInstalled) as error:
            raise ModelNotFound(str(error)) from error
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in names if decides_pictures(name)]


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
    if not config.get("denoiser") or config.get("judge"):
        defaults.setdefault("best_of", 1)  # a denoising base has no likelihood to choose by, but may have a CLIP
    last = stages[-1].image_size if stages else base
    final = last * int(config.get("display_factor", 8))
    # A base's few large cells can be shown at any of these sizes.
    largest = max(ENLARGED * last, 32 * base)
    others = [base * 2**power for power in range(16) if base * 2**power <= largest]
    return RequestRules(
        sizes=tuple((side, side) for side in (final, *(side for side in others if side != final))),
        defaults=defaults,
        limits={"guidance_scale": 20.0},
        post_processing=FINISHING if config.get("denoiser") else (COLORIZE, *FINISHING),
    )
