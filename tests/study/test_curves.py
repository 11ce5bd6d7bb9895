"""Learning curves read in pictures: against curves whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from whyconv.results import CORNERS, LEARNED, Crossing
from whyconv.results.numbers import steps_needed
from whyconv.study.curves import crossing, draw_weights, exponent, log_needed, ratio, targets
from whyconv.study.draws import scored_rows
from whyconv.study.overfitting import gap_differences, gaps, memorized, step_of, value_at
from whyconv.study.trials import Glance
from whyconv.training.pixel_rows import LabelledPixels

SIZES = [50, 100, 200, 400]
WEIGHTS = draw_weights(5, seed=1)


def width(found: Crossing) -> float:
    assert found.low is not None
    assert found.high is not None
    return float(np.log(found.high / found.low))


def flat(*accuracies: float) -> np.ndarray:
    """The same curve in all five draws."""
    return np.repeat(np.array(accuracies)[:, None], 5, axis=1)


def test_pictures_needed_lie_along_the_logarithm() -> None:
    found = crossing(log_needed(SIZES, flat(0.5, 0.6, 0.8, 0.9), 0.7, WEIGHTS), SIZES, 5)
    assert found.value == pytest.approx(np.sqrt(100 * 200))
    assert (found.low, found.high) == pytest.approx((found.value, found.value))
    assert (found.above, found.below, found.n) == (None, None, 5)


def test_a_dip_needs_no_more_pictures() -> None:
    dipped = log_needed(SIZES, flat(0.5, 0.8, 0.6, 0.9), 0.85, WEIGHTS)
    straight = log_needed(SIZES, flat(0.5, 0.8, 0.8, 0.9), 0.85, WEIGHTS)
    assert np.allclose(dipped, straight)


def test_what_is_never_reached_and_what_is_reached_at_once_are_bounds() -> None:
    never = crossing(log_needed(SIZES, flat(0.5, 0.6, 0.7, 0.8), 0.9, WEIGHTS), SIZES, 5)
    assert (never.value, never.low, never.high, never.above) == (None, pytest.approx(400), None, 400)
    at_once = crossing(log_needed(SIZES, flat(0.5, 0.6, 0.7, 0.8), 0.4, WEIGHTS), SIZES, 5)
    assert (at_once.value, at_once.low, at_once.high, at_once.below) == (None, None, pytest.approx(50), 50)


def test_ratios_of_bounds_are_bounds() -> None:
    early = log_needed(SIZES, flat(0.5, 0.6, 0.8, 0.9), 0.6, WEIGHTS)  # 100
    late = log_needed(SIZES, flat(0.1, 0.2, 0.3, 0.6), 0.6, WEIGHTS)  # 400
    never, at_once = np.full_like(early, np.inf), np.full_like(early, -np.inf)
    assert ratio(late, early, SIZES, 5).value == pytest.approx(4)
    assert ratio(early, late, SIZES, 5).value == pytest.approx(0.25)
    assert ratio(never, early, SIZES, 5).above == pytest.approx(4)
    assert ratio(never, early, SIZES, 5).high is None
    assert ratio(early, never, SIZES, 5).below == pytest.approx(0.25)
    assert ratio(late, at_once, SIZES, 5).above == pytest.approx(8)
    assert ratio(at_once, late, SIZES, 5).below == pytest.approx(0.125)
    for first, second in ((never, never), (at_once, at_once)):
        unknown = ratio(first, second, SIZES, 5)
        assert (unknown.value, unknown.low, unknown.high, unknown.above, unknown.below) == (None,) * 5
    # One is surely beyond the largest set, the other surely below the smallest.
    assert ratio(never, at_once, SIZES, 5).above == pytest.approx(8)


def test_the_interval_is_over_draws_and_paired() -> None:
    random = np.random.default_rng(0)
    common = random.normal(0, 0.05, (1, 5))
    first = flat(0.3, 0.5, 0.7, 0.9) + common
    second = flat(0.4, 0.6, 0.8, 0.95) + common
    logs = [log_needed(SIZES, one, 0.65, WEIGHTS) for one in (first, second)]
    alone, both = crossing(logs[0], SIZES, 5), ratio(logs[0], logs[1], SIZES, 5)
    # What all corners share with a draw does not widen the ratio.
    assert width(both) < 0.3 * width(alone)


def test_a_power_law_gives_its_exponent_and_its_floor() -> None:
    sizes = [50, 100, 200, 400, 800, 1600]
    errors = 3 * np.array(sizes, float) ** -0.5 + 0.08
    found = exponent(sizes, np.repeat(1 - errors[:, None], 5, 1), WEIGHTS)
    assert found is not None
    assert found[0].value == pytest.approx(0.5, abs=0.03)
    assert found[1] == pytest.approx(0.08, abs=0.01)
    three = exponent(sizes[:3], np.repeat(1 - 3 * np.array(sizes[:3], float)[:, None] ** -0.7, 5, 1), WEIGHTS)
    assert three is not None
    assert (three[0].value, three[1]) == (pytest.approx(0.7), 0.0)
    assert exponent(sizes[:2], flat(0.5, 0.6), WEIGHTS) is None
    assert exponent(sizes[:3], flat(0.5, 0.9, 1.0), WEIGHTS) is None


def test_all_weightings_are_fitted_as_one_by_one() -> None:
    sizes = [50, 100, 200, 400, 800]
    noise = np.random.default_rng(3).normal(0, 0.02, (5, 5))
    by_draw = 1 - 0.9 * np.array(sizes, float)[:, None] ** -0.3 + noise
    found = exponent(sizes, by_draw, WEIGHTS[:30])
    assert found is not None
    slopes = []
    for weights in WEIGHTS[:30]:
        errors, best = 1 - by_draw @ weights, (np.inf, 0.0)
        for floor in np.linspace(0, errors.min(), 60, endpoint=False):
            line = np.polyfit(np.log(sizes), np.log(errors - floor), 1)
            misfit = ((np.exp(np.polyval(line, np.log(sizes))) + floor - errors) ** 2).sum()
            best = min(best, (float(misfit), -float(line[0])))
        slopes.append(best[1])
    assert found[0].value == pytest.approx(slopes[0])
    assert (found[0].low, found[0].high) == (pytest.approx(min(slopes[1:])), pytest.approx(max(slopes[1:])))


def test_targets_lie_between_chance_and_the_best() -> None:
    assert targets(0.9, 0.1) == [0.5, 0.7, 0.82]
    assert targets(0.126, 0.125) == targets(0.4, 0.6) == []
    assert targets(0.5, 0.5) == []


def history(*points: tuple[int, float, float]) -> list[Glance]:
    return [Glance(step=step, train=train, kept=0.0, kept_loss=0.0, test=test) for step, train, test in points]


def test_gaps_are_read_at_the_same_training_accuracy() -> None:
    quick = history((1, 0.5, 0.5), (10, 0.9, 0.8), (100, 1.0, 0.7))
    slow = history((1, 0.2, 0.2), (10, 0.5, 0.5), (100, 0.9, 0.85))
    histories = {key: [quick, quick] for key in CORNERS} | {"convolution": [slow, slow]}
    found = {one.corner: one for one in gaps(histories, "still", 50)}
    assert found["dense"].train_accuracy == pytest.approx(0.9)
    # At the end the dense network's gap would be 0.3.
    assert found["dense"].gap.value == pytest.approx(0.1)
    assert found["convolution"].gap.value == pytest.approx(0.05)


def test_a_corner_that_knows_more_at_its_first_look_has_its_gap_there() -> None:
    quick = history((2, 0.9, 0.88), (100, 1.0, 0.7))
    slow = history((2, 0.2, 0.2), (100, 0.6, 0.58))
    found = gaps({key: [quick, quick] for key in CORNERS} | {"convolution": [slow, slow]}, "still", 50)
    assert [one.gap.value for one in found] == [pytest.approx(0.02)] * 4


def test_at_most_so_many_pictures_are_as_many_evenly_chosen() -> None:
    labels = np.arange(4000) % 2
    part = LabelledPixels(np.zeros((4000, 1, 1, 1), np.uint8), labels)
    rows = scored_rows(part, 2000)
    assert len(np.unique(rows)) == 2000
    assert np.bincount(labels[rows]).tolist() == [1000, 1000]
    assert len(scored_rows(LabelledPixels(part.pixels[:2001], labels[:2001]), 2000)) == 2000
    assert scored_rows(LabelledPixels(part.pixels[:9], labels[:9]), 2000).tolist() == list(range(9))


def test_gaps_are_compared_within_a_draw() -> None:
    """What a draw does to both corners falls out: two intervals that overlap, and a difference that is plain."""
    apart = (0.02, 0.2, 0.38)
    dense = [history((1, 0.5, 0.5), (100, 0.9, 0.8 - one)) for one in apart]
    convolution = [
        history((1, 0.5, 0.5), (100, 0.9, 0.85 - one + shift)) for one, shift in zip(apart, (0, 1e-3, 0), strict=True)
    ]
    histories = dict.fromkeys(CORNERS, dense) | {"convolution": convolution}
    both = {one.corner: one.gap for one in gaps(histories, "still", 50)}
    assert both["dense"].low < both["convolution"].high
    found = gap_differences(histories, "still", 50, [("dense", "convolution"), ("dense", "local")])
    # By hand: 0.05, 0.051, 0.05; Student's t with 2 degrees of freedom.
    assert found[0].difference.value == pytest.approx(0.05 + 1e-3 / 3)
    spread = float(np.std([0.05, 0.051, 0.05], ddof=1)) / 3**0.5
    assert found[0].difference.high - found[0].difference.value == pytest.approx(4.3026527 * spread, rel=1e-6)
    assert found[0].difference.low > 0
    assert (found[1].difference.low, found[1].difference.high) == (0, 0)


def test_steps_are_read_along_their_logarithm() -> None:
    one = history((1, 0.0, 0.0), (100, 1.0, 0.5))
    assert step_of(one, 0.5) == pytest.approx(10)
    assert step_of(one, 0.0) == 1
    assert step_of(one, 1.1) is None
    assert value_at(one, 10, "test") == pytest.approx(0.25)


def test_random_labels_that_are_not_fitted_have_no_step() -> None:
    fitted, not_fitted = history((1, 0.1, 0.1), (10, LEARNED, 0.1)), history((1, 0.1, 0.1), (10, 0.5, 0.1))
    found = memorized({key: [fitted, not_fitted] for key in CORNERS}, 50)[0]
    assert found.steps == [pytest.approx(10), None]
    assert found.train_accuracy.value == pytest.approx((LEARNED + 0.5) / 2)
    assert found.typical_steps is None
    assert steps_needed(found) == "> 10 (1/2)"


def test_steps_to_fit_random_labels_have_an_interval_on_their_logarithms() -> None:
    drawn = [history((1, 0.1, 0.1), (last, LEARNED, 0.1), (1000, 1.0, 0.1)) for last in (389, 394, 396, 397, 739)]
    found = memorized(dict.fromkeys(CORNERS, drawn), 50)[0]
    typical = found.typical_steps
    assert typical is not None
    logarithms = np.log([389, 394, 396, 397, 739])
    ends = stats.t.interval(0.95, df=4, loc=logarithms.mean(), scale=stats.sem(logarithms))
    assert typical.value == pytest.approx(stats.gmean([389, 394, 396, 397, 739]))
    assert (typical.low, typical.high) == pytest.approx(tuple(np.exp(ends)))
    assert (typical.n, typical.over) == (5, "draws")
    assert steps_needed(found) == "447 (315-634)"
    apart = [history((1, 0.1, 0.1), (last, LEARNED, 0.1), (1000, 1.0, 0.1)) for last in (2, 900)]
    assert steps_needed(memorized(dict.fromkeys(CORNERS, apart), 50)[0]) == "42 (1-over 1,000)"
    assert steps_needed(found.model_copy(update={"steps": [2999.6, 3001.0], "typical_steps": None})) == "3,000"
