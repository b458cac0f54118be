"""imagen-pytorch at work. Runs in the peer's environment, with this one's packages behind its own, in a folder that
holds the configuration which it would ask the hub for:

python -P imagen_pytorch_sampler.py THREADS CASCADE FOLDER...

The first line that it prints holds the parameters of each stage; then, for every number of pictures that it reads, a
line holds the seconds of each stage and of the whole call.
What is borrowed is imported in functions, when the folders are known.
"""

import json
import sys
import time
from typing import Any


def build(cascade: dict[str, Any], threads: int) -> Any:
    """Its own cascade, which notes what each stage takes."""
    import torch

    torch.set_num_threads(threads)
    # torchvision's wheel is for a GPU's torch: its own operators do not load beside a CPU's, and it asks for these two
    # by name before it looks whether they are there. imagen-pytorch takes transforms from it, which need none.
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from imagen_pytorch import Imagen, Unet

    class Timed(Imagen):  # type: ignore[misc, valid-type]
        def p_sample_loop(self, *arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            pictures = super().p_sample_loop(*arguments, **named)
            self.spent.append(time.perf_counter() - began)
            return pictures

    imagen = Timed(
        unets=[Unet(**fields) for fields in cascade["unets"]],
        image_sizes=cascade["sizes"],
        text_embed_dim=cascade["text_size"],
        timesteps=cascade["steps"],
    )
    return imagen.eval()


def sample(imagen: Any, cascade: dict[str, Any], pictures: int) -> dict[str, Any]:
    import torch

    imagen.spent = []
    states = torch.randn(pictures, cascade["tokens"], cascade["text_size"])
    began = time.perf_counter()
    imagen.sample(text_embeds=states, cond_scale=cascade["guidance"], use_tqdm=False)
    return {"stages": imagen.spent, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    threads, cascade, *folders = sys.argv[1:]
    sys.path.extend(folders)
    asked = json.loads(cascade)
    answers, sys.stdout = sys.stdout, sys.stderr  # what imagen-pytorch prints is no answer
    peer = build(asked, int(threads))
    counts = [sum(part.numel() for part in unet.parameters()) for unet in peer.unets]
    print(json.dumps({"parameters": counts}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(sample(peer, asked, int(line))), file=answers, flush=True)
