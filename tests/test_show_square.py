"""The control square as lines: at most 80 columns, exact and estimated apart, and the loser is named."""

from __future__ import annotations

import pytest
import torch
from rich.cells import cell_len

from small_square import SMALL
from whyconv.measures.translation import translation
from whyconv.results import (
    CHANGES,
    CONTROLS,
    CORNERS,
    PLACES,
    ControlLoss,
    Corner,
    CornerScore,
    Crossing,
    CurveExponent,
    DataRatio,
    Estimate,
    Memorized,
    PicturesNeeded,
    Place,
    Square,
    TrainTestGap,
    UnmovedCheck,
)
from whyconv.results.translation import ShiftKind, Translation
from whyconv.results.why import NotMeasured, Question, Why
from whyconv.show import brief_square_lines, detail_lines, square_lines, why_lines
from whyconv.study.controls import UNMOVED
from whyconv.study.protocol import ADDITIONS
from whyconv.study.scores import COMPARED
from whyconv.study.split import accuracy_of, difference, split_gain

RATES = [0.02, 0.1, 0.5]
TARGETS = [0.5, 0.7, 0.85]


def reached(corner: Corner, target: float) -> Crossing:
    if corner == "convolution" and target == TARGETS[2]:
        return Crossing(value=None, low=12_000, high=None, above=12_000, n=3)
    if target == TARGETS[0]:
        return Crossing(value=None, low=None, high=50, below=50, n=3)
    return Crossing(value=1234.5, low=1100.2, high=1400.9, n=3)


def times(place: Place, target: float) -> Crossing:
    if target == TARGETS[0]:
        return Crossing(value=None, low=None, high=None, n=3)
    if place == "moved":
        return Crossing(value=None, low=4.1, high=None, above=6.32, n=3)
    return Crossing(value=0.31, low=0.2, high=0.41, n=3)


def by_draw(middle: float) -> list[float]:
    return [middle - 0.02, middle, middle + 0.02]


def made_up(accuracies: dict[Place, dict[Corner, float]]) -> Square:
    """A square with these mean accuracies, and a tenth of each taken by controls."""
    protocol = SMALL.model_copy(
        update={
            "learning_rates": RATES,
            "sizes": [50, 12_000],
            "side": 32,
            "maps": 16,
            "controlled": ["still", "moved"],
        }
    )
    scores = [
        CornerScore(
            corner=corner,
            place=place,
            control=control,
            n_train=n_train,
            accuracy=accuracy_of(by_draw(accuracies[place][corner] * (0.9 if control else 1))),
            by_draw=by_draw(accuracies[place][corner] * (0.9 if control else 1)),
            best_accuracy=accuracy_of(by_draw(accuracies[place][corner])),
            best_by_draw=by_draw(accuracies[place][corner]),
            learning_rate=RATES[0],
            decay=0.01,
            is_rate_at_edge=corner == "dense",
        )
        for place in PLACES
        for n_train in protocol.sizes
        for control in (None, *CONTROLS)
        for corner in CORNERS
        if control is None or n_train == protocol.sizes[-1]
    ]
    return Square(
        run="runs/a-rather-long-name-of-a-run-12",
        digest="d",
        version="0",
        protocol=protocol,
        num_test=12_345,
        largest_class_fraction=0.102,
        weights={"dense": 12_345_678, "local": 1_234_567, "shared_global": 12_345, "convolution": 160},
        checks=[
            UnmovedCheck(corner=corner, change=change, is_unmoved=corner == "dense", difference=3e-16, steps=50)
            for corner in CORNERS
            for change in CHANGES
        ],
        scores=scores,
        losses=[
            ControlLoss(
                corner=corner,
                place=place,
                control=control,
                is_unmoved=corner in UNMOVED[control],
                points=difference(by_draw(0.123), by_draw(0.9)),
            )
            for place in PLACES
            for control in CONTROLS
            for corner in CORNERS
        ],
        splits=[
            split_gain({corner: by_draw(accuracies[place][corner]) for corner in CORNERS}, place, n_train)
            for place in PLACES
            for n_train in protocol.sizes
        ],
        needed=[
            PicturesNeeded(place=place, arm="plain", corner=corner, target=target, pictures=reached(corner, target))
            for place in PLACES
            for target in TARGETS
            for corner in CORNERS
        ],
        ratios=[
            DataRatio(place=place, arm="plain", corner=one, beside=other, target=target, times=times(place, target))
            for place in PLACES
            for target in TARGETS
            for one, other in COMPARED
        ],
        exponents=[
            CurveExponent(
                place=place,
                arm="plain",
                corner=corner,
                exponent=Estimate(value=0.41, low=0.35, high=0.52, n=3, over="draws"),
                floor=0.0,
                is_floor_fitted=False,
            )
            for place in PLACES
            for corner in CORNERS
        ],
        gaps=[
            TrainTestGap(
                place=place,
                corner=corner,
                n_train=12_000,
                train_accuracy=0.9,
                gap=difference(by_draw(0.5), by_draw(0.3 if corner == "dense" else 0.45)),
            )
            for place in PLACES
            for corner in CORNERS
        ],
        memorized=[
            Memorized(
                corner=corner,
                n_train=50,
                steps=[31.0, 40.0, None if corner == "convolution" else 36.0],
                train_accuracy=accuracy_of(by_draw(0.9)),
            )
            for corner in CORNERS
        ],
        seconds=1.0,
    )


