"""Red against green energy: a convolution with a global mean learns it from few samples, a dense network does not.

A picture has a red and a green channel of independent standard normal numbers; the label is 1 where the sum of squares
of the red ones is the larger, else -1. Nothing is hidden: the rule itself is always right. Hidden units take squares,
so that each of the networks can say the rule exactly; the dense one has units enough for it.

References:
    Li, Zhang, Arora, *Why are convolutional nets more sample-efficient than fully-connected nets?* (ICLR 2021), arXiv
    2010.08515: training that treats all turns of the input alike, as gradient descent from Gaussian weights does, needs
    about d^2 samples of d numbers; a convolution needs a number that does not grow with d.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from whyconv.results import ARCHITECTURES, Architecture, TheoryScore, TheoryTask
from whyconv.study.theory.trials import Sampler, WindowTask
from whyconv.study.theory.verdicts import at_most, expect, halfway
from whyconv.study.theory.windows import Windows

# The rule itself, red energy - green energy, is always right.
_BEST = 1.0


@dataclass(frozen=True)
class EnergySize:
    """How large the task is, and what is trained.

    Attributes:
        side: Of the pictures, which are rings, in pixels.
        kernel: Side of the windows; odd.
        units: Hidden units of each window.
        few: Training samples from which the convolution is to learn.
        many: Training samples from which the dense network still does not.
        num_seeds: Of each training.
        learning_rates: Tried.
        steps: Of each training.
    """

    side: int = 8
    kernel: int = 3
    units: int = 4
    few: int = 200
    many: int = 800
    num_seeds: int = 5
    learning_rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    steps: int = 300


def make_energy(size: EnergySize, random: np.random.Generator) -> Sampler:
    """Returns what draws samples; there is no secret."""
    del random

    def sample(samples: np.random.Generator, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        x = samples.standard_normal((n, 2, size.side**2), np.float32)
        energy = np.square(x).sum(2, np.float64)
        return x.reshape(n, -1), np.where(energy[:, 0] > energy[:, 1], 1, -1).astype(np.float32)

    return sample


def energy_task(size: EnergySize, seed: int) -> WindowTask:
    """The networks and their training."""
    windows = Windows(2 * size.side**2, ring_windows(2, size.side, size.kernel), size.units, "square", "mean")
    return WindowTask(
        windows, lambda random: make_energy(size, random), size.learning_rates, size.steps, size.num_seeds, seed
    )


def ring_windows(channels: int, side: int, kernel: int) -> torch.Tensor:
    """Windows around every pixel of a picture whose borders are joined: int64 (side * side, channels * kernel^2)."""
    places = torch.arange(channels * side**2).view(channels, side, side)
    reached = (torch.arange(side)[:, None] + torch.arange(kernel) - kernel // 2) % side
    # (channels, row, tap down, column, tap across) -> (row, column, channels, taps).
    return places[:, reached][..., reached].permute(1, 3, 0, 2, 4).reshape(side**2, -1)


def judge_energy(size: EnergySize, found: Mapping[tuple[Architecture, int], TheoryScore]) -> TheoryTask:
    """The convolution at few samples, the dense network at many: on which side of halfway to the best."""
    middle = halfway(_BEST)
    return TheoryTask(
        name="energy",
        settings={
            "side": size.side,
            "kernel": size.kernel,
            "units": size.units,
            "inputs": 2 * size.side**2,
            "few": size.few,
            "many": size.many,
            "steps": size.steps,
        },
        learning_rates=list(size.learning_rates),
        scores=[found[one, n] for one in ARCHITECTURES for n in (size.few, size.many)],
        expectations=[
            expect("energy_convolution", found["convolution", size.few].accuracy, middle, is_accuracy=True),
            expect("energy_dense", found["dense", size.many].accuracy, middle, at_most, is_accuracy=True),
        ],
    )
