"""Estimates as text, the same in the terminal and in the report; the unit is left to the heading."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from statistics import geometric_mean
from typing import Literal

from whyconv.results.curves import Crossing, Memorized
from whyconv.results.record import Estimate


def in_percent(estimate: Estimate) -> str:
    """``84.1 (80-88)``: in percent."""
    low, high = _whole_ends(estimate)
    return f"{100 * estimate.value:.1f} ({low}{_dash(low)}{high})"


def in_points(estimate: Estimate) -> str:
    """``+3.1 ± 1.9``: a difference of two accuracies in percentage points; t intervals reach equally far both ways."""
    value = _rounded(100 * estimate.value, 1)
    return f"{value:+.1f} ± {50 * (estimate.high - estimate.low):.1f}"


def verdict(gain: Estimate) -> Literal["wins", "undecided", "loses"]:
    """What a gain of the convolution on the dense layer says of it."""
    return "wins" if gain.sign > 0 else "loses" if gain.sign < 0 else "undecided"


def told_points(gain: Estimate) -> str:
    """``in_points``, without its sign where the verdict says it."""
    return in_points(gain).lstrip("+-") if gain.sign else in_points(gain)


def points_with_ends(estimate: Estimate) -> str:
    """``+3.1 (+1.2 .. +5.0)``: a difference of two accuracies in percentage points, whatever its interval."""
    return f"{_rounded(100 * estimate.value, 1):+.1f} ({ends_in_points(estimate)})"


def ends_in_points(estimate: Estimate) -> str:
    """``+1.2 .. +5.0``: the interval of a difference of two accuracies in percentage points."""
    low, high = (_rounded(100 * each, 1) for each in (estimate.low, estimate.high))
    return f"{low:+.1f} .. {high:+.1f}"


def in_spread(estimate: Estimate | None) -> str:
    """``84.1 (80-88)``: in percent of a spread; 0 where all of it would be shown so, a dash where it is missing."""
    if estimate is None:
        return "-"
    return "0" if estimate.high < 5e-4 else in_percent(estimate)


def added_spread(estimate: Estimate | None) -> str:
    """``+3.1 (+1..+5)``: a difference of two of these; 0 and dash as there."""
    if estimate is None:
        return "-"
    if max(abs(estimate.low), abs(estimate.high)) < 5e-4:
        return "0"
    low, high = _whole_ends(estimate)
    return f"{_rounded(100 * estimate.value, 1):+.1f} ({low:+d}..{high:+d})"


def as_number(estimate: Estimate) -> str:
    """``0.84 (0.80-0.88)``, ``-0.10 (-0.30..0.10)``."""
    return f"{estimate.value:.2f} ({estimate.low:.2f}{_dash(estimate.low)}{estimate.high:.2f})"


def percent_after(after: Estimate, change: Estimate) -> str:
    """``88.2 (+1..+5)``: after, and the interval of the change in percentage points."""
    low, high = _rounded(100 * change.low, 0), _rounded(100 * change.high, 0)
    return f"{100 * after.value:.1f} ({low:+.0f}..{high:+.0f})"


def number_after(after: Estimate, change: Estimate) -> str:
    """``0.84 (+0.01..+0.05)``: after, and the interval of the change."""
    return f"{after.value:.2f} ({_rounded(change.low, 2):+.2f}..{_rounded(change.high, 2):+.2f})"


def crossing_number(found: Crossing, *, is_ratio: bool = False) -> str:
    """``310 (280-350)``, ``> 1,257`` where it was not reached, ``<= 50`` where it was at once; "" where unknown.

    A bound is the end of the interval, so that it holds 97.5 times in 100, not what the mean of the draws gave. It is
    rounded down behind >, and up behind <=, so that no more is claimed than was found.
    """

    def number(value: float | None, beyond: str = "") -> str:
        return beyond if value is None else f"{value:,.2g}" if is_ratio and value < 99.5 else f"{value:,.0f}"

    def bound(value: float, rounding: str) -> str:
        return number(_rounded_to_one_side(value, rounding, 2 if is_ratio and value < 99.5 else None))

    if found.value is not None:
        return f"{number(found.value)} ({number(found.low, '0')}-{number(found.high, '∞')})"
    if found.above is not None and found.low is not None:
        return f"> {bound(min(found.low, found.above), ROUND_FLOOR)}"
    is_below = found.below is not None and found.high is not None
    return f"<= {bound(max(found.high or 0.0, found.below or 0.0), ROUND_CEILING)}" if is_below else ""


def steps_needed(found: Memorized) -> str:
    """``35 (26-49)``: geometric mean over draws, its interval if kept; ``> 300 (2/3)`` where only some came there."""
    steps = [each for each in found.steps if each is not None]
    if len(steps) < len(found.steps):
        return f"> {found.most_steps:,} ({len(steps)}/{len(found.steps)})"
    typical = found.typical_steps
    if typical is None:
        return f"{geometric_mean(steps):,.0f}"
    low = f"{max(typical.low, 1.0):,.0f}"
    high = f"{typical.high:,.0f}" if typical.high <= found.most_steps else f"over {found.most_steps:,}"
    return f"{typical.value:,.0f} ({low}-{high})"


def _rounded(value: float, digits: int) -> float:
    """Rounded to so many digits; what is next to nothing is 0 without a minus."""
    return round(value, digits) + 0.0


def _rounded_to_one_side(value: float, rounding: str, digits: int | None) -> float:
    """Rounded to so many significant digits, or to a whole number, never to the other side."""
    # Bounds were logarithms: what differs in the tenth digit alone is the round number that it was.
    exact = Decimal(f"{value:.9g}")
    last = 0 if digits is None else exact.adjusted() - digits + 1
    return float(exact.quantize(Decimal((0, (1,), last)), rounding))


def _whole_ends(estimate: Estimate) -> tuple[int, int]:
    """The ends in whole percent: rounded, or outward where the value, which has a digit more, would not lie between."""
    value, low, high = round(100 * estimate.value, 1), 100 * estimate.low, 100 * estimate.high
    least, most = round(low), round(high)
    return least if least <= value else math.floor(low), most if most >= value else math.ceil(high)


def _dash(low: float) -> str:
    """What stands between two ends: a dash would be read as a minus behind a negative one."""
    return ".." if low < 0 else "-"
