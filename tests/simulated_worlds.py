"""Worlds whose truth is known, one for every kind of interval that is printed: what was found there, and the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import numpy as np
from numpy.typing import NDArray
from racing.intervals import error_rate, ratio
from shifting.rates import drawn_anew

from simulated_scores import (
    Ends,
    Random,
    a_fraction,
    classes,
    classes_across_groups,
    classes_of_copies,
    copies,
    ends,
    kept_shares,
    signs,
    thirds,
)
from whyconv.evidence.randomizing import _mean as mean_over_weights
from whyconv.measures.effective_field import _estimate as estimated_side
from whyconv.measures.effective_field import _sides as sides_of
from whyconv.measures.equivariance import _Intervals as ErrorIntervals
from whyconv.measures.translation import Answers, scored
from whyconv.results import Estimate
from whyconv.results.hyperparameters import LayerSetting
from whyconv.results.theory import TheoryScore
from whyconv.results.translation import TranslationProtocol
from whyconv.study import curves
from whyconv.study.detectors import _spread as spread_of
from whyconv.study.detectors import entropy_fraction
from whyconv.study.effects import main_effects
from whyconv.study.split import accuracy_of
from whyconv.study.theory.verdicts import Needs
from whyconv.training.calibration import calibration_error
from whyconv.training.intervals import mean
from whyconv.training.reliability import chance_band, debiased_error

Floats = NDArray[np.float64]
RATES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Kind:
    """A kind of interval.

    Attributes:
        over: What it is over.
        worlds: Settings by name; each draws a world, and gives the interval found there with the truth.
        least: Mean coverage over the settings is at least this, but for the spread of the simulation.
        most: And at most this.
        few: Worlds of each setting in the small form.
    """

    over: str
    worlds: dict[str, Callable[[Random], Ends]]
    least: float = 0.94
    most: float = 0.96
    few: int = 200


# --- over pictures


@cache
def moves(n: int) -> TranslationProtocol:
    shifts = [(float(down), float(right)) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
    return TranslationProtocol(kind="crop", shifts=shifts, side=(8, 8), n=n, dtype="float32", seed=0, num_draws=1000)


def answered(n: int, firm: float, random: Random) -> Answers:
    """Three classes; firm pictures keep their answer, of the others each move keeps it with probability 1/2."""
    unmoved, held = random.integers(0, 3, n), random.random(n) < firm
    others = (unmoved[:, None] + random.integers(1, 3, (n, 8))) % 3
    is_kept = held[:, None] | (random.random((n, 8)) < 0.5)
    return Answers(unmoved, unmoved, np.where(is_kept, unmoved[:, None], others), np.zeros(n), 0.0)


def kappas(n: int, firm: float, random: Random) -> Ends:
    # Kept: firm + (1 - firm) / 2; all classes are equally frequent before and after, so that chance agrees in a third.
    kept = (1 + firm) / 2
    return ends(scored(answered(n, firm, random), moves(n)).kappa, (kept - 1 / 3) / (2 / 3))


def calibrated(n: int, power: float, random: Random) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Answers of three classes whose true probabilities are those that are told raised to a power."""
    told = random.dirichlet([0.3] * 3, n)
    true = told**power
    true /= true.sum(axis=1, keepdims=True)
    labels = (random.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return told.astype(np.float32), labels.astype(np.int32)


def copies_calibrated(
    told: Floats, copies: int, power: float, random: Random
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    """The same of copies of pictures: nearly the same is told of each (groups, classes), one number draws the truth."""
    number = np.repeat(np.arange(len(told)), copies)
    told = told[number] * random.lognormal(0, 0.01, (len(number), told.shape[1]))
    told /= told.sum(axis=1, keepdims=True)
    true = told**power
    true /= true.sum(axis=1, keepdims=True)
    drawn = random.random((int(number[-1]) + 1, 1))[number]
    labels = (drawn > true.cumsum(axis=1)).sum(axis=1).clip(max=told.shape[1] - 1)
    return told.astype(np.float32), labels.astype(np.int32), number


@cache
def true_error(power: float) -> float:
    """Of so many pictures that chance shows next to nothing; of perfect probabilities 0."""
    if power == 1:
        return 0.0
    told, labels = calibrated(1_000_000, power, np.random.default_rng(0))
    bins = np.clip(np.ceil(told.max(axis=1) * 15).astype(int) - 1, 0, 14)
    gaps = (told.argmax(axis=1) == labels) - told.max(axis=1).astype(float)
    return float(np.abs(np.bincount(bins, gaps)).sum() / len(labels))


def calibration(n: int, power: float, random: Random) -> Ends:
    return ends(calibration_error(*calibrated(n, power, random)), true_error(power))


def chance_calibration(n: int, random: Random) -> Ends:
    found = debiased_error(*calibrated(n, 1.0, random))
    return found.low, found.high, found.value


def calibration_of_copies(groups: int, copies: int, power: float, random: Random) -> Ends:
    told = random.dirichlet([0.3] * 3, groups)
    return ends(calibration_error(*copies_calibrated(told, copies, power, random)), true_error(power))


def chance_of_copies(groups: int, copies: int, random: Random) -> Ends:
    sure = 0.5 + 0.5 * random.beta(8, 1, groups)
    found = debiased_error(*copies_calibrated(np.stack([sure, 1 - sure], axis=1), copies, 1.0, random))
    return found.low, found.high, found.value


def chance_of_sets(n: int, n_fit: int, random: Random) -> Ends:
    """Validation pictures put a bound where the rank says; a share of new ones lies below."""
    rank = int(np.ceil((n_fit + 1) * 0.95))
    bound = np.sort(random.random(n_fit))[rank - 1]
    return *chance_band(n, n_fit, 0.95), float((random.random(n) <= bound).mean())


def skewed_errors(n: int, deviation: float, random: Random) -> Ends:
    """Errors of maps, whose logarithms are normal."""
    drawn = ErrorIntervals(random.multinomial(n, np.full(n, 1 / n), 1000))
    return ends(drawn.of(random.lognormal(0, deviation, n)), float(np.exp(deviation**2 / 2)))


def squares(n: int, random: Random) -> Ends:
    """Gradients around the middle, each distance's part of a picture's gradient with a spread of a half.

    The square of 13 pixels just holds the share that is asked for: chance decides whether the pictures say 13 or 15.
    """
    distances = np.arange(12.0)
    true = np.exp(-distances / 3)
    share = true[:7].sum() / true.sum() - 5e-4
    draws = random.multinomial(n, np.full(n, 1 / n), 1000)
    found = estimated_side(true * random.lognormal(-0.125, 0.5, (n, 12)), distances, draws, share)
    return ends(found, float(sides_of(true[None], distances, share)[0]))


def spreads(n: int, random: Random) -> Ends:
    """Maps of 16 places, every place with a mean of its own and a spread of a half."""
    means = np.linspace(1, 3, 16)
    draws = random.multinomial(n, np.full(n, 1 / n), 1000) / n
    maps = (means * random.lognormal(-0.125, 0.5, (n, 16))).reshape(n, 4, 4)
    return ends(spread_of(maps, draws), float(entropy_fraction(means)))


def seeds_and_pictures(seeds: int, n: int, random: Random) -> Ends:
    """Rates of benchmarks, over seeds and pictures: a picture's ease, a seed's merit, and chance."""
    odds = 1.5 + random.normal(0, 1, (1, n)) + random.normal(0, 0.3, (seeds, 1))
    found = drawn_anew((random.random((seeds, n)) < 1 / (1 + np.exp(-odds))).astype(float))
    return ends(found, 100 * mean_rate())


@cache
def mean_rate() -> float:
    odds = 1.5 + np.random.default_rng(0).normal(0, (1 + 0.3**2) ** 0.5, 2_000_000)
    return float((1 / (1 + np.exp(-odds))).mean())


# --- over draws, seeds, settings


def repeated(n: int, random: Random) -> Ends:
    return ends(mean(random.normal(0.03, 0.02, n).tolist()), 0.03)


def trainings(n: int, p: float, random: Random) -> Ends:
    """Accuracies of trainings that differ by two points, each over 500 test pictures."""
    true = random.normal(p, 0.02, n).clip(0, 1)
    return ends(accuracy_of((random.binomial(500, true) / 500).tolist()), p)


def weights_drawn(n: int, random: Random) -> Ends:
    return ends(mean_over_weights(random.normal(0.1, 0.05, n).tolist()), 0.1)


SIZES = [60, 120, 240, 480, 960]
QUICK, SLOW = np.array([0.5, 0.62, 0.72, 0.8, 0.86]), np.array([0.45, 0.55, 0.63, 0.7, 0.76])
TARGET = 0.68


def along(curve: Floats) -> float:
    return float(np.interp(TARGET, curve, np.log(SIZES)))


def learning(draws: int, random: Random) -> tuple[Floats, Floats]:
    """Two corners on the same draws: what a draw does to both, and chance."""
    common = random.normal(0, 0.01, (1, draws))
    first, second = (one[:, None] + random.normal(0, 0.012, (5, draws)) + common for one in (QUICK, SLOW))
    return first, second


@cache
def weights(draws: int) -> Floats:
    return curves.draw_weights(draws)[:801]


def needed(draws: int, random: Random) -> Ends:
    logs = curves.log_needed(SIZES, learning(draws, random)[0], TARGET, weights(draws))
    return ends(curves.crossing(logs, SIZES, draws), float(np.exp(along(QUICK))))


def times_as_many(draws: int, random: Random) -> Ends:
    first, second = (curves.log_needed(SIZES, one, TARGET, weights(draws)) for one in learning(draws, random))
    return ends(curves.ratio(second, first, SIZES, draws), float(np.exp(along(SLOW) - along(QUICK))))


def exponents(draws: int, random: Random) -> Ends:
    sizes = SIZES[:4]
    errors = 3 * np.array(sizes, float)[:, None] ** -0.5 + random.normal(0, 0.01, (4, draws))
    found = curves.exponent(sizes, 1 - errors, weights(draws))
    assert found is not None
    return ends(found[0], 0.5)


def samples_needed(seeds: int, random: Random) -> Ends:
    first, second = learning(seeds, random)
    scores = [
        TheoryScore(
            network=network,
            n_train=size,
            accuracy=Estimate(value=0, low=0, high=0, n=seeds, over="seeds"),
            by_seed=row.tolist(),
            learning_rate=0.1,
            is_rate_at_edge=False,
        )
        for network, accuracies in (("convolution", first), ("local", second))
        for size, row in zip(SIZES, accuracies, strict=True)
    ]
    found = Needs(scores, TARGET, 0).ratio("signal_sharing", "local", "convolution", is_promised=False)
    return ends(found, float(np.exp(along(SLOW) - along(QUICK))))


def effects(random: Random) -> Ends:
    """Twenty settings drawn at random; a kernel of 5 adds two points, four times the filters three."""
    settings = [
        LayerSetting(kernel=int(kernel), filters=int(filters))
        for kernel, filters in zip(random.choice([3, 5], 20), random.choice([16, 64], 20), strict=True)
    ]
    accuracies = [
        0.8 + 0.02 * (one.kernel == 5) + 0.03 * (one.filters == 64) + random.normal(0, 0.01) for one in settings
    ]
    found, _ = main_effects(settings, accuracies, LayerSetting())
    return ends(next(one for one in found if one.factor == "kernel").accuracy, 0.02)


def steps(count: int, rank: int, random: Random) -> Ends:
    """Seconds of steps, whose median lies between two of them in order."""
    seconds = np.sort(random.lognormal(0, 0.3, count))
    return float(seconds[rank]), float(seconds[-1 - rank]), 1.0


def errors_beside(n: int, random: Random) -> Ends:
    """The error of one tool beside that of another, n seeds each."""
    top, bottom = (random.normal(rate, rate / 10, n).clip(1e-3, 1) for rate in (0.1, 0.2))
    wrong = [[round(100_000 * float(each)) for each in one] for one in (top, bottom)]
    return ends(ratio(*(error_rate(one, [100_000] * n) for one in wrong)), 0.5)


def grid(world: Callable[..., Ends], *settings: tuple[object, ...]) -> dict[str, Callable[[Random], Ends]]:
    """A world in several settings, named by them."""
    return {" ".join(map(str, one)): partial(world, *one) for one in settings}


KINDS = {
    "fraction, Wilson": Kind("pictures", grid(a_fraction, *product((10, 100, 1000, 10_000), RATES)), few=1000),
    "balanced accuracy": Kind(
        "pictures",
        grid(classes, *((count, n, p, p) for count in (2, 10, 50) for n in (5, 20, 100) for p in RATES))
        | grid(classes, *((10, n, least, 1.0) for n in (5, 20, 100) for least in (0.2, 0.6, 0.9))),
        most=0.97,
        few=40,
    ),
    "balanced accuracy of small classes": Kind(
        "pictures", grid(classes, *((100, n, p, p) for n in (1, 2, 3) for p in RATES)), most=0.97, few=80
    ),
    "fraction of copies": Kind(
        "groups of pictures",
        grid(copies, *product((20, 100, 400), ((1, 1, 1, 2, 5), (5,)), (0.0, 0.5, 1.0), RATES)),
        most=0.97,
        few=40,
    ),
    "balanced accuracy of copies": Kind(
        "groups of pictures", grid(classes_of_copies, *product((5, 20), RATES)), most=0.98, few=60
    ),
    "balanced accuracy of groups across classes": Kind(
        "groups of pictures",
        grid(classes_across_groups, *product((2, 10), (10, 40), (0.0, 0.5, 1.0), (0.7, 0.85))),
        most=0.98,
        few=40,
    ),
    "mean of fractions": Kind("pictures", grid(kept_shares, *product((20, 100, 400), (0.0, 0.5, 0.8, 0.95)))),
    "paired difference of answers": Kind(
        "pictures",
        grid(signs, *((n, *rates) for n in (50, 300, 2000) for rates in ((0.02, 0.01), (0.1, 0.05), (0.2, 0.2))))
        | grid(thirds, (100,), (1000,)),
        most=0.98,
    ),
    "kappa": Kind("pictures", grid(kappas, *product((20, 100, 400), (0.0, 0.5, 0.8, 0.95))), few=25),
    "calibration error": Kind(
        "pictures", grid(calibration, *product((60, 300, 2000), (1.0, 0.8, 0.5, 2.0))), most=0.99, few=12
    ),
    "calibration error of copies": Kind(
        "groups of pictures",
        grid(calibration_of_copies, *product((40, 200), (5, 20), (1.0, 0.5, 2.0))),
        most=1.0,
        few=12,
    ),
    "band of the calibration error": Kind("pictures", grid(chance_calibration, (100,), (300,), (1000,)), few=40),
    "band of the calibration error of copies": Kind(
        "groups of pictures", grid(chance_of_copies, (40, 5), (200, 5), (20, 10), (30, 20)), most=0.97, few=40
    ),
    "band of sets and of acceptance": Kind(
        "validation and scored pictures", grid(chance_of_sets, *product((50, 500), (40, 200, 2000))), most=0.98, few=60
    ),
    "error of maps": Kind("pictures", grid(skewed_errors, *product((20, 64, 256), (0.3, 0.6))), least=0.925, few=40),
    "side of the effective field": Kind("pictures", grid(squares, (20,), (64,), (256,)), most=1.0, few=100),
    "spread of a detector": Kind("pictures", grid(spreads, (20,), (100,), (500,)), few=25),
    "rate of a benchmark": Kind("seeds and pictures", grid(seeds_and_pictures, (3, 200), (5, 500)), most=1.0, few=20),
    "mean, Student": Kind("seeds or draws", grid(repeated, (2,), (3,), (5,), (10,)), few=1000),
    "accuracy of trainings": Kind("seeds or draws", grid(trainings, *product((3, 5), RATES))),
    "mean over drawn weights": Kind("draws of weights", grid(weights_drawn, (2,), (10,), (31,), (40,), (100,))),
    "pictures needed": Kind("draws", grid(needed, (3,), (5,), (10,)), most=0.98, few=40),
    "times as many pictures": Kind("draws", grid(times_as_many, (3,), (5,), (10,)), most=0.98, few=40),
    "exponent of a curve": Kind("draws", grid(exponents, (3,), (5,)), most=0.98, few=20),
    "samples needed, theory": Kind("seeds", grid(samples_needed, (3,), (5,)), most=0.98, few=20),
    "main effect": Kind("settings", {"20 settings": effects}),
    "median of steps": Kind("steps", grid(steps, (9, 1), (6, 0)), most=0.975, few=1000),
    "ratio of errors, race": Kind("seeds", grid(errors_beside, (3,), (6,)), most=0.995),
}
