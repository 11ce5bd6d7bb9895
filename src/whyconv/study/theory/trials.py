"""One architecture on one task: every seed and learning rate at once, the rate that validation chooses, the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.results import Architecture, TheoryScore
from whyconv.study.split import accuracy_of
from whyconv.study.theory.windows import Windows, WindowStack, train

# From a generator and a number of samples to samples (n, inputs) and labels (n,), 1 or -1.
Sampler = Callable[[np.random.Generator, int], tuple[NDArray[np.float32], NDArray[np.float32]]]
Tick = Callable[[], None]

_SCORED_AT_ONCE = 500
# What random numbers are for: no two streams are alike.
_SECRET, _TRAIN, _ORDER, _VALIDATION, _TEST = 1, 2, 3, 4, 5


@dataclass(frozen=True, eq=False)
class WindowTask:
    """What the networks are trained on, and how.

    Attributes:
        windows: Of the networks.
        make_sampler: Draws what a network is to find out, and returns what makes samples of it; once for each seed.
        learning_rates: Tried for every architecture alike.
        steps: Of every training.
        num_seeds: Each with a secret, samples and starting weights of its own.
        seed: Of the whole.
        batch: Samples a step, at most.
        num_validation: Samples that choose the learning rate, for each seed.
        num_test: Samples that accuracies are over, for each seed.
    """

    windows: Windows
    make_sampler: Callable[[np.random.Generator], Sampler]
    learning_rates: tuple[float, ...]
    steps: int
    num_seeds: int
    seed: int
    batch: int = 128
    num_validation: int = 1000
    num_test: int = 4000

    def run(self, architecture: Architecture, n_train: int | None, tick: Tick = lambda: None) -> TheoryScore:
        """Trains, chooses the rate, tests.

        Args:
            architecture: Which.
            n_train: Training samples, the first n of each seed's; None for new ones in every step.
            tick: Called before every step.
        """
        samplers = [self.make_sampler(self._random(_SECRET, one)) for one in range(self.num_seeds)]
        rates = self.learning_rates
        starts = [self.seed * 1000 + one for one in range(self.num_seeds) for _ in rates]
        stack = WindowStack(architecture, self.windows, starts)
        batches = self._batches(samplers, n_train, tick)
        train(stack, torch.tensor(rates * self.num_seeds), batches, self.steps)
        validation = self._accuracy(stack, samplers, _VALIDATION, self.num_validation).mean(0)
        best = int(validation.argmax())
        by_seed = self._accuracy(stack, samplers, _TEST, self.num_test)[:, best].tolist()
        return TheoryScore(
            network=architecture,
            n_train=n_train,
            accuracy=accuracy_of(by_seed, "seeds"),
            by_seed=by_seed,
            learning_rate=rates[best],
            is_rate_at_edge=len(rates) > 1 and best in (0, len(rates) - 1),
        )

    def _batches(self, samplers: list[Sampler], n_train: int | None, tick: Tick) -> Iterator[tuple[Tensor, Tensor]]:
        """Samples (members, batch, inputs) and labels (members, batch) of each step."""
        makers = [self._random(_TRAIN, one) for one in range(self.num_seeds)]
        orders = [self._random(_ORDER, one) for one in range(self.num_seeds)]
        kept = [] if n_train is None else [make(maker, n_train) for make, maker in zip(samplers, makers, strict=True)]
        for _ in range(self.steps):
            tick()
            if n_train is None:
                drawn = [make(maker, self.batch) for make, maker in zip(samplers, makers, strict=True)]
            elif n_train <= self.batch:
                drawn = kept
            else:
                rows = [order.integers(0, n_train, self.batch) for order in orders]
                drawn = [(samples[at], labels[at]) for (samples, labels), at in zip(kept, rows, strict=True)]
            yield self._for_members(drawn)

    def _accuracy(self, stack: WindowStack, samplers: list[Sampler], purpose: int, n: int) -> Tensor:
        """Fraction right of n new samples: (seeds, rates)."""
        makers = [self._random(purpose, one) for one in range(self.num_seeds)]
        right = torch.zeros(self.num_seeds * len(self.learning_rates))
        for start in range(0, n, _SCORED_AT_ONCE):
            some = min(_SCORED_AT_ONCE, n - start)
            samples, labels = self._for_members([make(one, some) for make, one in zip(samplers, makers, strict=True)])
            with torch.no_grad():
                right += (stack(samples) * labels > 0).sum(1)
        return (right / n).view(self.num_seeds, -1)

    def _for_members(self, drawn: list[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> tuple[Tensor, Tensor]:
        """The same samples for every learning rate of a seed."""
        samples, labels = (torch.from_numpy(np.stack([one[part] for one in drawn])) for part in (0, 1))
        repeats = len(self.learning_rates)
        return samples.repeat_interleave(repeats, 0), labels.repeat_interleave(repeats, 0)

    def _random(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, purpose, number])))
