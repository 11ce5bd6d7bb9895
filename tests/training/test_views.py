"""Views of a picture: what each shows, and when each is looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whyconv.settings import AugmentPlan
from whyconv.training.views import from_afar, seen, views_for


def enlarged(row: np.ndarray, margin: int) -> np.ndarray:
    """The middle of a row at its full length: linear between the centers of pixels, the outermost repeated."""
    middle = row[margin : len(row) - margin]
    centers = (np.arange(len(row)) + 0.5) * len(middle) / len(row) - 0.5
    return np.interp(centers, np.arange(len(middle)), middle)


@pytest.mark.parametrize(("side", "margin"), [(8, 1), (20, 2), (64, 5)])
def test_the_closer_view_enlarges_the_middle(side: int, margin: int) -> None:
    picture = np.random.default_rng(0).normal(size=(side, side))
    expected = np.apply_along_axis(enlarged, 1, np.apply_along_axis(enlarged, 0, picture, margin), margin)
    found = seen(torch.from_numpy(picture)[None, None], "closer")
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-12)
    np.testing.assert_allclose(seen(torch.from_numpy(picture)[None, None], "closer_mirrored")[0, 0], expected[:, ::-1])


def test_the_others_show_the_picture_itself() -> None:
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    assert torch.equal(seen(picture, "upright"), picture)
    assert seen(picture, "mirrored")[0, 0, 0].tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("flip", "min_area", "views"),
    [
        (False, 1.0, ["upright"]),
        (True, 0.8, ["upright", "mirrored"]),
        (False, 0.6, ["upright", "closer"]),
        (True, 0.6, ["upright", "closer", "mirrored", "closer_mirrored"]),
    ],
)
def test_only_what_training_has_varied_is_looked_at(flip: bool, min_area: float, views: list[str]) -> None:
    plan = AugmentPlan(flip=flip, shift_fraction=0, min_area=min_area, max_aspect=1, max_degrees=0, color=0)
    assert views_for(plan) == views
    assert from_afar(views) == [view for view in views if view in ("upright", "mirrored")]
