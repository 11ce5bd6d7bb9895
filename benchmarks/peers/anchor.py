"""A fixed piece of work, about 20 s on two cores of 2024: what differs between two days is the machine.

Training steps of a small convolutional network in fp32, JPEGs compressed and decoded, an array sorted: the three kinds
of work that the race is made of. Changing this file makes old anchors useless.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn

STEPS, JPEGS, SORTS = 30, 6000, 20


def train() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 128, 3, padding=1), nn.MaxPool2d(2)]
    deeper = [nn.ReLU(), nn.Conv2d(128, 256, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16384, 10)]
    network = nn.Sequential(*layers, *deeper).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    x = torch.rand(128, 3, 32, 32).to(memory_format=torch.channels_last)
    y = torch.randint(10, (128,))
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()


def decode() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
    for _ in range(JPEGS):
        Image.open(io.BytesIO(buffer.getvalue())).load()


def sort() -> None:
    values = np.random.default_rng(0).random(2_000_000)
    for _ in range(SORTS):
        np.sort(values)


def seconds_of(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 3)


if __name__ == "__main__":
    print(json.dumps({work.__name__: seconds_of(work) for work in (train, decode, sort)}))
