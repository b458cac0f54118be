"""A model of the hub as jobs and servers hold it: pinned by commit and content, fetched by every node that loads it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from .generation import Generator, RequestRules
from .hub import HubSnapshot
from .open_models.folder import UnusableModel
from .open_models.options import NO_OPTIONS, ModelOptions


@dataclass(frozen=True, slots=True)
class HubModel:
    """Args:
    content: `catalog.folder_revision` of the files that the driver saw; the revision counts options too.

    The other fields are those of `imagen_model.catalog.ModelSource`.
    """

    snapshot: HubSnapshot
    content: str
    name: str
    revision: str
    rules: RequestRules
    options: ModelOptions = NO_OPTIONS

    def load(self, batch_size: int | None = None, device: str = "auto") -> Generator:
        """As `ModelSource.load`; the files are fetched first where this node does not have them.

        Raises:
            UnusableModel: they cannot be fetched, or are not those that the driver saw.
        """
        from .catalog import loadable

        return loadable(self.folder(), self.name, self.revision, self.rules, self.options).load(batch_size, device)

    def folder(self) -> Path:
        """Where this node has the model. Raises as `load`."""
        return on_this_node(self.snapshot, self.content)


def on_this_node(snapshot: HubSnapshot, content: str, inside: str = "") -> Path:
    """The folder `inside` the snapshot, which is fetched first where this node does not have it.

    Args:
        content: `catalog.folder_revision` of that folder as the driver saw it.

    Raises:
        UnusableModel: it cannot be fetched, or is another one.
    """
    held = snapshot.held()
    if held is not None:
        return held / inside
    from .catalog import folder_revision

    folder = snapshot.fetch()
    found = folder_revision(folder / inside)
    if found != content:
        raise UnusableModel(
            f"{snapshot.repository} as {socket.gethostname()} fetched it is not what the run began with (revision "
            f"{found} instead of {content}); remove {folder} there and run the same command again"
        )
    return folder / inside
