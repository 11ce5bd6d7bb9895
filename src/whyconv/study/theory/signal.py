"""A signal in one of many patches: sharing needs the fewest samples, then locality, then neither.

A sample is k patches of d numbers, all standard normal. One patch, each equally likely, has y * s * w added: w a
direction that the network is to find out, s the strength, y = 1 or -1 the label, equally likely. That is the Dynamic
Signal Distribution; the networks are of its authors' kind too: one unit a patch (dense: as many, each seeing all
patches) with the two-sided threshold, whose sum is the answer.

References:
    Lahoti, Karp, Winston, Singh, Li, *Role of locality and weight sharing in image-based tasks* (ICLR 2024), arXiv
    2403.15707: a convolution needs about k + d samples, a local network at least about k d, a dense one k^2 d.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray

from whyconv.results import ARCHITECTURES, Architecture, Estimate, TheoryScore, TheoryTask
from whyconv.study.theory.trials import Sampler, WindowTask
from whyconv.study.theory.verdicts import Needs
from whyconv.study.theory.windows import Windows
from whyconv.training.intervals import fraction

# Of the way from guessing to the best possible accuracy.
_TARGET = 0.8
_BEST_SAMPLES = 200_000


@dataclass(frozen=True)
class SignalSize:
    """How large the task is, and what is trained.

    Attributes:
        patches: k.
        taps: d, numbers in a patch.
        strength: s, in standard deviations of the noise.
        sizes: Training samples, rising.
        num_seeds: Of each training.
        learning_rates: Tried.
        steps: Of each training.
    """

    patches: int = 16
    taps: int = 16
    strength: float = 4.0
    sizes: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048, 4096)
    num_seeds: int = 5
    learning_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    steps: int = 300


def make_signal(size: SignalSize, random: np.random.Generator) -> Sampler:
    """Draws a direction, and returns what draws samples with it."""
    direction = random.standard_normal(size.taps)
    signal = (size.strength * direction / np.linalg.norm(direction)).astype(np.float32)

    def sample(samples: np.random.Generator, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        labels = samples.choice(np.array([-1, 1], np.float32), n)
        x = samples.standard_normal((n, size.patches, size.taps), np.float32)
        x[np.arange(n), samples.integers(0, size.patches, n)] += labels[:, None] * signal
        return x.reshape(n, -1), labels

    return sample


def signal_task(
    size: SignalSize, seed: int, make: Callable[[SignalSize, np.random.Generator], Sampler] = make_signal
) -> WindowTask:
    """The networks and their training; ``make`` is there to be replaced by a task that should be judged otherwise."""
    inputs = torch.arange(size.patches * size.taps).view(size.patches, size.taps)
    windows = Windows(size.patches * size.taps, inputs, 1, "threshold", "mean", start_offset=1.0)
    return WindowTask(windows, lambda random: make(size, random), size.learning_rates, size.steps, size.num_seeds, seed)


def best_accuracy(size: SignalSize, seed: int, n: int = _BEST_SAMPLES) -> Estimate:
    """Accuracy of the likelihood ratio, which knows the direction and which nothing can surpass.

    With z_t the part of patch t along w, the label is 1 where sum_t exp(s z_t) > sum_t exp(-s z_t). For one patch that
    is Phi(s).

    Args:
        size: Of the task.
        seed: Of the samples.
        n: Samples that are drawn.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, n])))
    along = random.standard_normal((n, size.patches))
    along[:, 0] += size.strength  # which patch it is, and the sign, make no difference
    scaled = size.strength * along
    return fraction(int((np.logaddexp.reduce(scaled, 1) > np.logaddexp.reduce(-scaled, 1)).sum()), n)


def best_linear_accuracy(size: SignalSize) -> float:
    """Accuracy of the best linear rule, y = sign(sum_t w . x_t): Phi(s / sqrt(k)). Exact."""
    return NormalDist().cdf(size.strength / math.sqrt(size.patches))


def target_accuracy(best: float) -> float:
    """What samples needed are counted for: a fixed part of the way from 1/2 to the best possible accuracy."""
    return 0.5 + _TARGET * (best - 0.5)


def judge_signal(size: SignalSize, seed: int, found: Mapping[tuple[Architecture, int], TheoryScore]) -> TheoryTask:
    """Samples needed for the target, and their ratios."""
    scores = [found[one, n] for one in ARCHITECTURES for n in size.sizes]
    best = best_accuracy(size, seed)
    target = target_accuracy(best.value)
    needs = Needs(scores, target, seed)
    settings = {"patches": size.patches, "taps": size.taps, "strength": size.strength, "steps": size.steps}
    known = {"best": best.value, "best_low": best.low, "best_high": best.high, "best_n": best.n}
    return TheoryTask(
        name="signal",
        settings=settings | known | {"linear": best_linear_accuracy(size), "part": _TARGET, "target": target},
        learning_rates=list(size.learning_rates),
        scores=scores,
        needed=[needs.needed(one) for one in ARCHITECTURES],
        expectations=[
            needs.ratio("signal_sharing", "local", "convolution", is_promised=True),
            needs.ratio("signal_locality", "dense", "local", is_promised=False),
        ],
    )
