"""The hyperparameters of a layer as a figure: main effects with their intervals."""

from __future__ import annotations

from markupsafe import Markup

from whyconv.report.effects import effect_chart
from whyconv.results.hyperparameters import Hyperparameters, MainEffect
from whyconv.texts import say


def effects_figure(found: Hyperparameters, language: str) -> Markup:
    """Draws what each level does to accuracy; empty where no effects could be told."""
    if not found.effects:
        return Markup("")
    rows = [(_name(one, language), one.accuracy) for one in found.effects]
    return effect_chart(rows, say("hyper_figure", language), say("hyper_figure_axis", language))


def _name(one: MainEffect, language: str) -> str:
    level, against = one.level, one.against
    if one.factor in ("padding", "pooling"):
        level, against = (say(f"hyper_{one.factor}_{each}", language) for each in (level, against))
    factor = say(f"hyper_factor_{one.factor}", language)
    return say("hyper_effect", language, factor=factor, level=level, against=against)
