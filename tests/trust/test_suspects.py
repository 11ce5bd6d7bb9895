"""Wrong labels that were planted stand at the top of the labels that are worth a look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from planted_labels import Found, found_in, link_with_wrong_labels, write_digits_with_wrong_labels
from whyconv import workflow

LEAST_RECALL, LEAST_PRECISION = 0.6, 0.5
# Of a network that learned photos from random weights in minutes and errs on every seventh: five times chance.
LEAST_FROM_RANDOM = 0.25


def found_by(pictures: Path, wrong: set[str], **words: object) -> Found:
    place = pictures.parent
    summary = workflow.train(str(pictures), out=str(place / "runs"), store=str(place / "store"), **words)
    assert summary.suspects is not None
    # Copies across the parts are left out, and neither learned from nor judged.
    assert summary.suspects.num_pictures >= 0.99 * sum(1 for _ in pictures.rglob("*.*"))
    found = found_in(Path(summary.run, "suspects.csv"), wrong, summary.suspects.n)
    return found


def require(found: Found) -> None:
    assert found.recall >= LEAST_RECALL, found
    assert found.precision >= LEAST_PRECISION, found


def test_wrong_labels_of_digits_are_at_the_top(tmp_path: Path) -> None:
    wrong = write_digits_with_wrong_labels(tmp_path / "digits", seed=0)
    require(found_by(tmp_path / "digits", wrong, epochs=10, threads=1))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 6))
def test_wrong_labels_of_digits_are_at_the_top_whatever_was_drawn(tmp_path: Path, seed: int) -> None:
    wrong = write_digits_with_wrong_labels(tmp_path / "digits", seed)
    require(found_by(tmp_path / "digits", wrong, seed=seed))


@pytest.mark.long
def test_wrong_labels_of_flowers_are_at_the_top(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    wrong = link_with_wrong_labels(tmp_path / "flowers", shared_data("flowers"), seed=0)
    require(found_by(tmp_path / "flowers", wrong, start="pretrained"))


@pytest.mark.long
def test_from_random_weights_many_wrong_labels_of_flowers_are_at_the_top(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    wrong = link_with_wrong_labels(tmp_path / "flowers", shared_data("flowers"), seed=0)
    found = found_by(tmp_path / "flowers", wrong, start="scratch", minutes=6)
    assert min(found.recall, found.precision) >= LEAST_FROM_RANDOM, found
