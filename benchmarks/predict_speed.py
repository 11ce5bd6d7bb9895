"""Pictures a second and latency of whyconv's recognizer beside the same file run plainly.

    python benchmarks/predict_speed.py RUN|FILE.onnx FOLDER [--rounds 5] [--json FILE]

In turns, each in a process of its own: the recognizer in Python; bare decoding and onnxruntime; bare decoding and
OpenVINO (environment made by benchmarks/peers.sh openvino). Then the whole command `whyconv predict`, whose start-up is
timed apart on one picture. Wanted: at least 0.9 of the better of the two, in pictures a second and in 1 / latency.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from racing.cells import Row
from racing.machine import default_place, load, machine, now, versions

from whyconv.images.sources import list_images
from whyconv.machine import num_cores
from whyconv.model_file import find_model
from whyconv.recognizer import open_recognizer

HERE = Path(__file__).resolve()
SINGLES, BATCH, WANTED = 200, 32, 0.9
OWN = "recognizer"


def read_words() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model", type=Path, metavar="RUN|FILE.onnx")
    words.add_argument("pictures", type=Path, metavar="FOLDER")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--place", type=Path, default=default_place(), help="where the environments of peers lie")
    words.add_argument("--json", type=Path, help="write the figures into this file too")
    words.add_argument("--own", action="store_true", help=argparse.SUPPRESS)
    return words.parse_args()


def time_own(model: Path, files: Sequence[str]) -> dict[str, list[float]]:
    """Times the recognizer in this process, once over all files and then one by one, after a warm-up."""
    recognizer = open_recognizer(model)
    recognizer.predict(files[:BATCH], top=1)
    began = time.perf_counter()
    recognizer.predict(files, top=1)
    rate = len(files) / (time.perf_counter() - began)
    singles = []
    for path in (list(files) * (1 + SINGLES // len(files)))[:SINGLES]:
        began = time.perf_counter()
        recognizer.predict(path, top=1)
        singles.append(time.perf_counter() - began)
    return {"rates": [rate], "singles": singles}


def commands(asked: argparse.Namespace, listing: Path) -> dict[str, list[str]]:
    """Returns what is timed in turns; a peer whose environment is absent is left out, which is said."""
    policy = open_recognizer(asked.model).policy
    model = str(find_model(asked.model))
    script = str(HERE.parent / "peers" / "plain_inference.py")
    sizes = {"side": policy.side, "channels": policy.channels, "batch": BATCH, "threads": num_cores(), "rounds": 1}
    words = [model, str(listing), *(word for name, value in sizes.items() for word in (f"--{name}", str(value)))]
    found = {
        OWN: [sys.executable, str(HERE), str(asked.model), str(listing), "--own"],
        "onnxruntime": [sys.executable, script, "onnxruntime", *words],
    }
    python = asked.place / "peers" / "openvino" / "bin" / "python"
    if python.exists():
        found["openvino"] = [str(python), script, "openvino", *words]
    else:
        print(f"OpenVINO is left out: no environment at {python.parents[1]}; benchmarks/peers.sh openvino makes it.")
    return found


def in_turns(asked: argparse.Namespace, listing: Path) -> dict[str, dict[str, list[float]]]:
    """Runs each in turn, ``rounds`` times, so that a busy machine is busy for all."""
    asked_for = commands(asked, listing)
    found: dict[str, dict[str, list[float]]] = {name: {"rates": [], "singles": []} for name in asked_for}
    for _ in range(asked.rounds):
        for name, words in asked_for.items():
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            for key, values in json.loads(done.stdout.splitlines()[-1]).items():
                found[name][key] += values
    return found


def time_command(model: Path, pictures: Sequence[str], folder: Path) -> float:
    """Returns the seconds of ``whyconv predict``, whole command."""
    executable = Path(sys.executable).with_name("whyconv")
    start = [str(executable)] if executable.exists() else [sys.executable, "-m", "whyconv"]
    words = [*start, "predict", str(model.resolve()), *pictures, "--top", "1", "--to", str(folder / "rows.csv")]
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


def compared(found: dict[str, dict[str, list[float]]]) -> list[Row]:
    """Returns for each: median and range of pictures a second, median and 95th percentile of latency, and ratios.

    A ratio above 1 says that the recognizer is quicker than this one; medians of rounds taken in turns.
    """
    own_rates, own_singles = found[OWN]["rates"], found[OWN]["singles"]
    return [
        {
            "name": name,
            "rate": statistics.median(times["rates"]),
            "least_rate": min(times["rates"]),
            "most_rate": max(times["rates"]),
            "latency_ms": 1e3 * statistics.median(times["singles"]),
            "latency_95_ms": 1e3 * statistics.quantiles(times["singles"], n=20)[-1],
            "rate_ratio": statistics.median(own / other for own, other in zip(own_rates, times["rates"], strict=True)),
            "latency_ratio": statistics.median(times["singles"]) / statistics.median(own_singles),
        }
        for name, times in found.items()
    ]


def main() -> None:
    asked = read_words()
    if asked.own:
        print(json.dumps(time_own(asked.model, asked.pictures.read_text(encoding="utf-8").splitlines())))
        return
    before = load()
    with tempfile.TemporaryDirectory() as folder:
        files = [str(path.resolve()) for path in list_images([asked.pictures])]
        listing = Path(folder, "listing.txt")
        listing.write_text("\n".join(files), encoding="utf-8")
        rows = compared(in_turns(asked, listing))
        whole = [time_command(asked.model, [str(asked.pictures)], Path(folder)) for _ in range(asked.rounds)]
        single = [time_command(asked.model, files[:1], Path(folder)) for _ in range(asked.rounds)]
    print(f"{len(files):,} pictures, {asked.rounds} rounds in turns, load before {before}")
    print(f"{'':<12} pictures/s (range)        latency ms, 95th      recognizer / this: pictures/s, 1 / latency")
    for row in rows:
        print(
            f"{row['name']:<12} {row['rate']:8,.0f} ({row['least_rate']:,.0f}-{row['most_rate']:,.0f})"
            f"  {row['latency_ms']:8.2f} {row['latency_95_ms']:8.2f}"
            f"  {row['rate_ratio']:8.2f} {row['latency_ratio']:8.2f}"
        )
    others = [row for row in rows if row["name"] != OWN]
    for key, what in (("rate_ratio", "pictures a second"), ("latency_ratio", "1 / latency")):
        least = min(row[key] for row in others)
        print(f"{what}: {least:.2f} of the better; {'met' if least >= WANTED else f'wanted {WANTED}'}")
    print(
        f"whyconv predict, whole command: {statistics.median(whole):.2f} s, "
        f"{len(files) / statistics.median(whole):,.0f} pictures/s; one picture {statistics.median(single):.2f} s"
    )
    if asked.json:
        told = {"pictures": len(files), "rounds": asked.rounds, "rows": rows, "command": whole, "single": single}
        about = {"load_before": before, "machine": machine(), "date": now()}
        told = {**told, **about, "versions": versions("whyconv", "onnxruntime", "numpy", "simplejpeg")}
        asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
