"""A layer's hyperparameters as lines: a row for each setting, main effects, and what was left out."""

from __future__ import annotations

from whyconv.results import Estimate
from whyconv.results.hyperparameters import (
    FactorName,
    Hyperparameters,
    LayerSetting,
    MainEffect,
    SettingScore,
)
from whyconv.results.numbers import in_percent, in_points
from whyconv.show.text import table, wrap
from whyconv.texts import say

_MOST_LISTED = 12
# Factors whose levels are words.
_WORDS: tuple[FactorName, ...] = ("padding", "pooling")
_COLUMNS = (
    *("hyper_column_setting", "hyper_column_accuracy", "hyper_column_difference"),
    *("hyper_column_parameters", "hyper_column_time"),
)


def hyperparameter_lines(found: Hyperparameters, language: str) -> list[str]:
    """Returns what each setting reaches, and what each level of each factor does."""
    protocol = found.protocol
    high, wide = found.side
    values = {"settings": len(found.scores), "seeds": protocol.num_seeds, "steps": protocol.steps}
    lines = wrap(say("hyper_head", language, high=high, wide=wide, **values), "")
    head = [say(one, language) for one in _COLUMNS]
    lines += ["", *table([head, *(_row(one, language) for one in found.scores)])]
    lines += wrap(say("hyper_legend", language, test=found.num_test), "  ")
    if any(one.accuracy.has_no_width for one in found.scores):
        lines += wrap(say("interval_no_width", language), "  ")
    lines += ["", *_effect_lines(found, language), *_left_lines(found, language)]
    rates = ", ".join(f"{rate:g}" for rate in protocol.learning_rates)
    note = say("hyper_note", language, rates=rates, validation=found.num_validation, train=found.num_train)
    lines += ["", *wrap(note, "  ")]
    if at_edge := sum(one.is_rate_at_edge for one in found.scores):
        lines += wrap(say("hyper_at_edge", language, n=at_edge, total=len(found.scores)), "  ")
    return lines


def level_text(factor: FactorName, level: object, language: str) -> str:
    """Returns a level as people call it: numbers as they are, words in their language."""
    return say(f"hyper_{factor}_{level}", language) if factor in _WORDS else str(level)


def setting_text(setting: LayerSetting, language: str) -> str:
    """Returns ``5x5 s2 same n16 max``."""
    padding, pooling = (level_text(name, getattr(setting, name), language) for name in _WORDS)
    return f"{setting.kernel}x{setting.kernel} s{setting.stride} {padding} n{setting.filters} {pooling}"


def effect_text(effect: MainEffect, language: str) -> str:
    """Returns ``filter 5 instead of 3``."""
    level, against = (level_text(effect.factor, one, language) for one in (effect.level, effect.against))
    factor = say(f"hyper_factor_{effect.factor}", language)
    return say("hyper_effect", language, factor=factor, level=level, against=against)


def _row(one: SettingScore, language: str) -> list[str]:
    seconds = one.step_seconds
    return [
        setting_text(one.setting, language),
        in_percent(one.accuracy),
        say("hyper_center", language) if one.difference is None else _points(one.difference),
        f"{one.parameters:,}",
        f"{1000 * seconds.value:.1f}±{500 * (seconds.high - seconds.low):.1f}",
    ]


def _effect_lines(found: Hyperparameters, language: str) -> list[str]:
    if found.residual is None:
        return wrap(say("hyper_no_effects", language), "  ")
    head = say("hyper_effects", language, n=len(found.scores), residual=100 * found.residual)
    rows = [(effect_text(one, language), _points(one.accuracy)) for one in found.effects]
    return [*wrap(head, ""), *table(rows)]


def _left_lines(found: Hyperparameters, language: str) -> list[str]:
    lines: list[str] = []
    late = [one for one in found.left_out if one.cause == "time"]
    small = [one for one in found.left_out if one.cause == "too_small"]
    if late:
        values = {"n": len(late), "seconds": sum(one.seconds for one in late)}
        listed = _listed([one.setting for one in late], language)
        lines += wrap(say("hyper_left_time", language, settings=listed, **values), "! ")
    if small:
        listed = _listed([one.setting for one in small], language)
        lines += wrap(say("hyper_left_small", language, n=len(small), settings=listed), "! ")
    return lines


def _listed(settings: list[LayerSetting], language: str) -> str:
    texts = [setting_text(one, language) for one in settings[:_MOST_LISTED]]
    return ", ".join(texts) + (", ..." if len(settings) > _MOST_LISTED else "")


def _points(estimate: Estimate) -> str:
    return in_points(estimate).replace(" ", "")
