"""A few bits in a row decide: locality is enough to find them, sharing is not needed.

A sample is N random bits, 1 or -1; the label is the product of k of them that stand in a row, somewhere: where is the
same for all samples of a seed and is to be found out. New samples in every step, so what fails is the search and not
the number of samples. The readout has a weight for each place, since the place counts.

References:
    Malach, Shalev-Shwartz, *Computational separation between convolutional and fully-connected networks* (ICLR 2021),
    arXiv 2010.01369: such labels are learned by gradient descent on networks with windows, shared or not, and not by a
    dense network of a size that is polynomial in N, when k grows with log N.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from whyconv.results import ARCHITECTURES, Architecture, TheoryScore, TheoryTask
from whyconv.study.split import difference
from whyconv.study.theory.trials import Sampler, WindowTask
from whyconv.study.theory.verdicts import at_most, expect, halfway, not_below
from whyconv.study.theory.windows import Windows

# The product of the right bits is always right.
_BEST = 1.0


@dataclass(frozen=True)
class BitsSize:
    """How large the task is, and what is trained.

    Attributes:
        bits: N.
        row: k, bits that the label depends on.
        units: Hidden units of each window of ``row`` bits.
        num_seeds: Of each training.
        learning_rates: Tried.
        steps: Of each training, with 128 new samples each.
    """

    bits: int = 48
    row: int = 6
    units: int = 16
    num_seeds: int = 5
    learning_rates: tuple[float, ...] = (0.03, 0.06, 0.12, 0.25, 0.5)
    steps: int = 900


def make_bits(size: BitsSize, random: np.random.Generator) -> Sampler:
    """Draws where the bits stand that decide, and returns what draws samples."""
    first = int(random.integers(0, size.bits - size.row + 1))

    def sample(samples: np.random.Generator, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        x = samples.choice(np.array([-1, 1], np.float32), (n, size.bits))
        return x, x[:, first : first + size.row].prod(1)

    return sample


def bits_task(size: BitsSize, seed: int) -> WindowTask:
    """The networks and their training."""
    inputs = torch.arange(size.bits - size.row + 1)[:, None] + torch.arange(size.row)
    windows = Windows(size.bits, inputs, size.units, "relu", "places")
    return WindowTask(
        windows, lambda random: make_bits(size, random), size.learning_rates, size.steps, size.num_seeds, seed
    )


def judge_bits(size: BitsSize, found: Mapping[Architecture, TheoryScore]) -> TheoryTask:
    """Who has found the bits: on which side of halfway to the best."""
    middle = halfway(_BEST)
    apart = difference(found["local"].by_seed, found["convolution"].by_seed, "seeds")
    return TheoryTask(
        name="bits",
        settings={"bits": size.bits, "row": size.row, "units": size.units, "steps": size.steps},
        learning_rates=list(size.learning_rates),
        scores=[found[one] for one in ARCHITECTURES],
        expectations=[
            expect("bits_convolution", found["convolution"].accuracy, middle, is_accuracy=True),
            expect("bits_local", found["local"].accuracy, middle, is_accuracy=True),
            expect("bits_dense", found["dense"].accuracy, middle, at_most, is_accuracy=True),
            expect("bits_sharing", apart, 0.0, not_below, is_promised=False),
        ],
    )
