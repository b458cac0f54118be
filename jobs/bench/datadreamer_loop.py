"""datadreamer's generator at work. Runs in the peer's environment, with this one's packages behind its own:

python -P datadreamer_loop.py MODEL FOLDER...

It answers lines as `diffusers_loop` does, and throws its images away.
What is borrowed is imported in functions, when the folders are known.
"""

import json
import os
import sys
import time
from contextlib import redirect_stdout
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported: a bar a picture


def build(model: str) -> Any:
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
    generator = Local(prompt_suffix="", negative_prompt="", batch_size=1, device="cpu")
    generator.base.set_progress_bar_config(disable=True)
    return generator


def main() -> None:
    model = sys.argv[1]
    sys.path.extend(sys.argv[2:])
    with redirect_stdout(sys.stderr):  # where compel prints that it is deprecated
        generator = build(model)
        with_pictures(generator, 1)
    print([], flush=True)
    for line in sys.stdin:
        generator.batch_size, count = map(int, line.split())
        began, spent = time.time(), time.process_time()
        with_pictures(generator, count)
        print(json.dumps([began, time.time(), time.process_time() - spent]), flush=True)


def with_pictures(generator: Any, count: int) -> None:
    prompts = [f"a red circle {number}" for number in range(count)]
    nothing_to_stress: list[list[str]] = [[] for _ in prompts]  # without it 0.2.3 fails over None
    made = sum(len(batch) for batch in generator.generate_images(prompts, nothing_to_stress))
    if made != count:
        raise RuntimeError(f"datadreamer made {made} pictures of {count} prompts")


if __name__ == "__main__":
    main()
