"""datadreamer's generator at work. Runs in the peer's environment, with this one's packages behind its own:

python -P datadreamer_loop.py MODEL BATCH COUNT FOLDER...

It says when it has warmed up, waits for a line, makes its images and throws them away, as `diffusers_loop` does.
What is borrowed is imported in functions, when the folders are known.
"""

import json
import sys
import time
from contextlib import redirect_stdout
from typing import Any


def build(model: str, batch: int) -> Any:
    """Its generator of SDXL-Turbo, with the weights of `model` in place of those that it would ask the hub for."""
    import torch
    from datadreamer.image_generation.sdxl_turbo_image_generator import StableDiffusionTurboImageGenerator
    from diffusers import AutoPipelineForText2Image
    from diffusers.utils.logging import disable_progress_bar

    class Local(StableDiffusionTurboImageGenerator):  # type: ignore[misc]
        def _init_gen_model(self) -> Any:
            return AutoPipelineForText2Image.from_pretrained(model, use_safetensors=True)

    torch.set_num_threads(1)
    disable_progress_bar()
    generator = Local(prompt_suffix="", negative_prompt="", batch_size=batch, device="cpu")
    generator.base.set_progress_bar_config(disable=True)
    return generator


def main() -> None:
    model, batch, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.path.extend(sys.argv[4:])
    prompts = [f"a red circle {number}" for number in range(count)]
    with redirect_stdout(sys.stderr):  # where compel prints that it is deprecated
        generator = build(model, batch)
        with_pictures(generator, prompts[:batch])
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.time()
    with_pictures(generator, prompts)
    print(json.dumps([began, time.time()]), flush=True)


def with_pictures(generator: Any, prompts: list[str]) -> None:
    nothing_to_stress: list[list[str]] = [[] for _ in prompts]  # without it 0.2.3 fails over None
    made = sum(len(batch) for batch in generator.generate_images(prompts, nothing_to_stress))
    if made != len(prompts):
        raise RuntimeError(f"datadreamer made {made} pictures of {len(prompts)} prompts")


if __name__ == "__main__":
    main()
