"""The price of sharing as lines: a row for each convolution, what it says, and what was not measured."""

from __future__ import annotations

from whyconv.results.numbers import in_percent, in_points
from whyconv.results.price import LayerLeftOut, LayerPrice, PriceOfSharing
from whyconv.show.text import printable, table, wrap
from whyconv.texts import say

_COLUMNS = (
    *("price_column_layer", "price_column_places", "price_column_tied"),
    *("price_column_gain", "price_column_pictures", "price_column_drift"),
)
_MOST_NAME = 16


def price_lines(found: PriceOfSharing, language: str) -> list[str]:
    """Returns what sharing costs or is worth, layer by layer."""
    before = found.accuracy_before
    lines = wrap(say("price_head", language, steps=found.protocol.steps), "")
    values = {"share": before.value, "low": before.low, "high": before.high, "n": found.num_test}
    lines += wrap(say("price_before", language, **values), "  ")
    if found.layers:
        head = tuple(say(column, language) for column in _COLUMNS)
        lines += ["", *table([head, *(_row(one) for one in found.layers)])]
        lines += wrap(say("price_legend", language, seeds=found.protocol.num_seeds), "  ")
        if any(each.has_no_width for one in found.layers for each in (one.tied, one.gain)):
            lines += wrap(say("interval_no_width", language), "  ")
        for one in found.layers:
            lines += ["", *_layer_lines(one, language)]
    lines += [""] if found.left_out else []
    for left in found.left_out:
        lines += _left_lines(left, found, language)
    rates = ", ".join(f"{rate:g}" for rate in found.protocol.learning_rates)
    note = say("price_note", language, rates=rates, validation=found.num_validation, train=found.num_train)
    return [*lines, "", *wrap(note, "  ")]


def _row(one: LayerPrice) -> tuple[str, ...]:
    apart, drift = one.gain_over_pictures, one.drift.mean
    low, high = (round(100 * each, 1) + 0.0 for each in (apart.low, apart.high))  # no -0.0
    return (
        _short(one.layer),
        f"{one.places[0]}x{one.places[1]}",
        in_percent(one.tied),
        in_points(one.gain).replace(" ", ""),
        f"{low:+.1f} .. {high:+.1f}",
        f"{100 * drift.value:.1f}±{50 * (drift.high - drift.low):.1f} %",
    )


def _layer_lines(one: LayerPrice, language: str) -> list[str]:
    points = in_points(one.gain) if one.verdict == "undecided" else in_points(one.gain).lstrip("+-")
    ratio = one.untied_parameters / one.tied_parameters
    verdict = say(f"price_verdict_{one.verdict}", language, layer=printable(one.layer), points=points, ratio=ratio)
    lines = wrap(verdict, "  ")
    lines += wrap(say("price_drift", language, **one.drift.words()), "    ")
    lines += wrap(say("price_own_rates", language, points=in_points(one.gain_at_own_rates)), "    ")
    if one.is_rate_at_edge:
        lines += wrap(say("price_at_edge", language, rate=one.learning_rate), "    ")
    return lines


def _left_lines(left: LayerLeftOut, found: PriceOfSharing, language: str) -> list[str]:
    values = {"layer": printable(left.layer), "num_bytes": left.num_bytes, "seconds": left.seconds}
    reason = printable(left.reason.replace("\n", " "))
    said = say(f"price_left_{left.cause}", language, reason=reason, most=found.protocol.most_bytes, **values)
    return wrap(said, "! " if left.cause != "one_place" else "  ")


def _short(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _MOST_NAME else "..." + shown[3 - _MOST_NAME :]
