"""Rates of answers to moved pictures over seeds, and differences between arms, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from racing.cells import Row

from whyconv.training.intervals import mean_weights

Rate = Literal["accuracy", "consistency", "worst_case_correct"]
RATES: tuple[Rate, ...] = get_args(Rate)
_NUM_DRAWS = 2000
_UNMOVED = 12  # of the 25 windows


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval, in percent or percentage points."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:6.2f} ({self.low:.2f} to {self.high:.2f})"


def per_picture(answers: NDArray[np.int64], truth: NDArray[np.int64]) -> dict[Rate, NDArray[np.float64]]:
    """What each picture adds to each rate, in [0, 1], (n,).

    Accuracy: right unmoved. Consistency: the share of the 24 shifts that keep the answer. Worst-case-correct: right
    unmoved and under every shift.

    Args:
        answers: (n, 25), the unmoved one in the middle.
        truth: (n,).
    """
    unmoved = answers[:, _UNMOVED]
    same = np.delete(answers == unmoved[:, None], _UNMOVED, axis=1)
    return {
        "accuracy": (unmoved == truth).astype(np.float64),
        "consistency": same.mean(axis=1),
        "worst_case_correct": (answers == truth[:, None]).all(axis=1).astype(np.float64),
    }


def packed(answers: NDArray[np.int64]) -> list[str]:
    """Answers (n, 25) as one word of digits a picture."""
    return ["".join(map(str, row)) for row in answers.tolist()]


def unpacked(words: list[str]) -> NDArray[np.int64]:
    """The answers (n, 25) that ``packed`` has written."""
    return np.array([[int(digit) for digit in word] for word in words], np.int64)


def by_seed(rows: list[Row], arm: str, truth: NDArray[np.int64], rate: Rate) -> dict[int, NDArray[np.float64]]:
    """What each picture adds to a rate of an arm, seed by seed."""
    return {row["seed"]: per_picture(unpacked(row["answers"]), truth)[rate] for row in rows if row["arm"] == arm}


def drawn_anew(values: NDArray[np.float64], draws_seed: int = 0) -> Interval:
    """The mean of values (seeds, pictures) with an interval over both: seeds and pictures are drawn anew, apart.

    All seeds are asked about the same pictures, so a picture that is drawn is drawn for all of them. Seeds are few:
    they get weights under which their mean spreads as Student's t says. With one seed the interval is over pictures.

    Args:
        values: In [-1, 1]; differences of two arms, for an interval of their difference.
        draws_seed: Of the draws.

    References:
        Owen, *The pigeonhole bootstrap* (2007), arXiv 0712.1111.
    """
    draw = np.random.default_rng(draws_seed)
    seeds, pictures = values.shape
    by_picture = draw.multinomial(pictures, np.full(pictures, 1 / pictures), _NUM_DRAWS) / pictures
    per_seed = mean_weights(seeds, _NUM_DRAWS, draw)[1:] if seeds > 1 else np.ones((_NUM_DRAWS, 1))
    means = ((per_seed @ values) * by_picture).sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(100 * float(values.mean()), 100 * float(low), 100 * float(high))


def rate_of(rows: list[Row], arm: str, truth: NDArray[np.int64], rate: Rate) -> Interval:
    """A rate of an arm in percent."""
    return drawn_anew(np.stack(list(by_seed(rows, arm, truth, rate).values())))


def difference(rows: list[Row], arm: str, other: str, truth: NDArray[np.int64], rate: Rate) -> Interval:
    """How much higher a rate is for ``arm`` than for ``other``, in percentage points; paired by seed and picture."""
    ours, theirs = by_seed(rows, arm, truth, rate), by_seed(rows, other, truth, rate)
    return drawn_anew(np.stack([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]))
