"""Which of the files at some place, a bucket say, are a model's, before gigabytes of them are fetched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath

from .catalog import CONFIG, ModelNotFound, decides_pictures, read_rules, refuse_options
from .open_models.folder import (
    INDEX,
    SAFE,
    SMALL,
    UNSAFE,
    UnusableModel,
    is_diffusers,
    read_json,
    stages_of,
    wanted_files,
)
from .open_models.options import ModelOptions
from .open_models.rules import read_model
from .open_models.signature import NotInstalled


def relevant_files(names: Iterable[str]) -> list[str]:
    """Those of the files at some place that can be a model's."""
    found = list(names)
    if is_diffusers(found):
        return [name for name in found if PurePosixPath(name).suffix in {*SMALL, *UNSAFE, SAFE}]
    return [name for name in found if decides_pictures(name)]


def files_to_fetch(
    names: Collection[str], fetch: Callable[[str], object], folder: Path, place: str, options: ModelOptions
) -> list[str]:
    """Those of a model's files that are loaded; what is no model, or none for these options, is refused before its
    weights are fetched.

    Args:
        names: as `relevant_files` gives them.
        fetch: puts the file of that name into `folder`.

    Raises:
        ModelNotFound: there is none that this program loads.
    """
    try:
        if is_diffusers(names):
            return diffusers_files(names, fetch, folder, place, options)
    except (UnusableModel, NotInstalled) as error:
        raise ModelNotFound(str(error)) from error
    if CONFIG not in names:
        held = ", ".join(list(names)[:3]) or "no file of a model"
        raise ModelNotFound(
            f"no model at {place}: it holds {held}, but no {CONFIG} or {INDEX}; give a folder written by "
            "Imagen.save_pretrained or by a diffusers pipeline"
        )
    refuse_options(place, options)
    fetch(CONFIG)
    read_rules((folder / CONFIG).read_bytes(), place)
    return list(names)


def diffusers_files(
    names: Collection[str], fetch: Callable[[str], object], folder: Path, place: str, options: ModelOptions
) -> list[str]:
    stages = stages_of(names)
    for stage in stages:
        fetch(stage + INDEX)
    wanted = wanted_files(names, {stage: read_json(folder / stage / INDEX) for stage in stages}, place)
    for name in wanted:
        if PurePosixPath(name).suffix in SMALL:
            fetch(name)
    read_model(folder, place, options, wanted)
    return wanted
