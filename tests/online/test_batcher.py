"""Batching alone, with generators whose behaviour the test holds in its hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any

import pytest

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import Failure, GenerationRequest, InvalidRequest, Result, Success
from pipelines.online.batcher import Batcher, DeadlineExceeded, QueueFull


class Gated(FlatColourGenerator):
    """Notes each batch and waits before it until the gate opens; `BOOM` in a prompt raises."""

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__(batch_size)
        self.gate = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.batches: list[list[str]] = []

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Result]:
        self.batches.append([request.prompt for request in requests])
        self.entered.release()
        self.gate.acquire()
        if any("BOOM" in request.prompt for request in requests):
            raise RuntimeError("boom")
        return super().generate(requests)

    def open(self, times: int = 1000) -> None:
        self.gate.release(times)


class Grouped(Gated):
    def group_key(self, request: GenerationRequest) -> Hashable:
        if "long" in request.prompt:
            raise InvalidRequest("prompt_too_long", "too long")  # type: ignore[arg-type]
        return request.prompt[0]

    def group_size(self, key: Hashable) -> int:
        return 2


def asked(*prompts: str, **parameters: Any) -> list[GenerationRequest]:
    return [GenerationRequest(prompt, 1, **parameters) for prompt in prompts]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


async def busy(generator: Gated, batcher: Batcher) -> asyncio.Future[Any]:
    """The model is held in a batch of its own when this returns."""
    (first,) = batcher.submit(asked("first"))
    await asyncio.to_thread(generator.entered.acquire)
    return first


def test_an_idle_model_takes_a_lone_request_and_a_busy_one_finds_a_full_batch() -> None:
    async def check() -> None:
        generator = Gated()
        batcher = Batcher(generator)
        await busy(generator, batcher)
        futures = batcher.submit(asked("a", "b", "c")) + batcher.submit(asked("d", "e"))
        generator.open()
        drawn = await asyncio.gather(*futures)
        assert generator.batches == [["first"], ["a", "b", "c", "d"], ["e"]]
        assert [one.batch for one in drawn] == [4, 4, 4, 4, 1]
        alone = FlatColourGenerator().generate(asked("d"))[0]
        assert isinstance(alone, Success) and isinstance(drawn[3].result, Success)
        assert drawn[3].result.image.tobytes() == alone.image.tobytes()
        assert batcher.queued == batcher.running == 0 and not batcher.groups

    run(check)


def test_a_long_group_does_not_hold_up_a_short_one() -> None:
    async def check() -> None:
        generator = Grouped(batch_size=8)
        batcher = Batcher(generator)
        await busy(generator, batcher)
        futures = batcher.submit(asked("a1", "a2", "a3", "a4", "a5", "a6")) + batcher.submit(asked("b1"))
        futures += batcher.submit(asked("c1"))
        generator.open()
        await asyncio.gather(*futures)
        assert generator.batches[1:] == [["a1", "a2"], ["b1"], ["c1"], ["a3", "a4"], ["a5", "a6"]]

    run(check)


def test_sizes_do_not_share_a_batch_where_the_generator_does_not_say() -> None:
    async def check() -> None:
        generator = Gated()
        batcher = Batcher(generator)
        await busy(generator, batcher)
        futures = batcher.submit([*asked("a"), *asked("b", width=16, height=16), *asked("c")])
        generator.open()
        await asyncio.gather(*futures)
        assert generator.batches[1:] == [["a", "c"], ["b"]]

    run(check)


def test_what_raises_fails_alone() -> None:
    async def check() -> None:
        generator = Gated()
        generator.open()
        batcher = Batcher(generator)
        results = [one.result for one in await asyncio.gather(*batcher.submit(asked("a", "BOOM", "c", "d")))]
        assert [isinstance(result, Success) for result in results] == [True, False, True, True]
        assert isinstance(results[1], Failure) and "boom" in results[1].message

    run(check)


def test_a_cancelled_request_costs_nothing_and_frees_its_place() -> None:
    async def check() -> None:
        generator = Gated()
        batcher = Batcher(generator, max_queue=2)
        await busy(generator, batcher)
        one, two = batcher.submit(asked("one", "two"))
        with pytest.raises(QueueFull):
            batcher.submit(asked("three"))
        one.cancel()
        await asyncio.sleep(0)
        assert batcher.queued == 1
        (three,) = batcher.submit(asked("three"))
        two.cancel()  # taken in the same turn of the loop
        generator.open()
        await three
        assert generator.batches[1:] == [["three"]]
        assert batcher.queued == 0

    run(check)


def test_all_of_a_call_or_nothing_is_queued() -> None:
    async def check() -> None:
        generator = Grouped()
        batcher = Batcher(generator, max_queue=3)
        await busy(generator, batcher)
        with pytest.raises(QueueFull):
            batcher.submit(asked("a", "b", "c", "d"))
        with pytest.raises(InvalidRequest):
            batcher.submit(asked("a", "long"))
        with pytest.raises(InvalidRequest):
            batcher.submit(asked("a", width=3, height=3))
        assert batcher.queued == 0
        generator.open()

    run(check)


def test_a_deadline_that_passed_while_waiting_costs_nothing() -> None:
    async def check() -> None:
        generator = Gated()
        batcher = Batcher(generator)
        await busy(generator, batcher)
        (late,) = batcher.submit(asked("late"), seconds=0.0)
        (patient,) = batcher.submit(asked("patient"), seconds=600.0)
        generator.open()
        await patient
        with pytest.raises(DeadlineExceeded):
            await late
        assert generator.batches[1:] == [["patient"]]

    run(check)


def test_closing_waits_for_what_runs_and_cancels_what_waits() -> None:
    async def check() -> None:
        generator = Gated()
        batcher = Batcher(generator)
        first = await busy(generator, batcher)
        (waiting,) = batcher.submit(asked("waiting"))
        generator.open()
        await batcher.close()
        assert first.done() and not first.cancelled() and waiting.cancelled()

    run(check)


def test_what_can_wait_takes_only_places_that_are_left() -> None:
    async def check() -> None:
        generator = Grouped()
        batcher = Batcher(generator)
        await busy(generator, batcher)
        futures = batcher.submit(asked("a1", "a2", "a3", "b1"), later=True)
        futures += batcher.submit(asked("a4", "c1", "c2", "c3"))
        generator.open()
        await asyncio.gather(*futures)
        assert generator.batches[1:] == [["a4", "a1"], ["c1", "c2"], ["c3"], ["b1"], ["a2", "a3"]]

    run(check)


def test_clients_that_were_answered_together_are_waited_for_a_moment() -> None:
    """Five milliseconds apart, after a batch of three that took 1.5 seconds: one batch. A lone one is not held up."""

    async def test() -> None:
        generator = Gated()
        batcher = Batcher(generator)
        together = batcher.submit(asked("a", "b", "c"))
        await asyncio.to_thread(generator.entered.acquire)
        await asyncio.sleep(1.5)
        generator.open()
        await asyncio.gather(*together)
        again = []
        for prompt in ("d", "e", "f"):
            again += batcher.submit(asked(prompt))
            await asyncio.sleep(0.005)
        await asyncio.gather(*again)
        assert generator.batches == [["a", "b", "c"], ["d", "e", "f"]]

        (lone,) = batcher.submit(asked("g"))
        await lone  # held for what is left of the moment, at most
        for prompt in ("h", "i"):
            (done,) = batcher.submit(asked(prompt))
            drawn = await done
            assert drawn.waited < 0.05 and drawn.batch == 1
        await batcher.close()

    run(test)
