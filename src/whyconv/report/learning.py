"""Learning curves as figures: accuracy over the number of pictures, the four corners, targets marked."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from whyconv.report.charts import Axis, Series, Style, legend, line_chart
from whyconv.results import CORNERS, ArmName, Corner, Place, Square
from whyconv.texts import say

_STYLES: dict[Corner, Style] = {"dense": "first", "local": "second", "shared_global": "third", "convolution": "fourth"}
_BOTTOMS = (80.0, 60.0, 40.0, 20.0, 0.0)


def learning_figure(square: Square, place: Place, arm: ArmName, language: str) -> Markup:
    """Draws test accuracy after training on rising numbers of pictures, on a logarithmic axis.

    Whiskers are 95 % t intervals over draws; level lines are the targets that pictures needed are told for.

    Args:
        square: The record.
        place: Pictures as they are, or moved.
        arm: What else was done.
        language: Of the words on it.
    """
    lines = [_series(square, corner, place, arm, language) for corner in CORNERS]
    sizes = square.protocol.sizes
    targets = {100 * one.target for one in square.needed if (one.place, one.arm) == (place, arm)}
    least = min(float(np.min(one.y if one.low is None else one.low)) for one in lines)
    bottom = next(start for start in _BOTTOMS if start <= max(0.0, least))
    y_axis = Axis(say("report_why_accuracy", language), bottom, 100.0)
    x_axis = Axis(say("report_why_pictures", language), float(sizes[0]), float(sizes[-1]), is_log=True)
    title = learning_title(square, place, arm, language)
    return line_chart(lines, x_axis, y_axis, title, levels=sorted(one for one in targets if one >= bottom))


def learning_title(square: Square, place: Place, arm: ArmName, language: str) -> str:
    """Returns what a figure shows."""
    if arm == "plain":
        return say(f"report_why_curve_{place}", language)
    return say(f"curves_arm_{arm}_{place}", language, shift=square.protocol.shift)


def learning_legend(language: str) -> Markup:
    """Returns which line is which corner."""
    nothing = np.zeros(0)
    names = [(say(f"square_corner_{corner}", language), _STYLES[corner]) for corner in CORNERS]
    return legend([Series(name, nothing, nothing, style) for name, style in names])


def _series(square: Square, corner: Corner, place: Place, arm: ArmName, language: str) -> Series:
    sizes = square.protocol.sizes
    found = [square.score(corner, place, n_train, arm=arm).accuracy for n_train in sizes]
    value, low, high = (100 * np.array([getattr(one, name) for one in found]) for name in ("value", "low", "high"))
    name = say(f"square_corner_{corner}", language)
    x = np.array(sizes, dtype=np.float64)
    return Series(name, x, value, _STYLES[corner], np.clip(low, 0, 100), np.clip(high, 0, 100))
