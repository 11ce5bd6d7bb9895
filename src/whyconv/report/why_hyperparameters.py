"""What a section on why convolutions says about the hyperparameters of a layer: effects, and a row for each setting."""

from __future__ import annotations

from markupsafe import Markup

from whyconv.report.blocks import Block, Table, teller
from whyconv.report.curves import Figure
from whyconv.report.hyperparameters import effects_figure
from whyconv.results.hyperparameters import FACTORS, Hyperparameters, LayerSetting, SettingScore
from whyconv.results.numbers import in_percent, in_points


def hyperparameters_block(found: Hyperparameters, language: str) -> Block:
    """Main effects where there are any, settings in rows, and how many were left out."""
    say, protocol = teller(language), found.protocol
    high, wide = found.side
    values = {"settings": len(found.scores), "seeds": protocol.num_seeds, "steps": protocol.steps}
    figures = []
    if found.residual is not None:
        note = say("hyper_effects", n=len(found.scores), residual=100 * found.residual)
        figures = [Figure(say("hyper_figure"), Markup(""), effects_figure(found, language), note)]
    head = [say(f"hyper_factor_{name}") for name in FACTORS]
    head += [say(f"hyper_column_{name}") for name in ("accuracy", "difference", "parameters", "time")]
    table = Table(
        head, [_row(one, language) for one in found.scores], note=say("report_why_settings", n=found.num_test)
    )
    rates = ", ".join(f"{rate:g}" for rate in protocol.learning_rates)
    notes = [] if figures else [say("hyper_no_effects")]
    late = [one for one in found.left_out if one.cause == "time"]
    small = [one for one in found.left_out if one.cause == "too_small"]
    if late:
        notes.append(say("report_why_late", n=len(late), seconds=sum(one.seconds for one in late)))
    if small:
        notes.append(say("report_why_small", n=len(small)))
    if any(one.accuracy.has_no_width for one in found.scores):
        notes.append(say("interval_no_width"))
    notes.append(say("hyper_note", rates=rates, validation=found.num_validation, train=found.num_train))
    if at_edge := sum(one.is_rate_at_edge for one in found.scores):
        notes.append(say("hyper_at_edge", n=at_edge, total=len(found.scores)))
    return Block(
        title=say("report_why_hyperparameters"),
        about=[say("hyper_head", high=high, wide=wide, **values)],
        figures=figures,
        tables=[table],
        notes=notes,
    )


def _row(one: SettingScore, language: str) -> list[str]:
    seconds = one.step_seconds
    return [
        *_levels(one.setting, language),
        in_percent(one.accuracy),
        teller(language)("hyper_center") if one.difference is None else in_points(one.difference),
        f"{one.parameters:,}",
        f"{1000 * seconds.value:.1f} ± {500 * (seconds.high - seconds.low):.1f}",
    ]


def _levels(setting: LayerSetting, language: str) -> list[str]:
    say = teller(language)
    padding, pooling = say(f"hyper_padding_{setting.padding}"), say(f"hyper_pooling_{setting.pooling}")
    return [str(setting.kernel), str(setting.stride), padding, str(setting.filters), pooling]
