"""Estimates as text: what is shown lies between its shown ends, in either language."""

from __future__ import annotations

import re

import numpy as np
import pytest

from whyconv.results import Estimate
from whyconv.results.numbers import (
    added_spread,
    as_number,
    in_percent,
    in_points,
    number_after,
    percent_after,
    points_with_ends,
)


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=24)


def shown(text: str) -> tuple[float, float, float]:
    found = re.fullmatch(r"([+-]?[\d.]+) \(([+-]?[\d.]+?)(?:-|\.\.)([+-]?[\d.]+)\)", text)
    assert found, text
    value, low, high = map(float, found.groups())
    return value, low, high


def test_a_value_lies_between_its_ends_however_near_they_are() -> None:
    random = np.random.default_rng(0)
    for reach in (1e-4, 1e-3, 1e-2, 0.1):
        for middle in random.uniform(0, 1, 500):
            low, high = max(0.0, middle - reach * random.random()), min(1.0, middle + reach * random.random())
            for told in (in_percent, added_spread):
                text = told(estimate(middle, low, high))
                if text == "0":
                    continue
                value, least, most = shown(text)
                assert least <= value <= most, text
                assert max(abs(least - 100 * low), abs(most - 100 * high)) < 1
                assert len(text) <= len("+100.0 (+100..+100)")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (estimate(0.841, 0.803, 0.879), "84.1 (80-88)"),
        (estimate(0.9046, 0.9042, 0.9049), "90.5 (90-91)"),
        (estimate(0.9055, 0.9052, 0.9058), "90.5 (90-91)"),
        (estimate(1.0, 1.0, 1.0), "100.0 (100-100)"),
        (estimate(0.03, -0.02, 0.08), "3.0 (-2..8)"),
    ],
)
def test_ends_in_percent_are_whole_and_rounded_outward_where_they_would_leave_the_value_out(
    found: Estimate, text: str
) -> None:
    assert in_percent(found) == text


def test_between_ends_that_may_be_negative_there_is_neither_a_dash_nor_a_word() -> None:
    assert added_spread(estimate(-0.338, -0.36, -0.31)) == "-33.8 (-36..-31)"
    assert as_number(estimate(-0.1, -0.3, 0.1)) == "-0.10 (-0.30..0.10)"
    assert as_number(estimate(0.84, 0.8, 0.88)) == "0.84 (0.80-0.88)"


def test_what_is_next_to_nothing_has_no_minus() -> None:
    tiny = estimate(-1e-4, -4e-4, 4e-4)
    assert in_points(tiny) == "+0.0 ± 0.0"
    assert points_with_ends(tiny) == "+0.0 (+0.0 .. +0.0)"
    assert percent_after(estimate(0.882, 0.8, 0.9), tiny) == "88.2 (+0..+0)"
    assert number_after(estimate(0.5, 0.4, 0.6), tiny) == "0.50 (+0.00..+0.00)"
    assert added_spread(estimate(-1e-4, -1e-3, 2e-2)) == "+0.0 (+0..+2)"


def test_an_estimate_prints_as_json_has_it() -> None:
    """Not every estimate is a fraction: seconds, nats, kappa and exponents are none."""
    assert repr(estimate(0.9833, 0.9684, 0.9913)) == "0.9833 (0.9684-0.9913, n=24 pictures)"
    assert repr(estimate(-0.01, -0.011, -0.009)) == "-0.01 (-0.011 to -0.009, n=24 pictures)"
