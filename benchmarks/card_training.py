"""What a training takes on this machine's graphics card, and what comes of it, by the size of the batch.

    python benchmarks/card_training.py cifar10.npz [--batches 256 512 1000 2000] [--epochs 8] [--seeds 2]

``swift`` on the arrays ``x_train``, ``y_train``, ``x_test``, ``y_test`` of 32 pixels in color, by the recipe for many
pictures, mirrored, without a validation part. Printed for each training: seconds from a network on the processor to one
there again, with copying the pictures and recording the steps; the median step at each side; the test accuracy over the
recipe's own views. The first training warms the card up and does not count. ``--device cpu``: on a processor.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from whyconv.machine import num_cores, set_thread_habits
from whyconv.nets.swift import widths_for
from whyconv.settings import AugmentPlan, NetworkPlan, PicturesPlan, Plan, TrainSettings
from whyconv.training.device import card_name, lying_on, place_of
from whyconv.training.intervals import share
from whyconv.training.logits import network_logits
from whyconv.training.loop import train_network
from whyconv.training.pictures import channel_statistics
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.recipe import Facts, training_plan
from whyconv.training.start import start_network
from whyconv.training.torch_habits import torch_habits
from whyconv.training.views import views_for

SIDE = 32
VARIED = AugmentPlan(flip=True, shift_fraction=0.0625, min_area=1, max_aspect=1, max_degrees=0, color=0)


def plan_for(train: LabelledPixels, batch: int, epochs: int, seed: int, device: str) -> Plan:
    """The recipe for many pictures, in bfloat16."""
    counts = np.bincount(train.labels).tolist()
    mean, std = channel_statistics(train.pixels)
    asked = TrainSettings(pictures="", batch=batch, epochs=epochs)
    sizes = NetworkPlan(
        name="swift",
        widths=widths_for(SIDE),
        in_channels=3,
        side=SIDE,
        classes=[str(label) for label in range(len(counts))],
        mean=mean,
        std=std,
        views=views_for(VARIED),
    )
    return Plan(
        seed=seed,
        threads=num_cores(),
        device="cuda" if device == "cuda" else None,
        pictures=PicturesPlan(
            path="arrays", layout="auto", digest="", num_train=len(train), num_validation=0, num_test=0
        ),
        network=sizes,
        augment=VARIED,
        training=training_plan(asked, Facts(counts, SIDE, 3), precision="bfloat16"),
    )


def trained(plan: Plan, train: LabelledPixels, test: LabelledPixels) -> str:
    """Trains by a plan, and says what it took and what came of it."""
    ends: list[float] = []

    def note_end() -> int:
        ends.append(time.perf_counter())
        return 0

    nothing = LabelledPixels(test.pixels[:0], test.labels[:0])
    with torch_habits(plan.threads):
        network = start_network(plan, pixels=train.pixels)
        began = time.perf_counter()
        outcome = train_network(network, train, nothing, plan, stop_requested=note_end)
        seconds = time.perf_counter() - began
        with lying_on(place_of(plan), network):
            right = network_logits(network, test.pixels, plan.network).argmax(axis=1) == test.labels
    halves: list[NDArray[np.float64]] = np.array_split(np.diff(ends) * 1000, len(plan.training.sides) or 1)
    steps = ", ".join(f"{np.median(each):.2f}" for each in halves)
    return (
        f"{seconds:6.2f} s  {outcome.num_steps} steps of {steps} ms at {plan.training.sides or [SIDE]} pixels  "
        f"accuracy {share(right)}"
    )


def main() -> None:
    """Prints one line for each training."""
    set_thread_habits()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 512, 1000, 2000])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    asked = parser.parse_args()
    with np.load(asked.arrays) as arrays:
        train = LabelledPixels(arrays["x_train"], arrays["y_train"].ravel().astype(np.int32))
        test = LabelledPixels(arrays["x_test"], arrays["y_test"].ravel().astype(np.int32))
    print(f"{card_name() or 'no card'}, {num_cores()} cores, torch {torch.__version__}, {len(train):,} pictures")
    trained(plan_for(train, asked.batches[0], 1, 0, asked.device), train, test)
    for seed in range(asked.seeds):
        for batch in asked.batches:
            line = trained(plan_for(train, batch, asked.epochs, seed, asked.device), train, test)
            print(f"batch {batch:5}  {asked.epochs} epochs  seed {seed}  {line}", flush=True)


if __name__ == "__main__":
    main()
