"""`imagegen bench --suite gpu`: the generator beside a plain diffusers loop, on models of true size.

It needs torch, transformers, diffusers and pillow, nothing else: on a machine that has no more,
`python -m jobs.bench.gpu` in a copy of this tree runs it. Both sides run the same weights in bfloat16 in one process,
with the same steps and sizes: first the plain loop at every batch size, then the generator, whose preparation changes
the pipeline, then the generator with compiled blocks where that is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from imagen_model.devices import choose_device
from imagen_model.open_models.loading import quiet
from imagen_model.open_models.micro_batch import free
from imagen_model.open_models.options import ModelOptions
from pipelines.errors import InvalidJob

from .gpu_figures import measured_peak, picture_flops, stated_peak
from .gpu_loops import Draw, our_loop, own_kernels, plain_loop, timed
from .gpu_models import MODELS, Model, form_of, generator_of, make, parameters_of

BATCHES, TOY_BATCHES = (1, 2, 4, 8, 16), (1, 2)
TOY_SIDE, TOY_STEPS = 64, 2
DTYPE = torch.bfloat16


def measure_gpu(
    models: Sequence[str],
    batches: Sequence[int] | None = None,
    rounds: int = 3,
    toy: bool = False,
    compiled: bool = False,
) -> dict[str, Any]:
    """Args:
    models: of `gpu_models.MODELS`.
    batches: pictures together, in growing order; None for the suite's own.
    rounds: timed runs of each, after one that warms up.
    toy: tiny networks, to see on any machine that all of it runs.
    compiled: the generator with compiled blocks too; minutes for each batch size.

    Raises:
        InvalidJob: models of true size, and no GPU.
    """
    quiet()
    device = choose_device("auto")
    if device.type == "cpu" and not toy:
        raise InvalidJob("models of true size need a GPU, and torch sees none here; give --toy to see that all runs")
    stated = stated_peak(device)
    peak = stated or measured_peak(device, DTYPE)
    found: dict[str, Any] = {}
    for name in models:
        model = replace(MODELS[name], side=TOY_SIDE, steps=TOY_STEPS) if toy else MODELS[name]
        made = make(model, toy, device, DTYPE)
        found[name] = measure_model(made, model, batches or (TOY_BATCHES if toy else BATCHES), rounds, compiled, peak)
        del made
        free(device)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "dtype": str(DTYPE).removeprefix("torch."),
        "toy": toy,
        "peak_teraflops": peak / 1e12,
        "peak_is": "the maker's, dense" if stated else "of a matrix product, measured",
        "models": found,
    }


def measure_model(
    made: Any, model: Model, batches: Sequence[int], rounds: int, compiled: bool, peak: float
) -> dict[str, Any]:
    device, fixed = made.device, form_of(made).fixed
    work = picture_flops(lambda steps: plain_loop(made, model, fixed, steps)(1), model.steps)

    def ours(batch: int, compile: bool) -> Draw:
        return our_loop(generator_of(made, ModelOptions(micro_batch=batch, compile=compile), device), model)

    loops: dict[str, Callable[[int], Draw]] = {
        "plain": lambda batch: plain_loop(made, model, fixed, model.steps),
        "generator": lambda batch: ours(batch, False),
    }
    if compiled:
        loops["generator, compiled"] = lambda batch: ours(batch, True)
    rows = []
    for loop, draw_of in loops.items():
        for batch in batches:
            with own_kernels():
                speed = timed(draw_of(batch), batch, rounds, device)
            if speed is None:  # nor will a larger one fit
                break
            share = speed.images_per_second * work / peak
            rows.append({"loop": loop, "batch": batch, **asdict(speed), "share_of_peak": share})
    best = {loop: max((row["images_per_second"] for row in rows if row["loop"] == loop), default=0.0) for loop in loops}
    return {
        "parameters": parameters_of(made),
        "side": model.side,
        "steps": model.steps,
        "teraflops_a_picture": work / 1e12,
        "rows": rows,
        # Each loop at the batch size that suits it best.
        "times_plain": {loop: rate / best["plain"] for loop, rate in best.items() if best["plain"]},
    }


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    peak = f"{found['peak_teraflops']:.4g} TFLOP/s ({found['peak_is']})"
    lines = [
        f"{found['device']}, torch {found['torch']}, {found['dtype']}; peak {peak}",
        "",
        "| model | loop | batch | images/s | of peak | memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, model in found["models"].items():
        what = f"{name}, {model['side']}x{model['side']}, {model['steps']} steps"
        for row in model["rows"]:
            memory = "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**30:.1f} GiB"
            speed, share = f"{row['images_per_second']:.3g}", f"{row['share_of_peak']:.1%}"
            lines.append(f"| {what} | {row['loop']} | {row['batch']} | {speed} | {share} | {memory} |")
    for name, model in found["models"].items():
        times = ", ".join(f"{loop} {ratio:.2f}" for loop, ratio in model["times_plain"].items())
        lines.append(f"\n{name}: {model['teraflops_a_picture']:.3g} TFLOP a picture; at its best batch: {times}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m jobs.bench.gpu", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--batches", nargs="+", type=int, help="pictures together; default 1 2 4 8 16")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each")
    parser.add_argument("--toy", action="store_true", help="tiny networks, to see that all of it runs")
    parser.add_argument("--compile", action="store_true", help="the generator with compiled blocks too")
    given = parser.parse_args(arguments)
    try:
        found = measure_gpu(given.models, given.batches, given.rounds, given.toy, given.compile)
    except InvalidJob as problem:
        parser.error(str(problem))
    print(table(found), file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
