from __future__ import annotations

from pathlib import Path

import growth
import numpy as np
import predict_speed
import pytest
from growth import Point, exponents, points, verdict, write_pictures


def rows(seconds: list[float], megabytes: list[int]) -> list[dict[str, object]]:
    numbers = (1_000, 10_000, 100_000)
    return [
        {
            "axis": "pictures",
            "number": n,
            "side": 32,
            "classes": 10,
            "seconds": s,
            "allocated_megabytes": m,
            "resident_megabytes": m,
        }
        for n, s, m in zip(numbers, seconds, megabytes, strict=True)
    ]


def test_growth_is_the_slope_on_logarithmic_axes() -> None:
    numbers = np.array([1_000, 10_000, 100_000])
    found = exponents(rows((3 * numbers**1.2).tolist(), [1, 1, 1]), "seconds")
    assert found == pytest.approx([1.2, 1.2])
    assert exponents(rows([1, 2, 3], [5, 5, 5]), "allocated_megabytes") == [0, 0]


def test_the_verdict_tells_linear_from_steeper() -> None:
    assert "(linear)" in verdict(rows([10, 40, 330], [500, 510, 520]))
    assert "+20 MB for 99,000 more pictures (+202 bytes each)" in verdict(rows([10, 40, 330], [500, 510, 520]))
    assert "steeper than linear" in verdict(rows([10, 40, 500], [500, 510, 520]))


def test_one_size_grows_at_a_time_up_to_the_most_asked_for() -> None:
    found = points(30_000)
    assert {point.number for point in found if point.axis == "pictures"} == {1_000, 3_000, 10_000, 30_000}
    assert {point.side for point in found if point.axis != "side"} == {32}
    assert max(point.number for point in points(10**6)) == 10**6


def test_generated_pictures_differ_and_their_classes_can_be_told(tmp_path: Path) -> None:
    write_pictures(tmp_path, Point("pictures", 400, 16, 4))
    x, y = np.load(tmp_path / "x.npy"), np.load(tmp_path / "y.npy")
    assert x.shape == (400, 16, 16, 3)
    assert len(np.unique(x.reshape(400, -1), axis=0)) == 400
    means = np.stack([x[y == label].mean(axis=0) for label in range(4)])
    nearest = ((x[:, None].astype(float) - means) ** 2).sum(axis=(2, 3, 4)).argmin(axis=1)
    assert (nearest == y).all()


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    sides = [
        {**row, "axis": "side", "side": side} for row, side in zip(rows([1, 2, 3], [4, 5, 6]), (8, 16, 32), strict=True)
    ]
    growth.draw([*rows([1, 2, 3], [4, 5, 6]), *sides], tmp_path / "growth.svg")
    assert "<svg" in (tmp_path / "growth.svg").read_text()


def test_ratios_of_speed_are_above_one_where_the_recognizer_is_quicker() -> None:
    found = {
        "recognizer": {"rates": [100.0, 50.0, 99.0], "singles": [0.002] * 30},
        "onnxruntime": {"rates": [80.0, 40.0, 90.0], "singles": [0.003] * 30},
    }
    own, other = predict_speed.compared(found)
    assert other["rate_ratio"] == pytest.approx(1.25), "the median over rounds, each compared with its neighbor"
    assert other["latency_ratio"] == pytest.approx(1.5)
    assert (own["rate_ratio"], own["latency_ratio"]) == (1, 1)
