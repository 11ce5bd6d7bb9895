"""Promises judged: calibrated answers lie in the band, others above it; coverage and acceptance by counting."""

from __future__ import annotations

import time

import numpy as np
import pytest

from whyconv.answer_sets import least_probability
from whyconv.training import chance
from whyconv.training.calibration import calibration_error
from whyconv.training.reliability import debiased_error, score_acceptance, score_sets


def answers(n: int, seed: int, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes, and truths drawn from them raised to a power: 1 is perfectly calibrated."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet([0.6, 0.6, 0.6], n)
    true = probabilities**power
    true /= true.sum(axis=1, keepdims=True)
    labels = (generator.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return probabilities.astype(np.float32), labels.astype(np.int32)


def test_of_perfectly_calibrated_recognizers_95_in_100_lie_in_the_band_and_none_on_average_is_off() -> None:
    found = [debiased_error(*answers(300, seed)) for seed in range(200)]
    inside = sum(each.low <= each.value <= each.high for each in found)
    # 4 deviations of a binomial around 190.
    assert 178 <= inside <= 200
    values = np.array([each.value for each in found])
    assert abs(values.mean()) < 4 * values.std() / len(values) ** 0.5
    assert all(each.bias > 0 for each in found)


@pytest.mark.parametrize("power", [0.4, 2.5])
def test_one_that_is_too_sure_or_too_timid_lies_above(power: float) -> None:
    found = debiased_error(*answers(1000, 0, power))
    assert not found.is_inside
    assert found.value > 2 * found.high


def test_the_error_is_that_of_bins_of_equally_many_pictures() -> None:
    probabilities, labels = answers(600, 3, 0.7)
    sure, right = probabilities.max(axis=1).astype(float), probabilities.argmax(axis=1) == labels
    bins = np.array_split(np.argsort(sure, kind="stable"), 15)
    plain = sum(abs((right[rows] - sure[rows]).sum()) for rows in bins) / 600
    found = debiased_error(probabilities, labels)
    assert found.value + found.bias == pytest.approx(plain, abs=1e-9)
    assert (found.n, found.num_bins) == (600, 15)


def test_many_pictures_are_simulated_together_and_the_band_is_that_of_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = answers(12_000, 4)
    monkeypatch.setattr(chance, "_MOST_CELLS", 12_000)
    alone = debiased_error(*asked)
    monkeypatch.setattr(chance, "_MOST_CELLS", 1_000)
    together = debiased_error(*asked)
    assert together.value + together.bias == pytest.approx(alone.value + alone.bias, abs=1e-12)
    # The band is 4 deviations of one simulated error wide; two means over 1,000 differ by at most 4 of theirs.
    assert abs(together.bias - alone.bias) < (alone.high - alone.low) * (2 / 1000) ** 0.5
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), rel=0.15)


def test_a_million_pictures_are_simulated_in_bounded_time() -> None:
    one = answers(10_000, 6)
    began = time.process_time()
    found = debiased_error(*(np.concatenate([each] * 100) for each in one))
    assert found.n == 1_000_000
    # One by one it is 166 times as many draws.
    assert time.process_time() - began < 6
    assert found.low < 0 < found.high < 0.001


