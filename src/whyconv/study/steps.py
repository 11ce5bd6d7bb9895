"""Steps of Adam on batches that depend on a seed alone, and who is answered rightly: for any network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import DataError
from whyconv.study.draws import SquarePictures, endless_batches, scored_rows
from whyconv.study.stacks import WARMUP_FRACTION
from whyconv.training.optimizers import rate_fraction
from whyconv.training.pixel_rows import LabelledPixels

_SCORED_AT_ONCE = 256


def take_steps(  # noqa: PLR0913
    network: nn.Module,
    pictures: SquarePictures,
    *,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> list[float]:
    """Trains a network by Adam; the rate rises for a twentieth of the steps and falls along half a cosine.

    Args:
        network: Maps (n, c, h, w) to logits; changed in place.
        pictures: Their training part is used as it is, without augmentation.
        steps: How many.
        batch: Pictures a step; fewer where there are fewer.
        rate: Highest learning rate.
        seed: Of the order, and of what the network itself draws at random.
        tick: Called before every step.

    Returns:
        Seconds that each step took.
    """
    optimizer = torch.optim.Adam([each for each in network.parameters() if each.requires_grad], lr=rate)
    network.train()
    seconds = []
    for step, (x, labels) in enumerate(_batches(pictures, steps, batch, seed)):
        tick()
        began = time.perf_counter()
        torch.manual_seed((seed * 1_000_003 + step) % 2**63)
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_fraction("cosine", step, steps, WARMUP_FRACTION)
        logits = answers(network, x, pictures.num_classes)
        own = labels.repeat_interleave(logits.shape[1])
        loss = functional.cross_entropy(logits.flatten(0, 1), own) * logits.shape[1]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds


def answers(network: nn.Module, x: Tensor, num_classes: int) -> Tensor:
    """Logits (n, members, classes): one member but for a committee in training."""
    logits: Tensor = network(x)
    return logits.view(len(x), -1, num_classes)


@dataclass(frozen=True, eq=False)
class Scored:
    """Of each picture whether it is answered rightly (n,), and the mean cross-entropy in nats."""

    is_right: NDArray[np.bool_]
    loss: float

    @property
    def accuracy(self) -> float:
        """Fraction answered rightly."""
        return float(self.is_right.mean())

    @property
    def merit(self) -> tuple[float, float]:
        """What is greater for the better one: accuracy, and the loss between equals; a diverged one is last."""
        return (self.accuracy, -self.loss) if math.isfinite(self.loss) else (-1.0, -math.inf)


def score(network: nn.Module, pictures: SquarePictures, part: LabelledPixels, most: int) -> Scored:
    """Asks a network, in evaluation mode, about at most ``most`` evenly chosen pictures of a part."""
    rows = scored_rows(part, most)
    is_right, losses = [], []
    with evaluating(network), torch.no_grad():
        for start in range(0, len(rows), _SCORED_AT_ONCE):
            some = rows[start : start + _SCORED_AT_ONCE]
            logits = answers(network, pictures.numbers(part, some), pictures.num_classes).mean(1)
            labels = torch.from_numpy(part.labels[some].astype(np.int64))
            is_right.append((logits.argmax(1) == labels).numpy())
            losses.append(functional.cross_entropy(logits.double(), labels, reduction="none").numpy())
    return Scored(np.concatenate(is_right), float(np.concatenate(losses).mean()))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Puts a network in evaluation mode; afterwards every module is as it was."""
    flags = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, flag in flags:
            module.training = flag


def require_parts(pictures: SquarePictures, what: str, *, validation: bool = True) -> None:
    """Checks that there are pictures to choose the rate by and to score.

    Raises:
        DataError: A part is empty.
    """
    parts = {"train": pictures.train, "validation": pictures.validation, "test": pictures.test}
    if not validation:
        parts = {"test": pictures.test}
    if missing := [name for name, part in parts.items() if len(part) < 2]:
        raise DataError(f"{what} needs at least 2 pictures in the part(s) {', '.join(missing)}. Take more pictures.")


def _batches(pictures: SquarePictures, steps: int, batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    train = pictures.train
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, len(train)])))
    orders = endless_batches(len(train), min(batch, len(train)), random)
    for _ in range(steps):
        rows = next(orders)
        yield pictures.numbers(train, rows), torch.from_numpy(train.labels[rows].astype(np.int64))
