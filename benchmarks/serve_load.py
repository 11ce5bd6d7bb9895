"""How much of the machine `whyconv serve` turns into answers, how long callers wait, and what overload does to them.

    python benchmarks/serve_load.py RUN|FILE.onnx FOLDER [--litserve PLACE] [--seconds 5] [--rounds 3]
        [--together] [--json FILE]

JPEGs of 224 pixels are made of the pictures in FOLDER. The server runs on the first core that this process may use
and the load on the second, so that neither takes the other's time; with --together, both on both cores. The limit is
what decoding and network alone take in a process on the server's first core, times its cores, before each round; the
peak is what 16 callers get who ask again at once, before and after the overload. PLACE is a folder where
LitServe was installed: pip install --target PLACE litserve.

Wanted: at least 0.85 of the limit; at half load, p99 at most 4 times the median; at 10 times the peak, at least 90 %
of the peak still answered, and refusals within 50 ms.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from open_loop import Outcome, load, request
from PIL import Image
from racing.machine import machine, now, versions

from whyconv.images.prepare import prepare
from whyconv.images.sources import list_images
from whyconv.model_file import find_model
from whyconv.recognizer import Recognizer

HERE = Path(__file__).resolve()
PICTURES, SIDE, QUALITY = 64, 224, 90
BATCHES = (1, 8, 32)
CALLERS, OVERLOAD_CALLERS = 16, 192


def read_words() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model", type=Path, metavar="RUN|FILE.onnx")
    words.add_argument("pictures", type=Path, metavar="FOLDER")
    words.add_argument("--litserve", type=Path, metavar="PLACE", help="where LitServe is installed")
    words.add_argument("--seconds", type=float, default=5.0, help="of each load")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--together", action="store_true", help="server and load share both cores")
    words.add_argument("--json", type=Path, help="write the figures into this file too")
    words.add_argument("--limit", action="store_true", help=argparse.SUPPRESS)
    return words.parse_args()


def make_jpegs(folder: Path) -> list[bytes]:
    found = []
    for path in sorted(list_images([folder]))[:: max(1, len(list(list_images([folder]))) // PICTURES)][:PICTURES]:
        picture = Image.open(path).convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        small = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        content = io.BytesIO()
        small.save(content, "JPEG", quality=QUALITY)
        found.append(content.getvalue())
    return found


def time_limit(model: Path, contents: Sequence[bytes], seconds: float) -> dict[str, float]:
    """Milliseconds a picture of decoding and of the network in this process, on one core."""
    recognizer = Recognizer(model, num_threads=1)
    pixels = np.stack([prepare(content, recognizer.policy) for content in contents])
    decoding: list[float] = []
    network: dict[int, list[float]] = {size: [] for size in BATCHES}
    begun = time.perf_counter()
    while time.perf_counter() < begun + seconds:
        started = time.perf_counter()
        for content in contents:
            prepare(content, recognizer.policy)
        decoding.append((time.perf_counter() - started) / len(contents))
        for size, found in network.items():
            started = time.perf_counter()
            recognizer.run(pixels[:size])
            found.append((time.perf_counter() - started) / size)
    best = min(float(np.median(found)) for found in network.values())
    return {"decode": 1000 * float(np.median(decoding)), "network": 1000 * best}


def limit_apart(words: argparse.Namespace, cores: set[int]) -> dict[str, float]:
    command = [sys.executable, str(HERE), str(words.model), str(words.pictures), "--limit", "--seconds", "2"]
    done = subprocess.run(pinned(command, {min(cores)}), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def pinned(command: Sequence[str], cores: set[int]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]


@contextmanager
def whyconv_server(model: Path, cores: set[int]) -> Iterator[int]:
    command = [sys.executable, "-m", "whyconv", "serve", str(model), "--port", "0", "--json"]
    process = subprocess.Popen(pinned(command, cores), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        print(f"  serving: {ready['sessions']} x {ready['threads']} threads, batches of {ready['batch']}")
        yield ready["port"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def litserve_server(model: Path, place: Path, cores: set[int]) -> Iterator[int]:
    port = 18731
    command = [sys.executable, str(HERE.parent / "peers" / "with_litserve.py"), str(model), str(port), str(len(cores))]
    environment = os.environ | {"PYTHONPATH": f"{place}{os.pathsep}{HERE.parents[1] / 'src'}"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(pinned(command, cores), env=environment, start_new_session=True, **quiet)
    try:
        wait_for(port)
        yield port
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30)


def wait_for(port: int) -> None:
    import http.client

    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise SystemExit("LitServe does not start")


def measure(words: argparse.Namespace, cores: set[int], port: int, requests: Sequence[bytes]) -> list[dict[str, float]]:
    """The same loads in turns, the limit before each turn: the machine is not equally quick all the time."""
    load(port, requests, min(2.0, words.seconds), callers=CALLERS)
    rounds, peak = [], 0.0
    for _ in range(words.rounds):
        limit = limit_apart(words, cores)
        full = load(port, requests, words.seconds, callers=CALLERS)
        if full.rate() == 0:
            raise SystemExit(f"No answers: { ({status: len(found) for status, found in full.seconds.items()}) }")
        peak = peak or full.rate()
        half = load(port, requests, words.seconds, callers=64, rate=peak / 2)
        flood = load(port, requests, words.seconds, callers=OVERLOAD_CALLERS, rate=10 * peak)
        again = load(port, requests, words.seconds, callers=CALLERS)
        loads = {"full": full, "half": half, "flood": flood, "again": again}
        found = {
            name: value for load_name, outcome in loads.items() for name, value in told(load_name, outcome).items()
        }
        rounds.append(limit | {"limit": len(cores) * 1000 / (limit["decode"] + limit["network"])} | found)
    return rounds


def told(name: str, outcome: Outcome) -> dict[str, float]:
    refused = outcome.refused()
    return {
        f"{name}_rate": outcome.rate(),
        f"{name}_median_ms": outcome.quantile(0.5),
        f"{name}_p99_ms": outcome.quantile(0.99),
        f"{name}_refused_rate": outcome.rate(429) + outcome.rate(503),
        f"{name}_refusal_median_ms": outcome.quantile(0.5, refused),
        f"{name}_refusal_p99_ms": outcome.quantile(0.99, refused),
        f"{name}_broken": float(len(outcome.seconds.get(-1, ()))),
        f"{name}_unsent": float(outcome.unsent),
    }


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median and range over rounds."""
    middle, low, high = (f"{value:.{digits}f}" for value in (np.median(values), min(values), max(values)))
    return f"{middle} ({low}-{high})"


