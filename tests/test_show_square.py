"""The control square as lines: at most 80 columns, exact and estimated apart, and the loser is named."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from small_square import SMALL
from whyconv.results import (
    CHANGES,
    CONTROLS,
    CORNERS,
    PLACES,
    ControlLoss,
    Corner,
    CornerScore,
    Place,
    Square,
    UnmovedCheck,
)
from whyconv.show import brief_square_lines, square_lines
from whyconv.study.controls import UNMOVED
from whyconv.study.split import accuracy_of, difference, split_gain

RATES = [0.02, 0.1, 0.5]


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
            learning_rate=RATES[0],
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
        num_validation=190,
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
        seconds=1.0,
    )


def corners(dense: float, convolution: float) -> dict[Corner, float]:
    return {"dense": dense, "local": 0.9, "shared_global": 0.8, "convolution": convolution}


SQUARE = made_up({"still": corners(0.95, 0.7), "moved": corners(0.5, 0.7)})


@pytest.mark.parametrize("language", ["en", "ko"])
def test_it_fits_a_terminal(language: str) -> None:
    lines = square_lines(SQUARE, language)
    assert [line for line in lines if cell_len(line) > 80] == []
    assert len(lines) < 75
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
