"""What ``whyconv why`` measured of the run's own network and of a first layer on its pictures, as tables."""

from __future__ import annotations

from evidencing.markdown import join, number, percent, points, table
from whyconv.results.hyperparameters import SettingScore
from whyconv.results.price import LayerLeftOut
from whyconv.results.why import Why
from whyconv.texts import say


def own_network(why: Why) -> str:
    """Price of sharing, hyperparameters, answers to moved pictures, and what of it could not be asked."""
    return join(_price(why), _settings(why), _effects(why), _translation(why), _missing(why))


def _price(why: Why) -> str:
    if why.price is None:
        return ""
    rows = [
        [one.layer, f"{one.tied_parameters:,}", f"{one.untied_parameters:,}", percent(one.tied), points(one.gain)]
        for one in why.price.layers
    ]
    title = (
        f"The run's own network ({percent(why.price.accuracy_before)} % of {why.price.num_test:,} test pictures), one "
        f"convolution untied and trained on for {why.price.protocol.steps} steps, beside the same steps with sharing; "
        f"95 % t interval over {why.price.protocol.num_seeds} seeds."
    )
    left = "; ".join(map(_left_out, why.price.left_out))
    said = f"Convolutions not untied: {left}." if left else ""
    return join(table(title, ["layer", "weights", "untied", "accuracy with sharing, %", "points without"], rows), said)


def _left_out(one: LayerLeftOut) -> str:
    causes = {
        "memory": f"{one.num_bytes / 1e9:.1f} GB",
        "time": f"{one.seconds:,.0f} s" if one.seconds else "no time",
        "one_place": "a single place",
        "fixed": "not learned",
        "no_twin": one.reason,
    }
    return f"{one.layer} ({causes[one.cause]})"


def _settings(why: Why) -> str:
    found = why.hyperparameters
    if found is None:
        return ""
    head = ["kernel", "stride", "padding", "filters", "pooling", "accuracy, %", "points", "parameters", "ms a step"]
    title = (
        f"Settings of a first layer, {found.side[0]} x {found.side[1]} pixels, the center first, then one factor at a "
        f"time, then drawn ones; points against the center; 95 % t interval over {found.protocol.num_seeds} seeds."
    )
    return table(title, head, [_setting(one) for one in found.scores])


def _setting(one: SettingScore) -> list[str]:
    chosen = one.setting
    words = [f"{chosen.kernel}", f"{chosen.stride}", chosen.padding, f"{chosen.filters}", chosen.pooling]
    difference = "" if one.difference is None else points(one.difference)
    return [*words, percent(one.accuracy), difference, f"{one.parameters:,}", f"{1000 * one.step_seconds.value:.2f}"]


def _effects(why: Why) -> str:
    found = why.hyperparameters
    if found is None:
        return ""
    rows = [[f"{one.factor} {one.level}", one.against, points(one.accuracy)] for one in found.effects]
    title = f"A first layer's own hyperparameters, {len(found.scores)} settings, 95 % interval over them."
    return table(title, ["setting", "in place of", "points"], rows)


def _translation(why: Why) -> str:
    rows = [
        [
            f"{one.protocol.kind}, up to {one.protocol.reach:g} pixels",
            f"{len(one.protocol.shifts)}",
            f"{one.protocol.n:,}",
            *map(percent, (one.accuracy, one.consistency, one.worst_case_correct)),
            number(one.kappa),
        ]
        for one in why.translation
    ]
    head = ["what comes in", "shifts", "pictures", "accuracy, %", "same answer, %", "right under all, %", "kappa"]
    asked = {(one.protocol.side, one.protocol.dtype, one.protocol.views, one.protocol.seed) for one in why.translation}
    cards = "; ".join(
        f"{side[0]} x {side[1]} pixels, {dtype}, views: {views}, seed {seed}"
        for side, dtype, views, seed in sorted(asked)
    )
    return table(f"The run's own network, its test pictures moved ({cards}); 95 % interval over pictures.", head, rows)


def _missing(why: Why) -> str:
    reasons = {one.what: say(one.reason, "en") for one in why.not_measured}
    reasons |= why.failed | {part: say(key, "en") for part, key in why.not_available.items()}
    told = "; ".join(f"{part}: {reason.rstrip('.')}" for part, reason in reasons.items())
    return f"Not measured: {told}." if told else ""
