"""Studies as lines: every number with its interval, who wins said plainly, nothing wider than a terminal."""

from __future__ import annotations

import re

import numpy as np
import pytest
from rich.cells import cell_len

from made_up_study import (
    about,
    layer_price,
    made_up_detector,
    made_up_detectors,
    made_up_hyperparameters,
    made_up_price,
)
from made_up_why import whole_why
from whyconv.report.why_hyperparameters import hyperparameters_block
from whyconv.report.why_network import price_block
from whyconv.report.why_square import curves_block, square_block
from whyconv.results import Crossing, Estimate
from whyconv.results.hyperparameters import LayerSetting
from whyconv.results.numbers import crossing_number, in_points
from whyconv.results.record import Record
from whyconv.show.curves import curve_lines
from whyconv.show.detectors import detector_lines
from whyconv.show.hyperparameters import hyperparameter_lines
from whyconv.show.price import price_lines
from whyconv.show.square import square_lines
from whyconv.texts import say
from whyconv.training.intervals import mean, paired


def said(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_lines_fit_a_terminal(language: str) -> None:
    price = made_up_price(layer_price("features.stages.10.a.long.name.of.a.layer"), layer_price("b", -0.02))
    for lines in (
        price_lines(price, language),
        detector_lines(made_up_detectors(made_up_detector(), made_up_detector(11)), language),
        hyperparameter_lines(made_up_hyperparameters(), language),
    ):
        assert [line for line in lines if cell_len(line) > 80] == []
        assert all(line.isprintable() for line in lines)
        assert len(lines) > 8


def test_the_price_is_told_whoever_wins() -> None:
    price = made_up_price(layer_price("a", 0.05), layer_price("b", -0.05), layer_price("c", 0.005))
    text = said(price_lines(price, "en"))
    assert "a: sharing has a price here. Untied, with 6 times as many parameters, it gains 5.0 ± 1.0 points" in text
    assert "b: sharing is worth 5.0 ± 1.0 points here, with 6 times fewer parameters" in text
    assert "c: no difference can be told from 0 (+0.5 ± 1.0)" in text
    assert "farthest at row 2, column 2 (50.0 %); 61.0 % of their variance" in text
    assert "is 0.42 between neighbors and -0.17 at 2 places' distance" in text


def with_accuracy(found: Record, accuracy: Estimate) -> Record:
    """The record with this accuracy in the place of its first score's."""
    first, *others = found.scores
    return found.model_copy(update={"scores": [first.model_copy(update={"accuracy": accuracy}), *others]})


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [0.94, 0.94, 0.94], [0.94, 0.94, 0.942]])
def test_where_all_repetitions_agree_it_is_said_that_this_is_no_certainty(values: list[float], language: str) -> None:
    found = mean(values, "seeds")
    square, hyper = (with_accuracy(each, found) for each in (whole_why().square, made_up_hyperparameters()))
    told = say("interval_no_width", language)
    expected = len(set(values)) == 1
    price = made_up_price(layer_price("a"), layer_price("b", tied=found))
    for lines in (square_lines(square, language), hyperparameter_lines(hyper, language), price_lines(price, language)):
        assert (told in said(lines)) == expected
    for block in (square_block(square, language), hyperparameters_block(hyper, language), price_block(price, language)):
        assert (told in [str(note).replace("\xa0", " ") for note in block.notes]) == expected


def test_a_price_needs_both_intervals() -> None:
    few_pictures = layer_price("a", 0.05, gain_over_pictures=about(0.05, 0.06))
    assert few_pictures.verdict == "undecided"
    few_seeds = layer_price("a", -0.05, 0.06, gain_over_pictures=about(-0.05, 0.01))
    assert few_seeds.verdict == "undecided"


def test_what_is_next_to_nothing_has_no_minus() -> None:
    nothing = about(-4e-4, 0.0)
    one = layer_price("a", gain=-4e-4, half=0.0, gain_over_pictures=nothing)
    hyper = made_up_hyperparameters()
    scores = [each.model_copy(update={"difference": each.difference and nothing}) for each in hyper.scores]
    effects = [each.model_copy(update={"accuracy": nothing}) for each in hyper.effects]
    found = hyper.model_copy(update={"scores": scores, "effects": effects})
    told = said([*price_lines(made_up_price(one), "en"), *hyperparameter_lines(found, "en")])
    assert "+0.0 .. +0.0" in told
    assert not re.search(r"-0(\.0+)?(?![.0-9])", told)


def test_what_was_left_out_is_told() -> None:
    text = said(price_lines(made_up_price(), "en"))
    assert "! stem: not measured. Untied, its training would keep 3.4 GB; allowed are 2.0 GB" in text
    assert "! slow: not measured. It would have taken about 420 s" in text
    assert "point: nothing to untie" in text
    assert r"odd\x1b: not measured. it computes its weights" in text.replace("   ", " ")
    assert "not looked at, its map has 1 x 1 places" in said(detector_lines(made_up_detectors(), "en"))
    hyper = said(hyperparameter_lines(made_up_hyperparameters(), "en"))
    assert "for want of time, 1 setting (about 31 s): 3x3 s1 same n64 max" in hyper
    assert "too small, 1 setting: 5x5 s2 same n16 max" in hyper


