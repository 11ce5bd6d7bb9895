"""Which layer keeps maps from moving along with the picture, as a figure."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from whyconv.report.charts import Series, Style, legend
from whyconv.report.effects import dot_chart
from whyconv.results.equivariance import Equivariance
from whyconv.texts import say

_MOST_LAYERS = 24
_COLUMNS: tuple[tuple[str, Style], ...] = (("at_jump", "first"), ("within", "second"), ("whole", "third"))


def equivariance_figure(found: Equivariance, language: str) -> Markup:
    """Draws three errors for each layer that looks around; empty where none was measured."""
    layers = [
        (one.name, [one.at_jump, one.within, one.whole])
        for one in found.looking()[:_MOST_LAYERS]
        if any((one.at_jump, one.within, one.whole))
    ]
    if not layers:
        return Markup("")
    return dot_chart(layers, say("report_why_layers", language), say("report_why_spread", language))


def equivariance_legend(language: str) -> Markup:
    """Returns which dot is which error."""
    nothing = np.zeros(0)
    names = [(say(f"equivariance_column_{name}", language), style) for name, style in _COLUMNS]
    return legend([Series(name, nothing, nothing, style) for name, style in names])
