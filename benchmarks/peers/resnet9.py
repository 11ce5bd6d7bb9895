"""The ResNet-9 of the earlier CIFAR-10 speed records, written anew, with true bf16 and a budget in minutes.

Its facts, from Page, *How to Train Your ResNet* (2018): a convolution of 64 channels, three stages of 128, 256 and 512
(convolution, normalization, ReLU, pooling) of which the first and the last have a residual pair, largest of each map,
a head scaled by 1/8; Nesterov (momentum 0.9, decay 5e-4) at a rate that rises for a fifth of the steps and then falls
to 0; crops from a margin of 4, mirroring, a covered square of 8 pixels.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from cell import Asked, finish, open_copies, read_words
from torch import nn
from true_half import (
    AlternatingPictures,
    answers_of,
    fitting_steps,
    gradients_to_masters,
    masters_to_weights,
    normalized,
    to_half,
)

RISE, MOMENTUM, DECAY, RECORD_BATCH, HEAD_SCALE = 0.2, 0.9, 5e-4, 512, 0.125


def convolution(before: int, after: int, *, pool: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class Residual(nn.Module):
    """Two convolutions, added to what goes into them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pair = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns maps of the same shape."""
        return x + self.pair(x)


class Network(nn.Module):
    """The ResNet-9."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        start = [nn.BatchNorm2d(64), nn.ReLU(), convolution(64, 128, pool=True), Residual(128)]
        end = [convolution(128, 256, pool=True), convolution(256, 512, pool=True), Residual(512)]
        self.body = nn.Sequential(*start, *end, nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.head = nn.Linear(512, num_classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns logits (n, classes) of fp32 pictures."""
        return self.head(self.body(self.first(x).to(torch.bfloat16))) * HEAD_SCALE


class Training:
    """A network with its optimizer; ``step`` takes one batch."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, num_classes: int, asked: Asked) -> None:
        torch.manual_seed(asked.seed)
        self.batch = int(asked.settings["batch"])
        # The rate is that of the record's batch, per picture.
        self.rate = float(asked.settings["learning_rate"]) * self.batch / RECORD_BATCH
        self.batches = iter(AlternatingPictures(x, y, self.batch, shift=4, cut=8, seed=asked.seed))
        self.network = Network(num_classes)
        self.masters = to_half(self.network, keep=(self.network.first,))
        weights = [self.masters.get(own, own) for own in self.network.parameters()]
        self.optimizer = torch.optim.SGD(weights, self.rate, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)

    def step(self, done: float = 0.1) -> None:
        """Takes one step; ``done`` is the part of the training that lies behind, in [0, 1)."""
        x, y = next(self.batches)
        logits = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        nn.functional.cross_entropy(logits, y).backward()
        gradients_to_masters(self.masters)
        self.optimizer.param_groups[0]["lr"] = self.rate * min(done / RISE, (1 - done) / (1 - RISE))
        self.optimizer.step()
        self.optimizer.zero_grad()
        masters_to_weights(self.masters)


def main() -> None:
    asked = read_words()
    copies = open_copies(asked.pictures)
    train_x, test_x = (normalized(pixels, copies.train_x) for pixels in (copies.train_x, copies.test_x))
    material = train_x, torch.from_numpy(np.array(copies.train_y)), len(copies.classes), asked
    trial = Training(*material)
    num_steps = fitting_steps(asked, trial.network, trial.step, test_x)
    training, began = Training(*material), time.perf_counter()
    for step in range(num_steps):
        training.step((step + 0.5) / num_steps)
    seconds = time.perf_counter() - began
    answers = answers_of(training.network, test_x, copies.classes)
    epochs = num_steps * training.batch / len(copies.train_x)
    finish(asked, copies.test_names, answers, training_seconds=seconds, num_steps=num_steps, num_epochs=epochs)


if __name__ == "__main__":
    main()