def test_what_is_lost_is_told_by_the_ends_of_its_interval() -> None:
    # 4 of 10 answers lost: the interval reaches farther down than up, and holds 0.
    few = paired(np.array([1.0] * 4 + [0.0] * 6))
    assert (round(100 * few.low, 1), round(100 * few.high, 1)) == (-2.0, 68.6)
    one = made_up_detector().model_copy(update={"lost_everywhere": few})
    lines = detector_lines(made_up_detectors(one), "en")
    row = next(line.split() for line in lines if line.startswith("  0 "))
    assert row[3:] == ["2.0..4.0", "1.0..3.0", "-1.0..1.0", "-2.0..0.0", "-2.0..68.6"]


def test_detectors_are_counted_by_the_quadrants_that_need_them() -> None:
    everywhere = made_up_detector(1, (0.03, 0.02, 0.04, 0.05))
    nowhere = made_up_detector(2, (0.0, 0.01, -0.03, 0.0)).model_copy(update={"spread": None})
    lines = detector_lines(made_up_detectors(made_up_detector(), everywhere, nowhere), "en")
    text = said(lines)
    assert "the 3 strongest of 6 detectors" in text
    assert (
        "3 of 3 cost accuracy beyond doubt; silenced in one quadrant, 1 cost it in all four, 1 in some, 1 in none"
        in (text)
    )
    assert "everywhere, 3 raise it beyond doubt; silenced in one quadrant, 1 raise it in all four, 1 in some" in text
    row = next(line.split() for line in lines if line.split()[:1] == ["1"])
    assert row == ["1", "87", "(85-88)", "2.0..4.0", "1.0..3.0", "3.0..5.0", "4.0..6.0", "6.0..10.0"]
    assert next(line.split() for line in lines if line.split()[:1] == ["2"])[1] == "never"
    assert "all 1 detectors" in said(detector_lines(made_up_detectors(everywhere, num_detectors=1), "en"))
    found = made_up_detectors(everywhere)
    unactivated = found.layers[0].model_copy(update={"is_activated": False})
    text = said(detector_lines(found.model_copy(update={"layers": [unactivated]}), "en"))
    assert f"No activation was found right behind it: the answers of {unactivated.activation} are looked at" in text


def test_settings_stand_in_rows_and_effects_in_words() -> None:
    found = made_up_hyperparameters()
    lines = hyperparameter_lines(found, "en")
    rows = [line.split() for line in lines]
    assert ["3x3", "s1", "same", "n16", "max", "90.0", "(89-91)", "center", "12,345", "4.2±0.3"] in rows
    assert ["7x7", "s1", "none", "n16", "mean", "85.0", "(84-86)", "-5.0±1.5", "12,345", "4.2±0.3"] in rows
    text = said(lines)
    assert "filter 7 instead of 3 -3.1±1.2" in " ".join(text.split())
    assert "pooling mean instead of max +0.4±2.0" in " ".join(text.split())
    assert "residual 1.3 points" in text
    assert "For 2 of 2 settings the learning rate" in text
    none = found.model_copy(update={"effects": [], "residual": None})
    assert "No main effects: too few settings" in said(hyperparameter_lines(none, "en"))
    assert LayerSetting() == found.protocol.center


def test_shifts_stand_in_only_where_there_is_something_to_stand_in_for() -> None:
    square = whole_why().square
    averaged = [one.model_copy(update={"arm": "averaged"}) for one in square.scores if one.arm == "shifts"]
    splits = [one.model_copy(update={"arm": "averaged"}) for one in square.splits if one.arm == "shifts"]

    def told(gain: float, beside: float, half: float = 0.02) -> str:
        plain = [
            one.model_copy(update={"gain": about(gain, 0.02)}) if (one.place, one.arm) == ("still", "plain") else one
            for one in square.splits
        ]
        found = {"scores": [*square.scores, *averaged], "splits": [*plain, *splits]}
        found |= {"shifts_beside_structure": about(beside, half)}
        changed = square.model_copy(update=found)
        terminal = said(curve_lines(changed, "en"))
        notes = [note for note in curves_block(changed, "en").notes if "stand in" in note or "cannot be told" in note]
        assert len(notes) == ("stand in" in terminal)
        assert all(note.replace("\xa0", " ") in terminal for note in notes)
        return terminal

    assert "Shifts in training and test stand in for the structure here" in told(0.1, 0.05)
    assert "Shifts in training and test do not stand in" in told(0.1, -0.05)
    for beside, half in ((0.01, 0.02), (0.05, 0.0), (-0.05, 0.0)):
        assert "cannot be told: dense with them" in told(0.1, beside, half)
    for gain in (-0.1, 0.01):
        assert "stand in" not in told(gain, 0.05)


def test_numbers_of_any_size_are_written_out() -> None:
    ratio = Crossing(value=99.6, low=50.4, high=None, n=5)
    assert crossing_number(ratio, is_ratio=True) == "100 (50-∞)"
    assert crossing_number(ratio.model_copy(update={"value": 99.4}), is_ratio=True) == "99 (50-∞)"
    assert in_points(Estimate(value=-0.0004, low=-0.05, high=0.05, n=5, over="draws")) == "+0.0 ± 5.0"


def test_rates_beyond_the_ends_are_told_where_a_corner_takes_them() -> None:
    square = whole_why().square
    first, *others = square.scores
    square = square.model_copy(update={"scores": [first.model_copy(update={"learning_rate": 7.5}), *others]})
    assert "Rates of 0.02, 0.1, 0.5, 7.5 and" in said(square_lines(square, "en"))
