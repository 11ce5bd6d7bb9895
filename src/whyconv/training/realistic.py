"""Training for pictures that move as they do in reality, and what came of it: answers through windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.nets.windowed import Windowed, window_for
from whyconv.results.windows import ThroughWindows, window_places
from whyconv.settings import SCRATCH, NetworkPlan, TrainSettings
from whyconv.training.intervals import fraction, paired
from whyconv.training.pixel_rows import LabelledPixels, PixelRows

_BATCH = 256
_TIMED, _TURNS = 32, 5


def realistic_settings(settings: TrainSettings, side: int) -> TrainSettings:
    """The settings with random weights unless a file is named.

    Args:
        settings: With ``invariant`` asked for.
        side: Of the pictures in pixels, where none is asked for.

    Raises:
        UsageError: The pictures are too small to be looked at through windows.
    """
    window_for(settings.size or side)
    return settings.model_copy(update={"start": None if settings.start == SCRATCH else settings.start})


def num_windows(plan: NetworkPlan) -> int:
    """How many windows of a picture an answer is the mean of; 1 where the whole picture is looked at."""
    return len(window_places(plan.side, plan.window)) ** 2 if plan.window else 1


def through_middle(part: LabelledPixels, plan: NetworkPlan) -> LabelledPixels:
    """The middle window of each picture, which is what layers behind windows see; without windows whole pictures.

    Args:
        part: At the network's side; not copied.
        plan: Of the network.
    """
    if not plan.window:
        return part
    inside, pixels = _middle(plan.side, plan.window), part.pixels
    if isinstance(pixels, PixelRows):
        return replace(part, pixels=replace(pixels, source=pixels.source[:, inside, inside]))
    return replace(part, pixels=pixels[:, inside, inside])


def look_through(network: Windowed, pictures: Tensor, labels: NDArray[np.int64]) -> ThroughWindows:
    """Asks a network about pictures through all its windows, and through the middle one alone.

    Args:
        network: Put in evaluation mode.
        pictures: Normalized (n, c, side, side), n >= 2.
        labels: Their classes (n,).
    """
    network.eval()
    inside = _middle(network.side, network.window)
    with torch.inference_mode():
        every = _answers(network, pictures)
        one = _answers(network.network, pictures[:, :, inside, inside])
        few = pictures[:_TIMED]
        seconds = _seconds([lambda: network(few), lambda: network.network(few[:, :, inside, inside])])
    right, right_one = every == labels, one == labels
    return ThroughWindows(
        side=network.side,
        window=network.window,
        places=window_places(network.side, network.window),
        num_windows=network.num_windows,
        accuracy=fraction(int(right.sum()), len(labels)),
        accuracy_of_one=fraction(int(right_one.sum()), len(labels)),
        gain=paired(right.astype(np.float64) - right_one),
        changed=fraction(int((every != one).sum()), len(labels)),
        seconds_per_picture=seconds[0] / len(few),
        seconds_of_one=seconds[1] / len(few),
    )


def _middle(side: int, window: int) -> slice:
    """Where the middle one of the windows lies along one axis."""
    places = window_places(side, window)
    middle = places[len(places) // 2]
    return slice(middle, middle + window)


def _answers(ask: Callable[[Tensor], Tensor], pictures: Tensor) -> NDArray[np.int64]:
    parts = [ask(pictures[start : start + _BATCH]).argmax(dim=1) for start in range(0, len(pictures), _BATCH)]
    return torch.cat(parts).numpy()


def _seconds(looks: list[Callable[[], Tensor]]) -> list[float]:
    """The median seconds of each look, taken in turns, so that a moment's disturbance hits both."""
    taken: list[list[float]] = [[] for _ in looks]
    for turn in range(_TURNS + 1):
        for look, own in zip(looks, taken, strict=True):
            began = time.perf_counter()
            look()
            if turn:  # the first makes kernels and asks for memory
                own.append(time.perf_counter() - began)
    return [median(each) for each in taken]
