"""LitServe with the same generator. Runs in the peer's environment, with this one's packages behind its own:

python -P litserve_server.py PORT WORKERS BATCH TIMEOUT FOLDER...

Annotations are kept as what they are, because LitServe reads them.
"""

import base64
import os
import sys
from typing import Any

import litserve
from fastapi import Request


class Painter(litserve.LitAPI):  # type: ignore[misc]
    """Answers as `imagegen serve` does, in so far as the benchmark's client looks at it. What is imported in its
    methods is imported in workers, when they know the folders."""

    def setup(self, device: str) -> None:
        from imagen_model.catalog import find_model
        from pipelines.encoding import Encoder

        self.generator = find_model("imagen-small").load()
        self.encoder = Encoder("png")

    def decode_request(self, request: Request) -> Any:
        from imagen_model.generation import GenerationRequest

        return GenerationRequest(request["prompt"], request["seed"])

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, inputs: list[Any]) -> list[Any]:
        return self.generator.generate(inputs)

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any) -> Any:
        return {"data": [{"b64_json": base64.b64encode(self.encoder.encode(output.image)).decode()}]}


if __name__ == "__main__":
    port, workers, batch, timeout, *folders = sys.argv[1:]
    sys.path.extend(folders)  # workers inherit it
    os.environ["OMP_NUM_THREADS"] = "1"
    api = Painter(max_batch_size=int(batch), batch_timeout=float(timeout), api_path="/v1/images/generations")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(workers), timeout=600)
    server.run(host="127.0.0.1", port=int(port), log_level="error", generate_client_file=False)
