"""Models from the hub, by `owner/name` or `owner/name@revision`, through huggingface_hub and its cache.

The driver finds out which commit and which files a model is; every node that loads it fetches those for itself.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .open_models.folder import (
    FIRST_STAGE,
    INDEX,
    UnusableModel,
    file_names,
    is_diffusers,
    read_json,
    stages_of,
    wanted_files,
)

NATIVE = {".json", ".safetensors", ".txt"}  # files of models that are not diffusers'


@dataclass(frozen=True, slots=True)
class HubSnapshot:
    """One commit of a hub's repository, and those of its files that a model is loaded from."""

    repository: str
    commit: str
    files: tuple[str, ...]

    def held(self) -> Path | None:
        """The folder in this node's cache, if it has all files."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        files = list(self.files)
        try:
            found = snapshot_download(
                self.repository, revision=self.commit, allow_patterns=files, local_files_only=True
            )
        except LocalEntryNotFoundError:
            return None
        folder = Path(found)
        return folder if all((folder / name).is_file() for name in self.files) else None

    def fetch(self) -> Path:
        """The folder in this node's cache, fetched if need be; the cache's own locks let one process fetch a file.

        Raises:
            UnusableModel: they cannot be fetched.
        """
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HTTPError

        trouble = "the hub does not answer"
        try:
            snapshot_download(self.repository, revision=self.commit, allow_patterns=list(self.files))
        except (OSError, HTTPError) as error:
            trouble = str(error)
        folder = self.held()  # older caches without a network give what is there as if it were all
        if folder is None:
            raise UnusableModel(
                f"{self.repository} at commit {self.commit[:12]} cannot be fetched from the hub on "
                f"{socket.gethostname()} ({trouble}); every node that has workers needs the network and, for a gated "
                "model, HF_TOKEN; or give the model as a URL, or as a folder that every node sees"
            )
        return folder


def find_on_hub(name: str) -> HubSnapshot | None:
    """A hub repository `owner/name` or `owner/name@revision`, in this node's cache when this returns; None where there
    is none.

    Raises:
        UnusableModel: it is a diffusers model that this program does not load, or its terms were not accepted.
        NotInstalled: it is one, and diffusers is missing.
    """
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        return None
    from huggingface_hub.errors import GatedRepoError, HFValidationError, HTTPError

    try:
        return snapshot(repository, revision or "main")
    except GatedRepoError as error:
        raise UnusableModel(
            f"the hub keeps {repository} for those who accept its terms: accept its terms on its page there, and give "
            "your token (HF_TOKEN, or `hf auth login`)"
        ) from error
    except (HFValidationError, HTTPError, OSError):
        return None


def snapshot(repository: str, revision: str) -> HubSnapshot | None:
    """Of a diffusers model exactly the files that it loads, which in a hub's repository are a part of all."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        about = HfApi().model_info(repository, revision=revision)
    except HfHubHTTPError:
        raise
    except (OSError, HTTPError):  # no network: what was fetched before must do
        return fetched_before(repository, revision)
    names = [file.rfilename for file in about.siblings or ()]
    if is_diffusers(names):
        stages = stages_of(names)
        indexes = {
            stage: read_json(Path(hf_hub_download(repository, stage + INDEX, revision=revision))) for stage in stages
        }
        files = wanted_files(names, indexes, repository)
    else:
        files = [name for name in names if PurePosixPath(name).suffix in NATIVE]
    folder = Path(snapshot_download(repository, revision=revision, allow_patterns=files))
    return HubSnapshot(repository, folder.name, tuple(files))


def fetched_before(repository: str, revision: str) -> HubSnapshot | None:
    """What this node's cache holds of it, which is as much as an earlier run needed."""
    from huggingface_hub import try_to_load_from_cache

    for name in (INDEX, FIRST_STAGE, "config.json"):
        found = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            folder = Path(found).parents[name.count("/")]
            return HubSnapshot(repository, folder.name, tuple(file_names(folder)))
    return None
