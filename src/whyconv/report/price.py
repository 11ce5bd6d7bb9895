"""The price of sharing as figures: what each layer gains untied, and where its filters drifted apart."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from whyconv.report.charts import Axis, Series, line_chart
from whyconv.report.effects import effect_chart
from whyconv.report.heat import heat_map
from whyconv.report.names import shown
from whyconv.results.price import LayerPrice, PriceOfSharing
from whyconv.texts import say


def gain_figure(found: PriceOfSharing, language: str) -> Markup:
    """Draws untied - tied for each layer, its interval over seeds; empty where none was measured."""
    if not found.layers:
        return Markup("")
    rows = [(one.layer, one.gain) for one in found.layers]
    return effect_chart(rows, say("price_figure_gain", language), say("price_figure_axis", language))


def drift_figure(one: LayerPrice, language: str) -> Markup:
    """Draws how far the filter of each place is from the mean filter."""
    return heat_map(one.drift.by_place, say("price_figure_drift", language, layer=shown(one.layer)))


def direction_figure(one: LayerPrice, language: str) -> Markup:
    """Draws which places went one way along the direction in which filters differ most, and which the other."""
    return heat_map(one.drift.direction, say("price_figure_direction", language, layer=shown(one.layer)), 1.0)


def cosine_figure(one: LayerPrice, language: str) -> Markup:
    """Draws the mean cosine of what two places learned over their distance."""
    distances = np.array([each.distance for each in one.drift.cosines], dtype=np.float64)
    changes = np.array([each.changes for each in one.drift.cosines])
    x_axis = Axis(say("price_figure_distance", language), 0.0, float(distances.max()))
    y_axis = Axis(say("price_figure_cosine_axis", language), min(0.0, float(changes.min())), 1.0)
    description = say("price_figure_cosine", language, layer=shown(one.layer))
    return line_chart([Series("", distances, changes)], x_axis, y_axis, description)
