"""The networks of the Red-Green task: trained, scored on both tests, and asked if a moved picture is another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.results import BORDERS, Border, TheoryScore, TheoryTask
from whyconv.study.split import accuracy_of, difference
from whyconv.study.theory.borders import SIDE, RedGreen, best_on_the_ring, draw_red_green
from whyconv.study.theory.trials import Tick
from whyconv.study.theory.verdicts import at_least, expect, expect_equal_logits, halfway, not_above
from whyconv.training.optimizers import rate_fraction

KERNEL, STRIDES = 3, (1, 2, 2, 2)
# Padding on each side, and what lies in it.
_PADDING: dict[Border, tuple[int, Literal["zeros", "circular"]]] = {
    "valid": (0, "zeros"),
    "zero": (1, "zeros"),
    "circular": (1, "circular"),
    "full": (2, "zeros"),
}
_BATCH, _WARMUP_FRACTION, _SCORED_AT_ONCE, _NUM_EXACT = 50, 0.05, 250, 50
# (similar, dissimilar), as the source has them.
PUBLISHED: dict[Border, tuple[float, float]] = {
    "valid": (1.0, 0.002),
    "zero": (0.998, 0.084),
    "circular": (0.737, 0.737),
    "full": (0.897, 0.897),
}
# Similar - dissimilar: 0 for who goes by the order of the squares, 1 for who goes by the place alone.
_BY_ORDER, _BY_PLACE = 0.0, 1.0


@dataclass(frozen=True)
class BordersSize:
    """How much is trained.

    Attributes:
        maps: Of the first two convolutions; the last two have twice as many. The authors have 32.
        n_train: Pictures. The authors have 2,000.
        epochs: Passes over them.
        num_seeds: Of each training. The authors have 10.
        learning_rates: Tried.
        num_validation: Pictures that choose the learning rate, of each seed.
        num_test: Pictures of each test, of each seed.
    """

    maps: int = 8
    n_train: int = 1000
    epochs: int = 12
    num_seeds: int = 4
    learning_rates: tuple[float, ...] = (0.003, 0.01)
    num_validation: int = 500
    num_test: int = 1000

    @property
    def steps(self) -> int:
        """Of one training."""
        return self.epochs * (self.n_train // _BATCH)


@dataclass(frozen=True)
class BorderTrial:
    """One seed's networks with one border.

    Attributes:
        validation: Accuracy and negative loss on validation pictures, of every rate.
        accuracy: (similar, dissimilar) of every rate.
        difference: Largest difference of a logit between a picture and the moved one, as a fraction of how far
            logits lie apart, in double precision; of every rate.
    """

    validation: list[tuple[float, float]]
    accuracy: list[tuple[float, float]]
    difference: list[float]


def make_network(border: Border, maps: int, seed: int) -> nn.Sequential:
    """Four convolutions without biases, ReLU, the greatest value of each map, a linear layer."""
    padding, mode = _PADDING[border]
    channels = (3, maps, maps, 2 * maps, 2 * maps)
    layers: list[nn.Module] = []
    for c_in, c_out, stride in zip(channels, channels[1:], STRIDES, strict=False):
        conv = nn.Conv2d(c_in, c_out, KERNEL, stride, padding, bias=False, padding_mode=mode)
        layers += [conv, nn.ReLU()]
    network = nn.Sequential(*layers, _GlobalMax(), nn.Linear(2 * maps, 2))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            fan_in = weight[0].numel() if weight.ndim > 1 else math.inf
            weight.copy_(torch.randn(weight.shape, generator=generator) * math.sqrt(2 / fan_in))
    return network


class _GlobalMax(nn.Module):
    """The greatest value of each map."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, c, h, w) to (n, c)."""
        return x.amax((2, 3))


