"""A control square, and why convolutions, as nobody measured them: for what shows and draws them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import nn

from made_up_study import layer_price, made_up_detector, made_up_detectors, made_up_hyperparameters, made_up_price
from small_square import SMALL
from whyconv.measures.equivariance import equivariance
from whyconv.measures.surgery import surgery
from whyconv.measures.translation import translation
from whyconv.results import (
    CHANGES,
    CONTROLS,
    CORNERS,
    MATCHED_ARMS,
    MATCHES,
    PLACES,
    ControlLoss,
    Corner,
    CornerScore,
    Crossing,
    CurveExponent,
    DataRatio,
    Estimate,
    GapDifference,
    Matched,
    MatchedGain,
    MatchedSize,
    Memorized,
    PicturesNeeded,
    Place,
    Square,
    TrainTestGap,
    UnmovedCheck,
)
from whyconv.results.translation import ShiftKind, Translation
from whyconv.results.unit_fields import UnitField, UnitFields
from whyconv.results.why import NotMeasured, Question, Why
from whyconv.study.controls import UNMOVED
from whyconv.study.overfitting import typical_steps
from whyconv.study.protocol import ADDITIONS
from whyconv.study.scores import COMPARED
from whyconv.study.split import accuracy_of, difference, split_gain

RATES = [0.02, 0.1, 0.5]
TARGETS = [0.5, 0.7, 0.85]
# Not the same in any two corners, or their differences would have no spread.
SPREAD = tuple(zip(CORNERS, (0.02, 0.021, 0.022, 0.025), strict=True))


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


def by_draw(middle: float, half: float = 0.02) -> list[float]:
    return [middle - half, middle, middle + half]


def made_up_square(accuracies: dict[Place, dict[Corner, float]]) -> Square:
    """A square with these mean accuracies, and a tenth of each taken by controls."""
    protocol = SMALL.model_copy(
        update={
            "learning_rates": RATES,
            "sizes": [50, 12_000],
            "side": 32,
            "maps": 16,
            "controlled": ["still", "moved"],
            "most_times": 3,
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
            best_accuracy=accuracy_of(by_draw(accuracies[place][corner] + 0.004)),
            best_by_draw=by_draw(accuracies[place][corner] + 0.004),
            same_steps_accuracy=accuracy_of(by_draw(accuracies[place][corner] - 0.01)),
            same_steps_by_draw=by_draw(accuracies[place][corner] - 0.01),
            num_steps=75 if corner == "convolution" else 25,
            train_accuracy=accuracy_of(by_draw(0.731 if (corner, place) == ("dense", "moved") else 0.995)),
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
                points=difference(by_draw(0.123), by_draw(0.9, 0.03)),
            )
            for place in PLACES
            for control in CONTROLS
            for corner in CORNERS
        ],
        splits=[
            split_gain({corner: by_draw(accuracies[place][corner], half) for corner, half in SPREAD}, place, n_train)
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
        gap_differences=[
            GapDifference(
                place=place,
                corner=one,
                beside=other,
                n_train=12_000,
                difference=Estimate(value=0.15, low=0.15 - half, high=0.15 + half, n=3, over="draws"),
            )
            for place, half in zip(PLACES, (0.0612, 0.2034), strict=True)
            for one, other in COMPARED
        ],
        memorized=[
            Memorized(
                corner=corner,
                n_train=50,
                most_steps=250,
                steps=(steps := [31.0, 40.0, None if corner == "convolution" else 36.0]),
                typical_steps=typical_steps(steps),
                train_accuracy=accuracy_of(by_draw(0.9)),
            )
            for corner in CORNERS
        ],
        seconds=1.0,
    )


def corners(dense: float, convolution: float) -> dict[Corner, float]:
    return {"dense": dense, "local": 0.9, "shared_global": 0.8, "convolution": convolution}


SQUARE = made_up_square({"still": corners(0.95, 0.7), "moved": corners(0.5, 0.7)})


def moved(kind: ShiftKind) -> Translation:
    logits = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    torch.nn.init.normal_(logits[1].weight, generator=torch.Generator().manual_seed(0))
    pictures = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return translation(logits, pictures, [0, 1] * 10, kind)


def made_up_why() -> Why:
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


def with_matched(square: Square) -> Square:
    """The square with dense networks of as many parameters and multiply-adds."""
    dense = [one for one in square.scores if one.corner == "dense" and not one.control]
    arms = [arm for arm in MATCHED_ARMS.values() if arm != "plain"]
    scores = [one.model_copy(update={"arm": arm}) for arm in arms for one in dense]
    size = MatchedSize(match="units", units=16_384, parameters=12_345_678, multiply_adds=13_000_000)
    sizes = [size.model_copy(update={"match": match, "units": 10 + at}) for at, match in enumerate(MATCHES)]
    gains = [
        MatchedGain(match=match, place=place, n_train=n, gain=difference(by_draw(0.1 + at / 10), by_draw(0.3)))
        for at, match in enumerate(MATCHES)
        for place in PLACES
        for n in square.protocol.sizes
    ]
    matched = Matched(convolution=size, sizes=sizes, gains=gains)
    return square.model_copy(update={"scores": [*square.scores, *scores], "matched": matched})


def without_targets(square: Square, places: Sequence[Place]) -> Square:
    """The square where no corner beats the largest class in these places."""
    kept: dict[str, object] = {
        "needed": [one for one in square.needed if one.place not in places],
        "ratios": [one for one in square.ratios if one.place not in places],
    }
    return square.model_copy(update=kept)


@cache
def whole_why() -> Why:
    """Everything that can be asked was asked."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 3)).eval()
    pictures = torch.randn(20, 1, 12, 12)
    why = made_up_why()
    square = with_matched(why.square)
    shifted = [
        one.model_copy(update={"arm": "shifts"})
        for one in why.square.scores
        if one.place == "still" and not one.control
    ]
    splits = [one.model_copy(update={"arm": "shifts"}) for one in square.splits if one.place == "still"]
    square = square.model_copy(
        update={"scores": [*square.scores, *shifted], "splits": [*square.splits, *splits]},
    )
    return why.model_copy(
        update={
            "square": square,
            "fields": UnitFields(
                picture=(12, 12),
                units=[
                    UnitField(layer="0", places=(12, 12), place=(6, 6), size=(3, 3), box=(5, 5, 3, 3)),
                    UnitField(layer="<1>", places=(6, 6), place=(3, 3), size=(14, 14), box=(0, 0, 12, 12)),
                ],
            ),
            "equivariance": equivariance(network, pictures, "circular"),
            "surgery": surgery(network, pictures, [0, 1] * 10, ["circular"], reach=1),
            "price": made_up_price(layer_price("<b>conv&1"), layer_price("b", -0.05, 0.01)),
            "detectors": made_up_detectors(made_up_detector()),
            "hyperparameters": made_up_hyperparameters(),
            "failed": {"surgery": "it <fails>"},
        }
    )


def made_up_patches() -> dict[tuple[str, int], list[np.ndarray]]:
    return {("conv1", 0): [np.full((3, 2, 1), 7, np.uint8)]}
