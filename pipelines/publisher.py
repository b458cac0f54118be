"""Images are encoded and stored in background threads while the model makes the next ones.

The queue is bounded, so that pictures never pile up in memory before a slow store. What hits one object ends
as that row's failure; what hits the whole store is raised to the shard, which then stays uncommitted.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from imagen_model.generation import ErrorCode, Failure, Result, Success

from .content_credentials import ContentCredentials
from .encoding import EncodeFailed, Encoder
from .errors import StoreDenied, StoreFull, StoreUnavailable
from .formats import ShardWriter
from .manifest import SUCCESS, Entry
from .provenance import Provenance
from .storage import Store
from .work import Item, Recipe, failed_entry, item_entry

WAITING = 2  # groups a thread that may wait in the queue, beside the one it works on


@dataclass(slots=True)
class Published:
    """A group's entries, and the seconds of a thread that encoding and storing them took."""

    entries: list[Entry] = field(default_factory=list)
    encode: float = 0.0
    store: float = 0.0


class Publisher:
    """Threads that a worker keeps for all its shards.

    Attributes:
        broken: the error that hit the whole store, once one did.
    """

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        encoder: Encoder,
        worker: str,
        credentials: ContentCredentials | None = None,
    ) -> None:
        """Args:
        credentials: by which files are signed; None for no signing.
        """
        self.store, self.recipe, self.encoder, self.worker = store, recipe, encoder, worker
        self.credentials = credentials
        settings = recipe.settings
        self.provenance = Provenance(settings.model, settings.model_revision, settings.metadata)
        self.broken: StoreFull | StoreDenied | None = None
        self.threads = ThreadPoolExecutor(store.threads, thread_name_prefix="publish")
        self.room = threading.BoundedSemaphore(store.threads * (1 + WAITING))

    def submit(
        self, shard: int, writer: ShardWriter, items: Sequence[Item], results: Sequence[Result]
    ) -> list[Future[Published]]:
        """Take over one micro-batch's results, in a group for each thread; waits while the queue is full."""
        futures = []
        pairs = list(zip(items, results, strict=True))
        size = -(-len(pairs) // self.store.threads)
        for start in range(0, len(pairs), size):
            self.room.acquire()
            future = self.threads.submit(self.publish_group, shard, writer, pairs[start : start + size])
            future.add_done_callback(lambda _: self.room.release())
            futures.append(future)
        return futures

    def publish_group(self, shard: int, writer: ShardWriter, pairs: Sequence[tuple[Item, Result]]) -> Published:
        group = Published()
        for item, result in pairs:
            group.entries.append(self.publish(shard, writer, item, result, group))
        return group

    def publish(self, shard: int, writer: ShardWriter, item: Item, result: Result, group: Published) -> Entry:
        """The image's entry; the shard's writer has the picture when this returns, durable once it has finished.

        Args:
            group: that the time spent is added to.

        Raises:
            StoreFull, StoreDenied: no image could be stored.
        """
        entry = item_entry(item, shard, self.recipe, self.worker)
        if isinstance(result, Failure):
            return failed_entry(entry, result.code, result.message)
        try:
            return entry | self.store_image(writer, item, result, group)
        except EncodeFailed as error:
            return failed_entry(entry, ErrorCode.ENCODE_FAILED, str(error))
        except MemoryError as error:
            return failed_entry(entry, ErrorCode.OUT_OF_MEMORY, f"no memory to encode the picture: {error}")
        except (StoreFull, StoreDenied) as error:
            self.broken = error
            raise
        except StoreUnavailable as error:
            return failed_entry(entry, ErrorCode.UPLOAD_FAILED, str(error))

    def store_image(self, writer: ShardWriter, item: Item, result: Success, group: Published) -> Entry:
        begun = time.perf_counter()
        data = self.encoder.encode(result.image, self.provenance.label(item.request))
        if self.credentials is not None:
            data = self.credentials.sign(data, self.encoder.image_format)
        encoded = time.perf_counter()
        stored = writer.add(item.row, item.image_index, self.encoder.extension, data)
        group.encode += encoded - begun
        group.store += time.perf_counter() - encoded
        return stored | {
            "status": SUCCESS,
            "width": result.image.width,
            "height": result.image.height,
            "format": self.encoder.image_format,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "generation_ms": round(result.seconds * 1000, 3),
        }
