"""Means over seeds, and ratios of two of them, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whyconv.training.intervals import fraction, mean


@dataclass(frozen=True)
class Mean:
    """A mean and its 95 % interval.

    Attributes:
        value: The mean.
        low: Lower end.
        high: Upper end; infinite where there is none.
        n: Units the interval is over.
        over: What they are.
    """

    value: float
    low: float
    high: float
    n: int
    over: Literal["seeds", "pictures"]


def error_rate(wrong: Sequence[int], totals: Sequence[int]) -> Mean:
    """Returns the mean error of a tool, in [0, 1], over its seeds (Student's t).

    With one seed the interval is Wilson's, over the pictures: it says nothing about other seeds.

    Args:
        wrong: Wrong answers, for each seed.
        totals: Pictures asked about, for each seed.
    """
    if len(wrong) == 1:
        found = fraction(wrong[0], totals[0])
        return Mean(found.value, found.low, found.high, totals[0], "pictures")
    found = mean([bad / n for bad, n in zip(wrong, totals, strict=True)], "seeds")
    return Mean(found.value, max(0.0, found.low), min(1.0, found.high), found.n, "seeds")


def ratio(top: Mean, bottom: Mean) -> Mean:
    """Returns ``top / bottom`` of two independent means, with the interval recovered from theirs (MOVER).

    Where the bottom's interval touches 0 the ratio has no upper bound. For symmetrical intervals this is Fieller's.

    References:
        Donner, Zou, *Closed-form confidence intervals for functions of the normal mean and standard deviation*
        (2012), Statistical Methods in Medical Research 21, 347-359, section on ratios.
    """
    n, over = min(top.n, bottom.n), "seeds" if top.over == bottom.over == "seeds" else "pictures"
    value = top.value / bottom.value if bottom.value else math.inf
    if bottom.low <= 0 or 2 * bottom.value <= bottom.high:
        return Mean(value, top.low / bottom.high if bottom.high else 0.0, math.inf, n, over)
    product = top.value * bottom.value
    low = _root(product, top.low, top.value, bottom.high, bottom.value, sign=-1)
    high = _root(product, top.high, top.value, bottom.low, bottom.value, sign=1)
    return Mean(value, max(0.0, low), high, n, over)


def _root(product: float, end: float, top: float, other: float, bottom: float, *, sign: int) -> float:
    """One end of the ratio's interval: ``end`` of the top's meets the opposite end ``other`` of the bottom's."""
    inside = product**2 - end * other * (2 * top - end) * (2 * bottom - other)
    return (product + sign * math.sqrt(max(0.0, inside))) / (other * (2 * bottom - other))


def apart(one: Mean, other: Mean) -> bool:
    """Whether two intervals have no point in common."""
    return one.high < other.low or other.high < one.low
