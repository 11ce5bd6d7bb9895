"""Main effects: what one level of one factor does, by least squares over settings that differ in many."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from whyconv.results import Estimate
from whyconv.results.hyperparameters import FACTORS, FactorName, LayerSetting, MainEffect
from whyconv.study.settings_design import Level

# Settings beyond the number of coefficients, the constant among them, that are needed for an interval.
_LEAST_LEFT = 2


def main_effects(
    settings: Sequence[LayerSetting], accuracies: Sequence[float], center: LayerSetting
) -> tuple[list[MainEffect], float | None]:
    """Fits accuracy = constant + one effect for each level of each factor that is not the center's.

    Where factors work together in other ways than by adding up, that is in the residual, and makes intervals wide.

    Args:
        settings: Trained.
        accuracies: Of each, mean over seeds.
        center: Whose levels have the effect 0.

    Returns:
        Effects with 95 % t intervals over settings, and the residual standard deviation. None and no effects where
        fewer than 3 settings more than effects were trained (the constant is fitted too). Levels that cannot be told
        apart from others by these settings are left out.

    References:
        Montgomery, *Design and Analysis of Experiments*, chapter 10, for regression on designed experiments.
    """
    columns = _columns(settings, center)
    matrix = np.array(
        [[1.0, *(float(getattr(one, name) == level) for name, level in columns)] for one in settings], dtype=np.float64
    )
    left = len(settings) - matrix.shape[1]
    if left < _LEAST_LEFT or not columns:
        return [], None
    values = np.asarray(accuracies, dtype=np.float64)
    inverse = np.linalg.pinv(matrix.T @ matrix)
    found = inverse @ matrix.T @ values
    residual = math.sqrt(float(((values - matrix @ found) ** 2).sum()) / left)
    reach = float(stdtrit(left, 0.975)) * residual * np.sqrt(np.diag(inverse))
    known = _estimable(matrix)
    return [
        MainEffect(
            factor=name,
            level=str(level),
            against=str(getattr(center, name)),
            accuracy=Estimate(
                value=float(found[index]),
                low=float(found[index] - reach[index]),
                high=float(found[index] + reach[index]),
                n=len(settings),
                over="settings",
            ),
        )
        for index, (name, level) in enumerate(columns, start=1)
        if known[index]
    ], residual


def _columns(settings: Sequence[LayerSetting], center: LayerSetting) -> list[tuple[FactorName, Level]]:
    """Levels that were trained and are not the center's, in the order of the factors."""
    return [
        (name, level)
        for name in FACTORS
        for level in sorted({getattr(one, name) for one in settings} - {getattr(center, name)})
    ]


def _estimable(matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which coefficients the rows determine: those whose unit vector lies in the span of the rows."""
    span = np.linalg.pinv(matrix) @ matrix
    return np.asarray(np.abs(np.diag(span) - 1) < 1e-9)
