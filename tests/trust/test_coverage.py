"""Of every kind of interval that is printed, how many hold the truth: simulated worlds, over what may come.

The mean over settings is to be 95 in 100, as docs/trust.md tells it for each kind; the least of a setting is told.
"""

from __future__ import annotations

import os
import sys
import time
import zlib

import numpy as np
import pytest
from scipy.stats import binom

from simulated_worlds import KINDS, RATES, Kind
from whyconv.study.draws import KEPT_APART
from whyconv.study.sizes import nested_order
from whyconv.training.intervals import fraction, mean, share

_MANY = 10_000
# Simulated coverage may leave its limits by so many of its standard deviations.
_DEVIATIONS = 3.5


def holds(low: float | None, high: float | None, truth: float) -> bool:
    """Whether an interval holds the truth, but for rounding; an end that is None is as far out as can be."""
    return (low is None or low <= truth + 1e-12) and (high is None or truth - 1e-12 <= high)


def coverages(kind: Kind, worlds: int, name: str) -> dict[str, float]:
    """Of each setting, the fraction of its worlds whose interval holds the truth."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return {setting: sum(holds(*draw(random)) for _ in range(worlds)) / worlds for setting, draw in kind.worlds.items()}


def require_coverage(kind: Kind, found: dict[str, float], worlds: int) -> float:
    """Makes sure that the mean coverage is within the kind's limits; returns it."""
    mean = sum(found.values()) / len(found)
    allowed = _DEVIATIONS * (0.05 * 0.95 / (worlds * len(found))) ** 0.5
    assert kind.least - allowed <= mean <= kind.most + allowed, found
    return mean


@pytest.mark.parametrize("name", KINDS)
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    kind = KINDS[name]
    require_coverage(kind, coverages(kind, kind.few, name), kind.few)


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_intervals_hold_the_truth_in_many_worlds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints a row of the table in docs/trust.md; WHYCONV_WORLDS worlds of each setting in place of 10,000."""
    kind, worlds, began = KINDS[name], int(os.environ.get("WHYCONV_WORLDS", _MANY)), time.perf_counter()
    found = coverages(kind, worlds, name)
    mean = sum(found.values()) / len(found)
    worst = min(found, key=lambda setting: found[setting])
    row = f"{name} | {kind.over} | {100 * mean:.1f} | {100 * found[worst]:.1f} ({worst}) | {len(found)} x {worlds:,}"
    with capsys.disabled():
        sys.stdout.write(f"\n| {row} | {time.perf_counter() - began:.0f} s\n")
    require_coverage(kind, found, worlds)


@pytest.mark.parametrize("n", [10, 30, 100, 1000, 10_000])
def test_wilsons_interval_holds_the_fraction_exactly_so_often(n: int) -> None:
    """Summed over all outcomes instead of simulated, for p from 0.5 to 1 in steps of 0.001."""
    rates, counts = np.linspace(0.5, 0.999, 500), np.arange(n + 1)
    found = [fraction(int(count), n) for count in counts]
    low, high = (np.array([getattr(each, end) for each in found]) for end in ("low", "high"))
    coverage = [binom.pmf(counts, n, p)[(low <= p) & (p <= high)].sum() for p in rates]
    assert 0.94 <= np.mean(coverage) <= 0.96
    assert min(coverage) > 0.83


def test_copies_that_count_as_independent_hold_the_truth_far_too_seldom() -> None:
    """What the groups are for: without them the interval of pictures that are there five times is a fiction."""
    random, held = np.random.default_rng(0), {True: 0, False: 0}
    for p in RATES:
        for _ in range(100):
            right, groups = np.repeat(random.random(100) < p, 5), np.repeat(np.arange(100), 5)
            for is_told in held:
                found = share(right, groups if is_told else None)
                held[is_told] += holds(found.low, found.high, p)
    assert held[True] / 700 > 0.92
    assert held[False] / 700 < 0.75


@pytest.mark.parametrize(
    ("luck", "of_all", "of_few"), [(0.0, (0.3, 0.55), (0.84, 0.98)), (3.0, (0.87, 0.99), (0.87, 0.99))]
)
def test_draws_of_the_same_pictures_say_little_of_others(
    luck: float, of_all: tuple[float, float], of_few: tuple[float, float]
) -> None:
    """As docs/measures.md says: how little depends on how much starting weights and order move a result beside it."""
    labels, random = np.arange(400, dtype=np.int32) % 2, np.random.default_rng(0)

    def holds_others(n: int) -> bool:
        brings = random.normal(0, 1, len(labels))  # what each picture adds to the accuracy; 0 for pictures at large
        draws = [nested_order(labels, int(random.integers(2**30)))[:n] for _ in range(5)]
        learned = [rows[np.arange(n) % KEPT_APART != KEPT_APART - 1] for rows in draws]
        found = mean([brings[rows].mean() + luck * random.normal() / len(rows) ** 0.5 for rows in learned])
        return found.low <= 0 <= found.high

    for n, (least, most) in ((400, of_all), (40, of_few)):
        assert least <= np.mean([holds_others(n) for _ in range(150)]) <= most, n
