"""What a picture costs, what a step costs in messages, and whether a model of both tells how two processes do.

    python benchmarks/scale.py [--rounds 3] [--place /tmp]

1. Reading: JPEG files of 256 pixels prepared at 64, and PNG files of 32 as they are, on one thread and on all.
2. Messages: the time of a sum over two processes on this machine, by size; a line through it gives latency and rate.
3. Steps: `swift` on 32 pixels in color, widths as for CIFAR-10, random pictures. In turns, so that all have the same
   machine: one process of all threads on a batch; one process of one thread on half of it, and on a quarter; two such
   processes that know nothing of each other, at once; and two that train together on their halves. What is sent in a
   step is counted, not assumed.
4. The model: a step of two processes is that of two that know nothing of each other, plus the messages, but for
   gradients that are sent while others are computed. Printed beside what was measured, and carried on to more processes
   on machines of their own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import distributed

from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.threads import map_in_order
from whyconv.machine import num_cores
from whyconv.results import ignore
from whyconv.settings import AugmentPlan, NetworkPlan, PicturesPlan, Plan, TrainingPlan
from whyconv.training import loop
from whyconv.training.distributed import ALONE, Group, joined, launched
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.start import start_network
from whyconv.training.torch_habits import torch_habits

BATCH, SIDE, WIDTHS = 256, 32, [64, 256, 256]
STEPS, WARM_UP = 12, 4
SIZES = [1 << power for power in range(3, 25, 3)]
# Gigabits a second and microseconds between machines, for what is carried on.
LINKS = {"10 Gb/s, 50 us": (10, 50e-6), "100 Gb/s, 10 us": (100, 10e-6)}
# Of the gradient's way: what is computed when the first bucket is full is about half of the backward pass.
OVERLAP = 0.5


def plan(threads: int) -> Plan:
    """Of the network that is timed."""
    return Plan(
        seed=0,
        threads=threads,
        pictures=PicturesPlan(path="", layout="", digest="", num_train=BATCH, num_validation=0, num_test=0),
        network=NetworkPlan(
            name="swift",
            widths=WIDTHS,
            in_channels=3,
            side=SIDE,
            classes=[str(number) for number in range(10)],
            mean=[128.0] * 3,
            std=[64.0] * 3,
            views=["upright"],
        ),
        augment=AugmentPlan(flip=True, shift_fraction=0.06, min_area=1, max_aspect=1, max_degrees=0, color=0),
        training=TrainingPlan(
            optimizer="muon",
            epochs=1000,
            batch=BATCH,
            learning_rate=0.02,
            other_learning_rate=0.004,
            precision="bfloat16",
            schedule="linear",
            momentum=0.6,
            weight_decay=0.0,
            warmup_fraction=0.0,
            label_smoothing=0.2,
            average=0.0,
            patience=1000,
            class_offsets=[0.0] * 10,
        ),
    )


def seconds_of_steps(
    threads: int, batch: int, group: Group = ALONE, before_last: Callable[[], None] = lambda: None
) -> float:
    """Median seconds of a step on so many pictures."""
    asked = plan(threads)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)
    data = LabelledPixels(pixels, random.integers(0, 10, batch).astype(np.int32))
    recipe = asked.training.model_copy(update={"batch": batch})
    asked = asked.model_copy(update={"training": recipe})
    with torch_habits(threads):
        network = start_network(asked, pixels=pixels, group=group)
        nothing = LabelledPixels(pixels[:0], data.labels[:0])
        session = loop._Session(network, data, nothing, asked, (), None, float("inf"), ignore, group)
        ends = list[float]()
        with session.asking():
            for epoch in range(STEPS + WARM_UP):
                if epoch == STEPS + WARM_UP - 1:
                    before_last()
                visits = session.visited.visits(0, epoch + 1, batch)
                session._take_step(visits.rows(0), visits.draws(0))
                ends.append(time.perf_counter())
    return median(np.diff(ends[WARM_UP - 1 :]).tolist())


def in_a_process() -> None:
    """What a process of two does: times sums, then steps, and counts what is sent in one."""
    with joined(launched()) as group:
        sums = [(size, seconds_of_a_sum(size)) for size in SIZES]
        sent = list[int]()
        total, greatest = group.total, group.greatest
        group.total = lambda values: (sent.append(values.numel() * values.element_size()), total(values))[1]  # type: ignore[method-assign]
        group.greatest = lambda numbers: (sent.append(8 * len(numbers)), greatest(numbers))[1]  # type: ignore[method-assign]
        seconds = seconds_of_steps(1, BATCH, group, sent.clear)
        parameters = sum(p.numel() for p in start_network(plan(1)).parameters() if p.requires_grad)
        if group.leads:
            found = {
                "sums": sums,
                "seconds": seconds,
                "messages": len(sent),
                "bytes": sum(sent),
                "gradient": 4 * parameters,
            }
            Path(os.environ["SCALE_TO"]).write_text(json.dumps(found))


def seconds_of_a_sum(size: int) -> float:
    values, taken = torch.zeros(max(1, size // 4)), list[float]()
    for _ in range(12):
        distributed.barrier()
        began = time.perf_counter()
        distributed.all_reduce(values)
        taken.append(time.perf_counter() - began)
    return median(taken)


def two_processes(folder: Path) -> dict[str, Any]:
    """What the leader of two has found."""
    to = folder / "found.json"
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__, "--in-a-process"]
    environment = os.environ | {"SCALE_TO": str(to), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], check=True, env=environment, capture_output=True)
    return json.loads(to.read_text())  # type: ignore[no-any-return]


def alone(threads: int, batch: int, *, times: int = 1) -> float:
    """Seconds of a step of a process of its own; of several that run at once, the mean."""
    words = [sys.executable, __file__, "--alone", str(threads), str(batch)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(times)
    ]
    return fmean(float(each.communicate()[0]) for each in started)


def reading() -> None:
    """Seconds a picture, from its bytes to the network's pixels."""
    random = np.random.default_rng(0)
    smooth = Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).resize(
        (256, 256), Image.Resampling.BICUBIC
    )
    for name, picture, side in (("jpeg", smooth, 64), ("png", smooth.resize((32, 32)), 32)):
        file = io.BytesIO()
        picture.save(file, name, quality=90)
        content, policy = file.getvalue(), PicturePolicy(side=side, channels=3)
        for threads in (1, num_cores()):
            began, count = time.perf_counter(), 2000
            for _ in map_in_order(
                lambda _, content=content, policy=policy: prepare(content, policy), range(count), threads
            ):
                pass
            seconds = (time.perf_counter() - began) / count
            print(
                f"reading {name}, {len(content):,} bytes, to {side} pixels, {threads} thread(s): {1e3 * seconds:.3f} ms"
            )