def show(name: str, rounds: Sequence[dict[str, float]]) -> None:
    """Prints what was seen: medians and ranges over rounds."""

    def of(key: str, digits: int = 0) -> str:
        return spread([one[key] for one in rounds], digits)

    peaks = [(one["full_rate"] + one["again_rate"]) / 2 for one in rounds]
    shares = [peak / one["limit"] for peak, one in zip(peaks, rounds, strict=True)]
    kept = [one["flood_rate"] / peak for peak, one in zip(peaks, rounds, strict=True)]
    times = [one["half_p99_ms"] / one["half_median_ms"] for one in rounds]
    print(
        f"{name}, {len(rounds)} rounds: limit {of('limit')} pictures/s, "
        f"{of('decode', 2)} ms to decode and {of('network', 2)} ms of network each"
    )
    print(f"  peak {spread(peaks)} pictures/s, {spread(shares, 2)} of the limit")
    print(f"  half load: median {of('half_median_ms', 1)} ms, p99 {of('half_p99_ms', 1)} ms: {spread(times, 1)} times")
    print(f"  10 x: {of('flood_rate')} answered/s, {spread(kept, 2)} of the peak, p99 {of('flood_p99_ms')} ms")
    print(
        f"    {of('flood_refused_rate')} refused/s: median {of('flood_refusal_median_ms', 1)} ms, p99 "
        f"{of('flood_refusal_p99_ms', 1)} ms; {of('flood_unsent')} not sent, {of('flood_broken')} cut"
    )


def main() -> None:
    words = read_words()
    model, contents = find_model(words.model), make_jpegs(words.pictures)
    if words.limit:
        print(json.dumps(time_limit(model, contents, words.seconds)))
        return
    cores = sorted(os.sched_getaffinity(0))[:2]
    server_cores = set(cores) if words.together else {cores[0]}
    os.sched_setaffinity(0, set(cores) if words.together else {cores[-1]})
    print(f"server on cores {sorted(server_cores)}, load on {sorted(os.sched_getaffinity(0))}")
    print(f"{len(contents)} JPEGs of {SIDE} pixels, {np.mean([len(one) for one in contents]):.0f} bytes in the mean")
    found = {}
    with whyconv_server(words.model, server_cores) as port:
        found["whyconv"] = measure(words, server_cores, port, [request(port, content) for content in contents])
    show("whyconv", found["whyconv"])
    if words.litserve:
        with litserve_server(model, words.litserve, server_cores) as port:
            as_json = [json.dumps({"image": base64.b64encode(one).decode()}).encode() for one in contents]
            requests = [request(port, body, "application/json") for body in as_json]
            found["LitServe"] = measure(words, server_cores, port, requests)
        show("LitServe", found["LitServe"])
    if words.json:
        record = {"at": now(), "machine": machine(), "versions": versions("onnxruntime", "starlette", "uvicorn")}
        record |= {"cores": sorted(server_cores), "together": words.together, "found": found}
        words.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
