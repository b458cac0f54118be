"""`imagegen bench`: measurements side by side in one run; medians of interleaved rounds; one JSON line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.errors import InvalidJob

from ..console import print_json, say
from ..exit_codes import ExitCode

PARTS = ("pipeline", "encoder", "memory", "decoder")
# Minutes; only when asked for.
LONG_PARTS = (
    "scale",
    "object-store",
    "img2dataset",
    "serve",
    "litserve",
    "sleeping",
    "cluster",
    "imagen-pytorch",
    "diffusers",
    "datadreamer",
)


def bench_command(images: int, rounds: int, parts: Sequence[str], model: str | None = None) -> int:
    known = (*PARTS, *LONG_PARTS)
    unknown = [part for part in parts if part not in known]
    if unknown:
        raise InvalidJob(f"no part of the benchmark is called {', '.join(unknown)}; known are: {', '.join(known)}")
    chosen = parts or PARTS
    found: dict[str, object] = {}
    if "decoder" in chosen:
        from .decoder import measure_decoder

        say("decoder: the cache beside recomputing, and beside the memory's speed")
        found["decoder"] = measure_decoder(rounds)
    if "pipeline" in chosen:
        from .throughput import measure_pipeline

        say(f"pipeline: {images} images through Ray Data beside the bare model, {rounds} rounds each in turn")
        found["pipeline"] = measure_pipeline(images, rounds)
    if "encoder" in chosen:
        from .throughput import measure_encoder

        say("encoder: a flat-colour generator through the pipeline beside the encoder alone")
        found["encoder"] = measure_encoder(rounds)
    if "memory" in chosen:
        from .memory import measure_memory

        say("memory: the driver's peak with 10,000 and with 1,000,000 rows")
        found["memory"] = measure_memory()
    if "scale" in chosen:
        from .scale import measure_scale

        say("scale: plan, resume and status of runs with up to 10,000,000 rows that are half done")
        found["scale"] = measure_scale(rounds)
    if "object-store" in chosen:
        from .object_store import measure_object_store

        say("object-store: the same job to a bucket and to the local disk, in turn")
        found["object-store"] = measure_object_store(rounds)
    if "img2dataset" in chosen:
        from .img2dataset import measure_img2dataset

        say("img2dataset: flat colours into tar shards, beside img2dataset 1.47 from local files on the same cores")
        found["img2dataset"] = measure_img2dataset(rounds)
    if "serve" in chosen:
        from .serve import measure_serve

        say(f"serve: {images} images, the online server beside the bare model, {rounds} rounds in turn")
        found["serve"] = measure_serve(images, rounds)
    if "litserve" in chosen:
        from .litserve import measure_litserve

        say(f"litserve: {images} images, the online server beside LitServe 0.2, {rounds} rounds in turn")
        found["litserve"] = measure_litserve(images, rounds)
    if "sleeping" in chosen:
        from .sleeping import measure_sleeping

        say("sleeping: eight replicas that sleep behind the online server, beside their ideal")
        found["sleeping"] = measure_sleeping(rounds)
    if "cluster" in chosen:
        from .cluster import measure_cluster

        say("cluster: a model that sleeps on 1 to 8 nodes with one logical GPU each; seven minutes, once")
        found["cluster"] = measure_cluster()
    if "imagen-pytorch" in chosen:
        from .imagen_pytorch import measure_imagen_pytorch

        say(f"imagen-pytorch: a cascade 64 -> 256 beside imagen-pytorch 2.1 of the same size, {rounds} rounds in turn")
        found["imagen-pytorch"] = measure_imagen_pytorch(rounds)
    if "diffusers" in chosen:
        from .diffusers import measure_diffusers

        say(f"diffusers: {images} images, the pipeline beside a bare loop at its best batch, {rounds} rounds in turn")
        found["diffusers"] = measure_diffusers(images, rounds, model)
    if "datadreamer" in chosen:
        from .datadreamer import measure_datadreamer

        say(f"datadreamer: {images} images, the pipeline beside datadreamer 0.2.3's generator, {rounds} rounds in turn")
        found["datadreamer"] = measure_datadreamer(images, rounds)
    print_json(found)
    return ExitCode.SUCCESS


def suite_command(suite: str, rounds: int, compiled: bool, toy: bool) -> int:
    if suite != "gpu":
        raise InvalidJob(f"no suite of the benchmark is called {suite!r:.40}; known is: gpu")
    from .gpu import MODELS, measure_gpu, table

    say("gpu: the generator beside a plain diffusers loop, batches of 1 to 16; the networks' weights are random")
    figures = measure_gpu(list(MODELS), rounds=rounds, toy=toy, compiled=compiled)
    say(table(figures))
    print_json({"gpu": figures})
    return ExitCode.SUCCESS
