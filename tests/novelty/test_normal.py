"""The scale on which looks of training pictures are normal: by their ranks, so that a few odd ones change little."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whyconv.novelty.normal import normal_scale


def looks_like(n: int, seed: int, num_odd: int = 0) -> NDArray[np.float64]:
    """Correlated, skewed columns; the last is the same for all. Odd rows lie far out, each somewhere else."""
    generator = np.random.default_rng(seed)
    rows = np.exp(generator.normal(size=(n, 6)) @ generator.normal(size=(6, 6)) / 2)
    rows[:num_odd] *= np.exp(generator.normal(0, 3, (num_odd, 6)))
    return np.column_stack([rows, np.full(n, 0.25)])


def test_training_looks_are_uncorrelated_normal_numbers_on_it() -> None:
    rows = looks_like(2000, 0)
    scale = normal_scale(rows)
    white = (scale._normal(rows) - scale.mean) @ scale.whitening
    assert np.abs(white.mean(axis=0)).max() < 0.02
    np.testing.assert_allclose(np.cov(white[:, :6].T), np.eye(6), atol=0.1)
    np.testing.assert_allclose(scale.strangeness(rows), np.sqrt((white**2).mean(axis=1)))
    single = scale._normal(rows)[:, 0]
    assert np.mean(np.abs(single) < 1) == pytest.approx(0.683, abs=0.02)
    assert np.array_equal(np.argsort(single, kind="stable"), np.argsort(rows[:, 0], kind="stable"))


def test_its_lines_are_level_outside_of_what_training_pictures_have() -> None:
    rows = looks_like(500, 1)
    scale = normal_scale(rows)
    far, farther = rows.max(axis=0) + 1, rows.max(axis=0) + 1000
    assert scale.strangeness(far[None]) == pytest.approx(scale.strangeness(farther[None]))
    assert scale.strangeness(far[None]) > scale.strangeness(rows).max() / 2


def test_a_few_odd_training_pictures_do_not_make_room_for_others() -> None:
    """What lies outside in every look is beyond 99 % of known pictures, with odd ones in training as without."""
    known, unknown = looks_like(1000, 2), looks_like(200, 2)
    unknown[:, :6] *= 30.0
    for num_odd in (0, 30):
        rows = looks_like(1000, 2, num_odd)
        scale = normal_scale(rows)
        limit = np.quantile(scale.strangeness(known), 0.99)
        assert np.median(scale.strangeness(unknown)) > 1.1 * limit


def test_what_all_training_pictures_share_costs_little_where_it_differs_by_rounding() -> None:
    rows = looks_like(300, 3)
    scale = normal_scale(rows)
    same = scale.strangeness(rows)
    rows[:, 6] += 1e-6
    np.testing.assert_allclose(scale.strangeness(rows), same, atol=0.02)
    rows[:, 6] += 1
    assert (scale.strangeness(rows) > same + 0.5).all()
    assert np.isfinite(normal_scale(rows[:1]).strangeness(rows)).all()
