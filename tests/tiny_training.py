"""A training small enough for a test: bars that stand or lie, on 8 x 8 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from whyconv.settings import AugmentPlan, NetworkPlan, PicturesPlan, Plan, TrainingPlan, View
from whyconv.training.pixel_rows import LabelledPixels


def bars(n: int, seed: int = 0, side: int = 8, channels: int = 1) -> LabelledPixels:
    """Class 0 lies, class 1 stands; position and brightness vary."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 60, (n, side, side, channels), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int32) % 2
    for picture, label in zip(pixels, labels, strict=True):
        place, light = generator.integers(1, side - 1), generator.integers(140, 255)
        picture[(slice(None), place) if label else (place, slice(None))] = light
    return LabelledPixels(pixels, labels)


def write_bars(folder: Path, n: int = 80, seed: int = 0, side: int = 8) -> Path:
    """Writes ``bars`` as PNG files into a folder for each class, and returns the folder above them."""
    data = bars(n, seed, side)
    for index, (pixels, label) in enumerate(zip(data.pixels, data.labels, strict=True)):
        path = folder / ("stands" if label else "lies") / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :, 0]).save(path)
    return folder


def tiny_plan(
    side: int = 8,
    channels: int = 1,
    *,
    network: str = "lesson",
    members: int = 1,
    views: Sequence[View] = ("upright",),
    **recipe: Any,
) -> Plan:
    """A plan for ``bars``; keywords change the recipe."""
    wanted = {
        "optimizer": "adam",
        "epochs": 4,
        "batch": 16,
        "learning_rate": 0.005,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "warmup_fraction": 0.1,
        "label_smoothing": 0.0,
        "average": 0.9,
        "patience": 100,
        "class_offsets": [0.0, 0.0],
    } | recipe
    return Plan(
        seed=3,
        threads=1,
        pictures=PicturesPlan(path="bars", layout="auto", digest="", num_train=64, num_validation=32, num_test=32),
        network=NetworkPlan(
            name=network,
            members=members,
            in_channels=channels,
            side=side,
            classes=["lies", "stands"],
            mean=[60.0] * channels,
            std=[60.0] * channels,
            views=list(views),
        ),
        augment=AugmentPlan(flip=True, shift_fraction=0.1, min_area=0.8, max_aspect=1.1, max_degrees=5, color=0.1),
        training=TrainingPlan.of(wanted),
    )
