"""One training of one arm, and its answers to every shift of every test picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shifting.networks import SEEN, SwiftLike
from whyconv.nets.windowed import Windowed
from whyconv.results.windows import window_places
from whyconv.training.augment import epoch_batches, epoch_draws, epoch_order
from whyconv.training.cost import cost
from whyconv.training.muon import Muon
from whyconv.training.precision import Forward, computing_in

_SMOOTHING = 0.2
_ASKED, _TIMED, _WHITENED = 250, 100, 2000
_MIRROR = 4  # of the draws
# What is computed once for windows and what the network itself says may differ by so much, in logits of bfloat16.
_MOST_APART = 0.05


@dataclass(frozen=True, eq=False)
class Pictures:
    """Normalized numbers (n, 3, 32, 32) and classes (n,) to learn from and to be asked about."""

    train: Tensor
    train_labels: NDArray[np.int64]
    asked: Tensor
    asked_labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trial:
    """Answers (n, 25) to windows of 28 pixels, the unmoved one in the middle; and seconds.

    ``training_seconds``: of all steps; ``seconds_per_picture``: of one answer to one picture.
    """

    answers: NDArray[np.int64]
    training_seconds: float
    seconds_per_picture: float


def run_trial(network: nn.Module, pictures: Pictures, *, epochs: int, batch: int, seed: int) -> Trial:
    """Trains by the recipe of ``swift`` and asks about every shift; convolutions compute in bfloat16."""
    for each in network.modules():
        if isinstance(each, SwiftLike):
            each.whiten(pictures.train[:_WHITENED])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with computing_in("bfloat16", network) as ask:
        began = time.perf_counter()
        _learn(network, ask, pictures, epochs, batch, seed)
        seconds = time.perf_counter() - began
        network.eval()
        with torch.inference_mode():
            logits = crop_logits(network, ask, pictures.asked)
            each = _seconds_each(ask, pictures.asked)
    return Trial(logits.argmax(axis=-1).reshape(len(logits), -1), seconds, each)


def crops(x: Tensor, draws: NDArray[np.float32]) -> Tensor:
    """One crop of 28 pixels of each picture (n, 3, 32, 32), mirrored where that is drawn."""
    places = x.shape[2] - SEEN + 1
    starts = np.minimum((draws[:, 2:4] * places).astype(np.int64), places - 1)
    within = np.arange(SEEN)
    across = np.where(draws[:, _MIRROR, None] < 0.5, within[::-1], within) + starts[:, 1:]
    pictures, channels = torch.arange(len(x)).view(-1, 1, 1, 1), torch.arange(x.shape[1]).view(1, -1, 1, 1)
    rows, columns = torch.from_numpy(within + starts[:, :1]), torch.from_numpy(across)
    found = x[pictures, channels, rows[:, None, :, None], columns[:, None, None, :]]
    return found.contiguous(memory_format=torch.channels_last)


def _learn(network: nn.Module, ask: Forward, pictures: Pictures, epochs: int, batch: int, seed: int) -> None:
    n = len(pictures.train)
    optimizer = Muon(network, 0.02 * (batch / 16) ** 0.5, other_learning_rate=0.005 * (batch / 16) ** 0.5)
    highest = [group["lr"] for group in optimizer.param_groups]
    num_steps, step, offsets = epochs * len(epoch_batches(np.arange(n), batch)), 0, torch.zeros(10)
    network.train()
    for epoch in range(1, epochs + 1):
        draws = epoch_draws(seed, epoch, n)
        for rows in epoch_batches(epoch_order(seed, epoch, n), batch):
            torch.manual_seed(seed * 1_000_003 + step)
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group["lr"] = rate * (1 - step / num_steps)
            logits = ask(crops(pictures.train[torch.from_numpy(rows)], draws[rows]))
            loss = cost(logits, torch.from_numpy(pictures.train_labels[rows]), offsets, _SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            step += 1


def crop_logits(network: nn.Module, ask: Forward, x: Tensor) -> NDArray[np.float32]:
    """Logits (n, 5, 5, classes) of all crops of 28 pixels of pictures (n, 3, 32, 32).

    Windows that several crops have in common are looked at once. That this is what the network says itself is made sure
    of on some pictures.

    Raises:
        RuntimeError: It is not.
    """
    places = range(x.shape[2] - SEEN + 1)
    if not isinstance(network, Windowed):
        return _looks(ask, x, SEEN)
    inside = _looks(_behind(network, ask), x, network.window)
    steps = window_places(SEEN, network.window)
    rows = [np.stack([_mean_at(inside, top, left, steps) for left in places], axis=1) for top in places]
    found = np.stack(rows, axis=1)
    some = x[:8, :, :SEEN, :SEEN].contiguous(memory_format=torch.channels_last)
    apart = float(np.abs(ask(some).numpy() - found[:8, 0, 0]).max())
    if apart > _MOST_APART:
        raise RuntimeError(f"Windows looked at once give logits that differ by {apart:.3g} from the network's own.")
    return found


def _mean_at(inside: NDArray[np.float32], top: int, left: int, steps: list[int]) -> NDArray[np.float32]:
    windows = [inside[:, top + down, left + right] for down, right in product(steps, steps)]
    return np.asarray(np.mean(windows, axis=0), np.float32)


def _behind(network: Windowed, ask: Forward) -> Forward:
    """Asks what looks through the windows, in the precision of ``ask``: a picture of one window is one window."""

    def asked(x: Tensor) -> Tensor:
        kept = network.side, network.window
        network.side = network.window = x.shape[2]
        try:
            return ask(x)
        finally:
            network.side, network.window = kept

    return asked


def _looks(ask: Callable[[Tensor], Tensor], x: Tensor, side: int) -> NDArray[np.float32]:
    """Logits (n, places, places, classes) of every square of a side."""
    places = range(x.shape[2] - side + 1)
    rows = []
    for top, left in product(places, places):
        seen = x[:, :, top : top + side, left : left + side].contiguous(memory_format=torch.channels_last)
        rows.append(torch.cat([ask(some) for some in seen.split(_ASKED)]).numpy())
    return np.stack(rows, axis=1).reshape(len(x), len(places), len(places), -1)


def _seconds_each(ask: Forward, x: Tensor) -> float:
    """Of one answer, the median of three looks at 100 pictures."""
    few = x[:_TIMED, :, :SEEN, :SEEN].contiguous(memory_format=torch.channels_last)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        ask(few)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[1] / len(few)
