"""The same pictures asked in every way: how many first answers differ, and the largest difference of a probability.

    python benchmarks/parity.py RUN PICTURES.npz --place FOLDER [--seconds 600] [--only WAY]

Asked are all pictures of x_test in the file: the network in torch as training calls it, the recognizer on arrays and on
PNG files in memory, `whyconv serve` over HTTP on the same PNG files, and the two exported files (`whyconv export RUN`
with and without --any-size) by bare onnxruntime. Answers are kept in FOLDER, 1,000 pictures a file, and not asked for
again: after --seconds it stops, and goes on with the same words.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from whyconv.export import parity_of
from whyconv.exporting import export_run
from whyconv.images.prepare import prepare
from whyconv.machine import num_cores
from whyconv.recognizer import Recognizer, open_recognizer
from whyconv.settings import Plan
from whyconv.training.checkpoint import load_weights
from whyconv.training.evaluate import softmax
from whyconv.training.logits import network_logits
from whyconv.training.start import start_network

WAYS = ("torch", "recognizer, arrays", "recognizer, PNG", "HTTP, PNG", "exported", "exported, any size")
AT_ONCE, AT_ONCE_HTTP = 1000, 8
Ask = Callable[[np.ndarray], np.ndarray]


def read_words() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("run", type=Path, metavar="RUN")
    words.add_argument("pictures", type=Path, metavar="PICTURES.npz")
    words.add_argument("--place", type=Path, required=True, help="where answers and exported files are kept")
    words.add_argument("--seconds", type=float, default=600)
    words.add_argument("--only", choices=WAYS, help="ask in this way alone")
    return words.parse_args()


def prepared(pixels: np.ndarray, recognizer: Recognizer) -> np.ndarray:
    """The pictures as training sees them."""
    white = recognizer.metadata.array_white
    return np.stack([prepare(each, recognizer.policy, white=white) for each in pixels])


def as_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def by_torch(run: Path) -> Ask:
    plan, recognizer = Plan.read(run / "run.toml"), open_recognizer(run)
    network = start_network(plan, reads_file=False)
    load_weights(run / "model.safetensors", network)
    temperature = recognizer.metadata.temperature
    return lambda pixels: softmax(network_logits(network, prepared(pixels, recognizer), plan.network) / temperature)


def by_file(path: Path, run: Path) -> Ask:
    """Bare onnxruntime."""
    options, recognizer = onnxruntime.SessionOptions(), open_recognizer(run)
    options.intra_op_num_threads = num_cores()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def ask(pixels: np.ndarray) -> np.ndarray:
        ready = prepared(pixels, recognizer)
        parts = [session.run(["probabilities"], {"pixels": part})[0] for part in np.array_split(ready, 20)]
        return np.concatenate(parts)

    return ask


def by_exported(run: Path, place: Path, *, any_size: bool) -> Ask:
    """Exports first, on a few pictures: those of this benchmark are the proof."""
    path = place / ("any_size.onnx" if any_size else "exported.onnx")
    if not path.exists():
        export_run(run, out=path, any_size=any_size, pictures=place / "few")
    return by_file(path, run)


def by_http(run: Path, seconds_to_start: float = 60) -> Iterator[Ask]:
    """Starts a server, yields what asks it, and ends it."""
    command = [sys.executable, "-m", "whyconv", "serve", str(run), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    connection = http.client.HTTPConnection(
        "127.0.0.1", json.loads(process.stdout.readline())["port"], timeout=seconds_to_start
    )
    classes = open_recognizer(run).classes
    kind = {"Content-Type": "multipart/form-data; boundary=edge"}

    def ask(pixels: np.ndarray) -> np.ndarray:
        rows = []
        for start in range(0, len(pixels), AT_ONCE_HTTP):
            connection.request(
                "POST", f"/v1/predict?top={len(classes)}", form(pixels[start : start + AT_ONCE_HTTP]), kind
            )
            for each in json.loads(connection.getresponse().read())["predictions"]:
                shares = {one["label"]: one["probability"] for one in each["labels"]}
                rows.append([shares[name] for name in classes])
        return np.array(rows)

    try:
        yield ask
    finally:
        connection.close()
        process.send_signal(signal.SIGTERM)
        process.wait()


def form(pixels: np.ndarray) -> bytes:
    head = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="p"\r\n\r\n'
    return b"\r\n".join([*(head + as_png(each) for each in pixels), b"--edge--\r\n"])


@contextmanager
def opened(way: str, run: Path, place: Path) -> Iterator[Ask]:
    recognizer = open_recognizer(run)
    if way == "HTTP, PNG":
        yield from by_http(run)
    elif way == "torch":
        yield by_torch(run)
    elif way == "recognizer, arrays":
        yield recognizer.predict_proba
    elif way == "recognizer, PNG":
        yield lambda pixels: recognizer.predict_proba([as_png(each) for each in pixels])
    else:
        yield by_exported(run, place, any_size=way == "exported, any size")


def main() -> None:
    asked = read_words()
    pixels = np.load(asked.pictures)["x_test"]
    asked.place.mkdir(parents=True, exist_ok=True)
    write_few(asked.place / "few", pixels)
    end = time.monotonic() + asked.seconds
    for way in WAYS if asked.only is None else (asked.only,):
        missing = [start for start in range(0, len(pixels), AT_ONCE) if not kept(asked.place, way, start).exists()]
        if not missing:
            continue
        with opened(way, asked.run, asked.place) as ask:
            for start in missing:
                if time.monotonic() > end:
                    print(f"Stopped at {way}, picture {start}; the same words go on.")
                    return
                np.save(kept(asked.place, way, start), ask(pixels[start : start + AT_ONCE]))
    if asked.only is None:
        tell(asked.place, len(pixels))


def write_few(folder: Path, pixels: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    for row in range(20):
        (folder / f"{row}.png").write_bytes(as_png(pixels[row]))


def kept(place: Path, way: str, start: int) -> Path:
    return place / f"{way.replace(', ', '-').replace(' ', '-')}-{start}.npy"


def tell(place: Path, n: int) -> None:
    rows = {way: np.concatenate([np.load(kept(place, way, k)) for k in range(0, n, AT_ONCE)]) for way in WAYS}
    print(f"{'beside torch':<20}  pictures  other first answers  largest difference")
    for way in WAYS[1:]:
        parity = parity_of(np.asarray(rows["torch"], np.float64), np.asarray(rows[way], np.float32))
        others = int((rows["torch"].argmax(axis=1) != rows[way].argmax(axis=1)).sum())
        print(f"{way:<20}  {parity.n:>8,}  {others:>19}  {parity.largest_difference:>18.1e}")


if __name__ == "__main__":
    main()
