"""Models from the hub, by `owner/name` or `owner/name@revision`, through huggingface_hub and its cache."""

from __future__ import annotations

import json
from pathlib import Path

from .open_models.folder import INDEX, wanted_files


def download_from_hub(name: str) -> Path | None:
    """The local copy of a hub repository `owner/name` or `owner/name@revision`, fetched if need be; None where there
    is none.

    Raises:
        UnusableModel: it is a diffusers model that this program does not load.
        NotInstalled: it is one, and diffusers is missing.
    """
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        return None
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot(repository, revision or None)
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None
    return folder


def snapshot(repository: str, revision: str | None) -> Path:
    """Of a diffusers model exactly the files that it loads, which in a hub's repository are a part of all."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        index = json.loads(Path(hf_hub_download(repository, INDEX, revision=revision)).read_bytes())
    except (EntryNotFoundError, LocalEntryNotFoundError):
        patterns = ["*.json", "*.safetensors", "*.txt"]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    try:
        names = HfApi().list_repo_files(repository, revision=revision)
    except OSError:  # no network: what was fetched before must do
        return Path(snapshot_download(repository, revision=revision, local_files_only=True))
    wanted = wanted_files(names, {"": index}, repository)
    return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