def corners(dense: float, convolution: float) -> dict[Corner, float]:
    return {"dense": dense, "local": 0.9, "shared_global": 0.8, "convolution": convolution}


SQUARE = made_up({"still": corners(0.95, 0.7), "moved": corners(0.5, 0.7)})


@pytest.mark.parametrize("language", ["en", "ko"])
def test_it_fits_a_terminal(language: str) -> None:
    lines = square_lines(SQUARE, language)
    assert [line for line in lines if cell_len(line) > 80] == []
    assert len(lines) < 115
    brief = brief_square_lines(SQUARE, language)
    assert max(map(cell_len, brief)) <= 80
    assert len(brief) < 40
    assert set(brief) <= set(lines)


def test_the_loser_is_named_and_the_winner() -> None:
    text = " ".join(" ".join(square_lines(SQUARE, "en")).split())
    assert "As they are, the convolution loses 25.0 ± 0.0 points" in text
    assert "Moved, the convolution gains 20.0 ± 0.0 points" in text
    assert "wherever a picture lies" in text
    equal = made_up({"still": corners(0.7, 0.7), "moved": corners(0.7, 0.7)})
    text = " ".join(" ".join(square_lines(equal, "en")).split())
    assert "As they are, no difference" in text
    assert "wherever a picture lies" not in text


def test_both_orders_and_the_controls_stand_there() -> None:
    lines = square_lines(SQUARE, "en")
    text = "\n".join(lines)
    assert "locality first -5.0 ± 0.0, then sharing -20.0 ± 0.0" in text
    assert "sharing first -15.0 ± 0.0, then locality -10.0 ± 0.0" in text
    assert "interaction -5.0 ± 0.0" in text
    assert text.count("= 0 exactly") == 2 * sum(map(len, UNMOVED.values()))
    assert any(line.split()[:3] == ["random", "signs", "="] for line in lines)
    assert "12 of 40 trainings chose the least" in " ".join(text.split()) or "trainings chose the least" in text
    assert "3 draws" in text
    assert "12,345 test pictures" in " ".join(text.split())


def moved(kind: ShiftKind) -> Translation:
    logits = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    torch.nn.init.normal_(logits[1].weight, generator=torch.Generator().manual_seed(0))
    pictures = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return translation(logits, pictures, [0, 1] * 10, kind)


def whole() -> Why:
    return Why(
        run=SQUARE.run,
        digest="d",
        version="0",
        question=Question(side=32, minutes=10.0, seed=0),
        square=SQUARE,
        left_out=list(ADDITIONS),
        translation=[moved("zero"), moved("circular")],
        not_measured=[NotMeasured(what="crop", reason="why_few_real")],
        seconds=2.0,
    )


def test_what_curves_say_stands_there() -> None:
    text = " ".join(" ".join(square_lines(SQUARE, "en")).split())
    for words in (
        "> 12,000",
        "<= 50",
        "1,234 (1,100-1,401)",
        "dense / convolution unknown 0.31 (0.2-0.41)",
        "unknown > 6.3",
        "dense 0.41 (0.35-0.52)",
        "all have 90 % in training, as they are, n = 12,000: dense +20.0",
        "convolution > 25 (2/3)",
        "local 36",
    ):
        assert words in text, words


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_claims_fit_one_screen(language: str) -> None:
    lines = why_lines(whole(), language)
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) < 60


def test_each_claim_has_its_word() -> None:
    text = " ".join(" ".join(why_lines(whole(), "en")).split())
    assert "12,345,678 / 160 = 77,160.5 = 10.0 by locality x 7,716.0 by sharing" in text
    assert "-> holds for any picture: counted" in text
    assert "as they are -5.0 ± 0.0; moved around +40.0 ± 0.0 -> holds where pictures move" in text
    assert "as they are -20.0 ± 0.0; moved around -20.0 ± 0.0 -> does NOT hold here" in text
    assert "for 85 %: 0.31 (0.2-0.41); moved around, for 85 %: > 6.3 -> holds where pictures move" in text
    assert "kappa" in text
    assert "not measurable, fewer than 20 originals" in text
    assert "random labels" in text
    assert "consistency" in repr(whole())


def test_details_say_how_it_was_measured_and_what_was_not() -> None:
    failed = whole().model_copy(update={"failed": {"price": "the network has no convolution"}})
    text = " ".join(" ".join(detail_lines(failed, "en")).split())
    assert "no test-time views" in text
    assert "With real pixels coming in it is not measurable" in text
    assert "untying convolutions: not measured, the network has no convolution" in text