def copies(groups: int, each: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Perfectly calibrated answers of two classes: of copies nearly the same is said, and all are right or none."""
    generator, number = np.random.default_rng(seed), np.repeat(np.arange(groups), each)
    told = (0.5 + 0.5 * generator.beta(8, 1, groups))[number] + 0.002 * generator.normal(size=len(number))
    told = told.clip(0.5, 0.9999)
    labels = (generator.random(groups)[number] > told).astype(np.int32)
    return np.stack([told, 1 - told], axis=1).astype(np.float32), labels, number


@pytest.mark.parametrize(("groups", "each"), [(40, 5), (20, 10)])
def test_of_perfectly_calibrated_copies_95_in_100_lie_in_the_band_and_none_on_average_is_off(
    groups: int, each: int
) -> None:
    found = [debiased_error(*copies(groups, each, seed)) for seed in range(200)]
    assert 178 <= sum(one.low <= one.value <= one.high for one in found) <= 200
    values = np.array([one.value for one in found])
    assert abs(values.mean()) < 4 * values.std() / len(values) ** 0.5


@pytest.mark.parametrize("p", [0.7, 0.9])
def test_one_group_is_right_or_wrong_as_a_whole(p: float) -> None:
    probabilities = np.tile(np.array([[p, 1 - p]], np.float32), (29, 1))
    found = debiased_error(probabilities, np.zeros(29, np.int32), np.zeros(29, np.int64))
    # Right with probability p, the error is 1 - p; else p.
    assert found.bias == pytest.approx(2 * p * (1 - p), abs=4 * abs(2 * p - 1) * (p * (1 - p) / 1000) ** 0.5)
    assert (found.low + found.bias, found.high + found.bias) == pytest.approx((1 - p, p), abs=1e-6)


def test_pictures_alone_and_copies_are_simulated_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against recognizers drawn one by one; in pieces as whole."""
    probabilities, labels, number = (
        np.concatenate(pair) for pair in zip(copies(15, 6, 1), copies(110, 1, 2), strict=True)
    )
    number[90:] += 15
    order = np.random.default_rng(3).permutation(200)
    probabilities, labels, number = probabilities[order], labels[order], number[order]
    sure, generator = probabilities.max(axis=1).astype(float), np.random.default_rng(4)
    bins = np.array_split(np.argsort(sure, kind="stable"), 15)
    errors = []
    for _ in range(4000):
        right = generator.random(125)[number] < sure
        errors.append(sum(abs((right[rows] - sure[rows]).sum()) for rows in bins) / 200)
    found = debiased_error(probabilities, labels, number)
    assert found.bias == pytest.approx(np.mean(errors), abs=4 * np.std(errors) * (1 / 1000 + 1 / 4000) ** 0.5)
    assert (found.low, found.high) == pytest.approx(np.quantile(errors, [0.025, 0.975]) - np.mean(errors), rel=0.15)
    monkeypatch.setattr(chance, "_DRAWN_AT_ONCE", 20_000)
    assert debiased_error(probabilities, labels, number).bias == pytest.approx(found.bias, abs=0.2 * found.high)


def mixed_copies(sizes: np.ndarray, seed: int, worst: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (ascending), starts of 15 bins, and groups of these sizes, whose members are answered unlike."""
    generator, groups = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes)
    sure = 1 - worst * generator.beta(1, 3, len(sizes))[groups] * generator.random(len(groups))
    order = np.argsort(sure, kind="stable")
    return sure[order], np.linspace(0, len(groups), 16).round().astype(int)[:-1], groups[order]


def rights_by_hand(sure: np.ndarray, starts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Right answers in each bin of 1,000 recognizers, drawn group by group as it is defined."""
    generator = np.random.default_rng(99)
    drawn = generator.random((1000, groups.max() + 1))
    return np.stack([np.add.reduceat(numbers[groups] < sure, starts, dtype=int) for numbers in drawn])


SIZES = {
    "pairs": np.full(1500, 2),
    "of many sizes": np.r_[np.full(300, 2), np.full(100, 5), np.full(8, 120)],
    "one huge": np.r_[2000, np.full(400, 3)],
}


@pytest.mark.parametrize(
    ("name", "worst", "most_wrong", "near"),
    [
        *((name, 0.9, most_wrong, 0.06) for name in SIZES for most_wrong in (20_000, 0)),
        # Of what is rare 1,000 draws say less. Of a huge group that is wrong ten times in them, next to nothing.
        *((name, 0.02, 20_000, 0.12) for name in ("pairs", "of many sizes")),
    ],
)
def test_copies_are_right_as_often_as_when_they_are_drawn_group_by_group(
    name: str, worst: float, most_wrong: int, near: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chance, "_MOST_WRONG", most_wrong)
    asked = mixed_copies(SIZES[name], 5, worst)
    found, expected = chance.simulated_rights(*asked), rights_by_hand(*asked)
    spread = expected.std(axis=0)
    assert (np.abs(found.mean(axis=0) - expected.mean(axis=0)) < 4.5 * (2 / 1000) ** 0.5 * spread).all()
    assert found.std(axis=0).sum() == pytest.approx(spread.sum(), rel=near)
    said = np.add.reduceat(asked[0], asked[1])
    errors, plain = (np.abs(each - said).sum(axis=1) for each in (found, expected))
    assert errors.mean() == pytest.approx(plain.mean(), abs=4.5 * (2 / 1000) ** 0.5 * plain.std())
    assert np.quantile(errors, [0.025, 0.975]) == pytest.approx(np.quantile(plain, [0.025, 0.975]), rel=2 * near)


def test_the_covariances_of_copies_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of a group are both right with the smaller of their probabilities."""
    monkeypatch.setattr(chance, "_ROWS", 7)
    sure, starts, groups = mixed_copies(np.r_[np.full(12, 2), 9, 1, 1, 4], 3, 0.8)
    bins = np.repeat(np.arange(15), np.diff(starts, append=len(sure)))
    both = np.where(groups[:, None] == groups, np.minimum(sure[:, None], sure) - np.outer(sure, sure), 0)
    shown = np.eye(15)[bins]
    means, covariances = chance._Copies.of(sure, bins, groups, 15).moments()
    assert means == pytest.approx(shown.T @ sure)
    assert covariances == pytest.approx(shown.T @ both @ shown, abs=1e-12)


@pytest.mark.parametrize("each", [2, 10, 250_000])
@pytest.mark.parametrize("power", [1, 40])
def test_a_million_copies_are_simulated_in_bounded_time(each: int, power: int) -> None:
    generator, n = np.random.default_rng(0), 1_000_000
    sure = np.sort((0.5 + 0.5 * generator.random(n)) ** (1 / power))
    groups = generator.permutation(n) // each
    began = time.process_time()
    found = chance.simulated_rights(sure, np.linspace(0, n, 16).round().astype(int)[:-1], groups)
    # Group by group it is a hundred times as long.
    assert time.process_time() - began < 6
    assert found.shape == (1000, 15)
    assert found.sum(axis=1).mean() == pytest.approx(sure.sum(), rel=0.05)


def test_pictures_that_are_there_five_times_have_the_calibration_error_of_one_each() -> None:
    probabilities, labels = answers(60, 7, 0.7)
    one = calibration_error(probabilities, labels)
    five = calibration_error(*(np.repeat(each, 5, axis=0) for each in (probabilities, labels, np.arange(60))))
    assert (five.value, five.low, five.high) == pytest.approx((one.value, one.low, one.high), abs=1e-6)


def test_the_calibration_error_of_perfect_copies_reaches_down_to_0() -> None:
    found = [calibration_error(*copies(40, 5, seed)) for seed in range(100)]
    assert sum(each.low <= 1e-9 for each in found) >= 95


def test_groups_of_one_are_as_no_groups() -> None:
    assert debiased_error(*answers(300, 0), np.arange(300)[::-1]) == debiased_error(*answers(300, 0))


def test_sure_answers_have_no_band() -> None:
    probabilities = np.tile(np.array([[1.0, 0.0]], np.float32), (7001, 1))
    labels = (np.arange(7001) >= 6000).astype(np.int32)
    found = debiased_error(probabilities, labels)
    assert (found.bias, found.low, found.high) == (0, 0, 0)
    assert found.value == pytest.approx(1001 / 7001)


def test_few_pictures_have_few_bins() -> None:
    assert debiased_error(*answers(29, 0)).num_bins == 2
    assert debiased_error(*answers(1, 0)).num_bins == 1


def test_coverage_is_counted_and_its_band_is_that_of_simulated_pictures() -> None:
    probabilities, labels = answers(400, 5)
    own = probabilities[np.arange(400), labels].astype(float)
    truths = np.sort(own[:200]).tolist()
    found = score_sets(probabilities[200:], labels[200:], truths, 0.9)
    assert found is not None
    least = least_probability(truths, 0.9)
    rows = [{k for k in range(3) if row[k] >= least} for row in probabilities[200:]]
    assert found.bare_coverage.value == sum(t in row for t, row in zip(labels[200:].tolist(), rows, strict=True)) / 200
    firsts = probabilities[200:].argmax(axis=1).tolist()
    filled = [row | {first} for row, first in zip(rows, firsts, strict=True)]
    assert found.coverage.value == sum(t in row for t, row in zip(labels[200:].tolist(), filled, strict=True)) / 200
    assert found.mean_size == pytest.approx(sum(map(len, filled)) / 200)
    generator = np.random.default_rng(0)
    ranks = generator.random((4000, 400))
    shares = (ranks[:, 200:] <= np.sort(ranks[:, :200], axis=1)[:, [180]]).mean(axis=1)  # the 181st of 200
    assert (found.low, found.high) == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.012)
    assert found.low <= found.bare_coverage.value <= found.high
    assert score_sets(probabilities, labels, truths[:8], 0.9) is None


def test_acceptance_is_counted_and_what_is_not_a_number_is_unsure() -> None:
    novelty = np.array([0.2, 1.0, 1.1, np.nan, 5.0])
    found = score_acceptance(novelty, 1.0, np.array([True, False, True, False, False]), 40, 0.9)
    assert found.accepted.value == 2 / 5
    assert (found.low, found.high) == (3 / 5, 1)  # of 5 new ones, the 37th of 40 has 4.5 below it on average
    assert found.accuracy_accepted is not None
    assert found.accuracy_accepted.value == 1 / 2
    assert found.accuracy_unsure is not None
    assert found.accuracy_unsure.value == pytest.approx(1 / 3)
    everything = score_acceptance(novelty[:2], 1.0, np.array([True, True]), 40, 0.9)
    assert everything.accuracy_unsure is None
