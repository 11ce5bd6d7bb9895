"""A recognizer's file run as plainly as can be: decode, resize, network; with onnxruntime or with OpenVINO.

    python plain_inference.py ENGINE FILE.onnx LIST.txt --side K --channels C --batch N --threads T --rounds R

LIST.txt has one picture a line. Prints JSON: pictures a second of each round, and seconds of single pictures, all from
files on disk. Two batches ahead are decoded by threads while the network answers. The pictures are not prepared bit for
bit as the policy says; what is compared is the time.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

SINGLES = 200
Answer = Callable[[np.ndarray], np.ndarray]


def read_words() -> argparse.Namespace:
    words = argparse.ArgumentParser()
    words.add_argument("engine", choices=("onnxruntime", "openvino"))
    words.add_argument("model", type=Path)
    words.add_argument("listing", type=Path)
    for name in ("side", "channels", "batch", "threads", "rounds"):
        words.add_argument(f"--{name}", type=int, required=True)
    return words.parse_args()


def prepare(path: str, side: int, channels: int) -> np.ndarray:
    """Returns uint8 (side, side, channels): the JPEG decoded near the size needed, cut to a square, resized."""
    content = Path(path).read_bytes()
    space = "RGB" if channels == 3 else "GRAY"
    if simplejpeg.is_jpeg(content):
        pixels = simplejpeg.decode_jpeg(content, space, min_height=2 * side, min_width=2 * side, min_factor=1)
        picture = Image.fromarray(pixels.squeeze())
    else:
        picture = Image.open(io.BytesIO(content)).convert("RGB" if channels == 3 else "L")
    width, height = picture.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    resized = picture.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + edge, top + edge))
    return np.asarray(resized).reshape(side, side, channels)


def open_onnxruntime(model: Path, threads: int, *, is_single: bool) -> Answer:
    import onnxruntime

    del is_single
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["probabilities"], {"pixels": pixels})[0]


def open_openvino(model: Path, threads: int, *, is_single: bool) -> Answer:
    import openvino

    engine = openvino.Core()
    hint = "LATENCY" if is_single else "THROUGHPUT"
    words = {"PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    compiled = engine.compile_model(str(model), "CPU", words)
    output = compiled.output("probabilities")
    return lambda pixels: compiled([pixels])[output]


def in_batches(files: list[str], asked: argparse.Namespace, pool: ThreadPoolExecutor) -> Iterator[np.ndarray]:
    """Yields prepared batches; two ahead of the one that is answered are being decoded."""
    left = iter(files)
    waiting: list[list[Future[np.ndarray]]] = []

    def ask_for_more() -> None:
        asked_for = [pool.submit(prepare, path, asked.side, asked.channels) for path in islice(left, asked.batch)]
        if asked_for:
            waiting.append(asked_for)

    ask_for_more()
    ask_for_more()
    while waiting:
        batch = np.stack([each.result() for each in waiting.pop(0)])
        ask_for_more()
        yield batch


def main() -> None:
    asked = read_words()
    files = asked.listing.read_text(encoding="utf-8").splitlines()
    opener = open_onnxruntime if asked.engine == "onnxruntime" else open_openvino
    many, one = (opener(asked.model, asked.threads, is_single=is_single) for is_single in (False, True))
    rates = []
    with ThreadPoolExecutor(asked.threads) as pool:
        # The first round warms up and is not told.
        for _ in range(asked.rounds + 1):
            began = time.perf_counter()
            for batch in in_batches(files, asked, pool):
                many(batch).argmax(axis=1)
            rates.append(len(files) / (time.perf_counter() - began))
    singles = []
    for path in (files * (1 + SINGLES // len(files)))[: SINGLES + 10]:
        began = time.perf_counter()
        one(prepare(path, asked.side, asked.channels)[np.newaxis]).argmax(axis=1)
        singles.append(time.perf_counter() - began)
    print(json.dumps({"rates": rates[1:], "singles": singles[10:]}))


if __name__ == "__main__":
    main()
