"""From the name that a user gives to the captioner that is used, without loading a weight and without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .catalog import CAPTIONER, DEFAULT_MODEL, ModelNotFound, bundled_models, find_place, folder_revision, used_name
from .hub import HubSnapshot
from .hub_model import on_this_node
from .open_models.folder import check_here

if TYPE_CHECKING:
    from .captioner import Captioner


@dataclass(frozen=True, slots=True)
class CaptionerSource:
    """A captioner that exists.

    Args:
        name: as a manifest may state it: never a path.
        folder: of its configuration, image processor, tokenizer and weights.
        revision: hash over all of them; captions of two revisions may differ.
        snapshot, inside: where the folder is from, and its path in there, for a captioner of the hub: every node that
            loads it fetches it for itself.
    """

    name: str
    folder: str
    revision: str
    snapshot: HubSnapshot | None = None
    inside: str = ""

    def load(self, batch_size: int | None = None, device: str = "auto") -> Captioner:
        """The captioner in memory.

        Args:
            batch_size: pictures computed together; None for the default.

        Raises:
            UnusableModel: this node does not see the folder, or cannot fetch what the driver saw.
        """
        if self.snapshot is None:
            check_here(self.folder)
            folder = self.folder
        else:
            folder = str(on_this_node(self.snapshot, self.revision, self.inside))
        from .captioner import TILE, Captioner

        return Captioner.from_pretrained(folder, batch_size or TILE, device)


def find_captioner(name: str) -> CaptionerSource:
    """Args:
        name: an Imagen that brings a captioner (`imagen-small`, or a folder with a subfolder `captioner/`), or the
            folder or hub id of a transformers image-to-text model.

    Raises:
        ModelNotFound: there is none; the message says what can be given instead.
    """
    folder, snapshot = find_place(name)
    own = folder / CAPTIONER
    if (own / "config.json").is_file():
        return CaptionerSource(shown(name, folder), str(own), folder_revision(own), snapshot, CAPTIONER)
    if json.loads((folder / "config.json").read_bytes()).get("model_type") == "imagen":
        raise ModelNotFound(
            f"{name} has no captioner; put a transformers image-to-text model into its folder {CAPTIONER}/, or give "
            f"{DEFAULT_MODEL} or the folder of such a model"
        )
    return CaptionerSource(shown(name, folder), str(folder), folder_revision(folder), snapshot)


def shown(name: str, folder: Path) -> str:
    """A path differs between machines, so a user's own folder is named by its last part only."""
    used = used_name(name)
    return used if used in bundled_models() or ("/" in used and not Path(used).exists()) else folder.resolve().name
