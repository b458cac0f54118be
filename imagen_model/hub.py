"""Models from the hub, by `owner/name` or `owner/name@revision`, through huggingface_hub and its cache."""

from __future__ import annotations

import json
from pathlib import Path

from .open_models.folder import INDEX, UnusableModel, wanted_files


def download_from_hub(name: str) -> Path | None:
    """The local copy of a hub repository `owner/name` or `owner/name@revision`, fetched if need be; None where there
    is none.

    Raises:
        UnusableModel: it is a diffusers model that this program does not load, or its terms were not accepted.
        NotInstalled: it is one, and diffusers is missing.
    """
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        return None
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot(repository, revision or None)
    except GatedRepoError as error:
        raise UnusableModel(
            f"the hub keeps {repository} for those who accept its terms: accept its terms on its page there, and give "
            "your token (HF_TOKEN, or `hf auth login`)"
        ) from error
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None
    return folder


def snapshot(repository: str, revision: str | None) -> Path:
    """Of a diffusers model exactly the files that it loads, which in a hub's repository are a part of all."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HTTPError, LocalEntryNotFoundError

    try:
        index = Path(hf_hub_download(repository, INDEX, revision=revision))
    except (EntryNotFoundError, LocalEntryNotFoundError):
        patterns = ["*.json", "*.safetensors", "*.txt"]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    try:
        names = HfApi().list_repo_files(repository, revision=revision)
    except HfHubHTTPError:
        raise
    except (OSError, HTTPError):  # no network: what was fetched before must do
        return index.parent
    wanted = wanted_files(names, {"": json.loads(index.read_bytes())}, repository)
    return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