def run_border(border: Border, size: BordersSize, seed: int, draw: int, tick: Tick = lambda: None) -> BorderTrial:
    """Trains with every learning rate on one draw of pictures.

    Args:
        border: Which.
        size: How much.
        seed: Of the whole.
        draw: Number of this seed's.
        tick: Called before every step.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, draw])))
    counts = (size.n_train, size.num_validation, size.num_test)
    train, validation, test = (draw_red_green(n, random) for n in counts)
    order_seed = int(random.integers(1 << 31))
    trial = BorderTrial([], [], [])
    for rate in size.learning_rates:
        network = make_network(border, size.maps, seed * 1000 + draw)
        _train(network, train, rate, size, np.random.default_rng(order_seed), tick)
        accuracy, loss = _score(network, validation.similar, validation.labels)
        trial.validation.append((accuracy, -loss))
        similar, dissimilar = (_score(network, one, test.labels)[0] for one in (test.similar, test.dissimilar))
        trial.accuracy.append((similar, dissimilar))
        trial.difference.append(largest_difference(network, test))
    return trial


def largest_difference(network: nn.Module, pictures: RedGreen) -> float:
    """Between the logits of pictures and of moved pictures, as a fraction of how far the logits lie apart."""
    exact = network.double()
    with torch.no_grad():
        similar, dissimilar = (
            exact(torch.from_numpy(one[:_NUM_EXACT]).double()) for one in (pictures.similar, pictures.dissimilar)
        )
    network.float()
    largest, apart = float((similar - dissimilar).abs().max()), float(similar.max() - similar.min())
    return largest / apart if apart else largest


def judge_borders(size: BordersSize, found: Mapping[tuple[Border, int], BorderTrial]) -> TheoryTask:
    """Chooses the rate of each border on validation, and compares."""
    trials = {border: [found[border, draw] for draw in range(size.num_seeds)] for border in BORDERS}
    best = {border: _best_rate(of_border) for border, of_border in trials.items()}
    scores = [score for border in BORDERS for score in _scores(border, size, trials[border], best[border])]
    at = {(one.network, one.test): one for one in scores}
    ring = float(best_on_the_ring(math.prod(STRIDES)))
    apart = {
        border: difference(at[border, "similar"].by_seed, at[border, "dissimilar"].by_seed, "seeds")
        for border in BORDERS
    }
    misled = halfway(_BY_PLACE, _BY_ORDER)
    exact = {border: [one.difference[best[border]] for one in trials[border]] for border in BORDERS}
    return TheoryTask(
        name="borders",
        settings={
            "side": SIDE,
            "maps": size.maps,
            "n": size.n_train,
            "steps": size.steps,
            "ring": ring,
            "seeds": size.num_seeds,
        },
        learning_rates=list(size.learning_rates),
        scores=scores,
        expectations=[
            expect("borders_valid", apart["valid"], misled, at_least),
            expect("borders_zero", apart["zero"], misled, at_least),
            expect_equal_logits("borders_circular", exact["circular"]),
            expect_equal_logits("borders_full", exact["full"]),
            expect("borders_best", at["circular", "similar"].accuracy, ring, not_above, is_accuracy=True),
            expect("borders_order", at["full", "dissimilar"].accuracy, ring, is_accuracy=True),
        ],
    )


def _best_rate(trials: list[BorderTrial]) -> int:
    """The best mean accuracy on validation, and between equals the least loss."""
    means = np.mean([one.validation for one in trials], axis=0)
    return max(range(len(means)), key=lambda rate: tuple(means[rate]))


def _scores(border: Border, size: BordersSize, trials: list[BorderTrial], rate: int) -> list[TheoryScore]:
    scores = []
    for column, test in enumerate(("similar", "dissimilar")):
        by_seed = [one.accuracy[rate][column] for one in trials]
        scores.append(
            TheoryScore(
                network=border,
                test="similar" if test == "similar" else "dissimilar",
                n_train=size.n_train,
                accuracy=accuracy_of(by_seed, "seeds"),
                by_seed=by_seed,
                learning_rate=size.learning_rates[rate],
                is_rate_at_edge=len(size.learning_rates) > 1 and rate in (0, len(size.learning_rates) - 1),
                published=PUBLISHED[border][column],
            )
        )
    return scores


def _train(
    network: nn.Module, part: RedGreen, rate: float, size: BordersSize, random: np.random.Generator, tick: Tick
) -> None:
    """Adam; the rate rises for a twentieth and falls along half a cosine."""
    optimizer = torch.optim.Adam(network.parameters(), rate)
    pictures, labels = torch.from_numpy(part.similar), torch.from_numpy(part.labels)
    for step in range(size.steps):
        tick()
        batch = step % (size.n_train // _BATCH)
        if batch == 0:
            order = torch.from_numpy(random.permutation(size.n_train))
        rows = order[batch * _BATCH : (batch + 1) * _BATCH]
        optimizer.param_groups[0]["lr"] = rate * rate_fraction("cosine", step, size.steps, _WARMUP_FRACTION)
        loss = functional.cross_entropy(network(pictures[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _score(network: nn.Module, pictures: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean cross-entropy."""
    with torch.no_grad():
        logits = torch.cat([network(one) for one in torch.split(torch.from_numpy(pictures), _SCORED_AT_ONCE)])
    truth = torch.from_numpy(labels)
    return float((logits.argmax(1) == truth).float().mean()), float(functional.cross_entropy(logits, truth))