def carried_on(compute: Callable[[float], float], found: dict[str, Any]) -> None:
    """Efficiency of more processes, each on a machine of its own, by the model."""
    gradient, messages, others = found["gradient"], found["messages"], found["bytes"]
    for name, (gigabits, between) in LINKS.items():
        for kind in ("the same batch", "a batch of 256 each"):
            rows = []
            for processes in (2, 8, 64, 1024):
                pictures = BATCH / processes if kind == "the same batch" else BATCH
                if pictures < 1:
                    rows.append(f"{processes}: impossible")
                    continue
                own = compute(pictures)
                step = own + sent(gradient, others, messages, processes, gigabits * 1e9 / 8, between, own)
                whole = compute(BATCH) / processes if kind == "the same batch" else compute(BATCH)
                rows.append(f"{processes}: {whole / step:.2f}")
            print(f"  {name}, {kind}: {', '.join(rows)}")


def sent(  # noqa: PLR0913, PLR0917
    gradient: int, others: int, messages: int, processes: int, rate: float, latency: float, compute: float
) -> float:
    """Seconds of a step's messages that nothing is computed during: ring sums of 2 (P - 1) hops."""
    hops, share = 2 * (processes - 1), 2 * (processes - 1) / processes
    exposed = max(0.0, share * gradient / rate + hops * latency - OVERLAP * compute * 2 / 3)
    return exposed + share * others / rate + messages * hops * latency


def main() -> None:
    """Prints what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", type=Path, default=None)
    parser.add_argument("--in-a-process", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--alone", type=int, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.in_a_process:
        in_a_process()
        return
    if asked.alone:
        print(seconds_of_steps(*asked.alone))
        return
    reading()
    with tempfile.TemporaryDirectory(dir=asked.place) as place:
        report(Path(place), asked.rounds)


def report(folder: Path, rounds: int) -> None:
    """Times steps in turns, and prints measured and modelled seconds."""
    wide, half, quarter, beside = list[float](), list[float](), list[float](), list[float]()
    both = list[dict[str, Any]]()
    for _ in range(rounds):
        wide.append(alone(num_cores(), BATCH))
        half.append(alone(1, BATCH // 2))
        quarter.append(alone(1, BATCH // 4))
        beside.append(alone(1, BATCH // 2, times=2))
        both.append(two_processes(folder))
    found = both[0]
    sums = np.array([[each[1] for each in one["sums"]] for one in both])
    sizes, taken = np.array(SIZES, float), np.median(sums, axis=0)
    latency = float(taken[0])
    rate = float(sizes[-1] / (taken[-1] - latency))
    measured = median(each["seconds"] for each in both)
    own = median(beside)
    modelled = own + sent(found["gradient"], found["bytes"], found["messages"], 2, rate, latency / 2, own)
    shown = " ".join(f"{int(size):,}: {1e6 * seconds:.0f}" for size, seconds in zip(sizes, taken, strict=True))
    print(f"sums over two processes here, bytes and us: {shown}; latency {1e6 * latency:.0f} us, {rate / 1e9:.2f} GB/s")
    print(
        f"a step of two processes: {found['messages']} messages of {found['bytes']:,} bytes beside "
        f"{found['gradient']:,} of gradients"
    )
    for name, each in (
        ("all threads, 256", wide),
        ("1 thread, 128", half),
        ("1 thread, 64", quarter),
        ("two that know nothing of each other, 1 thread, 128 each", beside),
    ):
        print(f"{name}: {1e3 * median(each):.1f} ms ({1e3 * min(each):.1f}-{1e3 * max(each):.1f}, n={rounds})")
    steps = [each["seconds"] for each in both]
    print(
        f"2 processes of 1 thread, 256: {1e3 * measured:.1f} ms ({1e3 * min(steps):.1f}-{1e3 * max(steps):.1f}); model "
        f"{1e3 * modelled:.1f} ms; ratio to all threads {median(wide) / measured:.2f}, by the model "
        f"{median(wide) / modelled:.2f}"
    )
    fixed = 2 * median(quarter) - median(half)
    per_picture = (median(half) - median(quarter)) / (BATCH // 4)
    print(f"one thread: {1e3 * per_picture:.3f} ms a picture and {1e3 * fixed:.1f} ms a step")
    print("carried on, each process on a machine as this thread is; efficiency:")
    carried_on(lambda pictures: max(0.0, fixed) + per_picture * pictures, found)


if __name__ == "__main__":
    main()
