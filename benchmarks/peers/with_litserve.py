"""LitServe in front of the same file: the same decoding, one worker a core, its own batching.

    python with_litserve.py MODEL.onnx PORT WORKERS

Pictures come as its documentation has them, base64 in JSON. Batches of at most 8, filled for at most 5 ms.
"""

import base64
import sys
from pathlib import Path

import litserve
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from whyconv.images.prepare import prepare
from whyconv.recognizer import Recognizer

MODEL, PORT, WORKERS = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


class Naming(litserve.LitAPI):
    """Names what a picture shows."""

    def setup(self, device: str) -> None:
        """Opens the file, with one thread as in a server of many workers."""
        del device
        self.recognizer = Recognizer(MODEL, num_threads=1)

    def decode_request(self, request: Request) -> NDArray[np.uint8]:
        """A JPEG as pixels."""
        return prepare(base64.b64decode(request["image"]), self.recognizer.policy)

    def batch(self, inputs: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Side by side."""
        return np.stack(inputs)

    def predict(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's answers."""
        return self.recognizer.run(inputs).probabilities

    def unbatch(self, output: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """One by one."""
        return list(output)

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, object]:
        """The first label."""
        best = int(output.argmax())
        label = {"label": self.recognizer.classes[best], "probability": float(output[best])}
        return {"predictions": [{"labels": [label]}]}


if __name__ == "__main__":
    api = Naming(max_batch_size=8, batch_timeout=0.005, api_path="/v1/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, timeout=30)
    server.run(port=PORT, generate_client_file=False, num_api_servers=1, log_level="warning")
