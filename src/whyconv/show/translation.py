"""Translation as lines: how answers to moved pictures hold, which layer and cause is to blame, what repairs change."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.results import Estimate
from whyconv.results.equivariance import Equivariance, LayerEquivariance
from whyconv.results.numbers import added_spread, in_spread, number_after, percent_after
from whyconv.results.surgery import Surgery
from whyconv.results.translation import ShiftKind, Translation
from whyconv.show.text import interval, printable, table, wrap
from whyconv.texts import say

_ORDER: tuple[ShiftKind, ...] = ("crop", "circular", "zero", "replicate", "fractional")
_RATES = (
    *("kappa", "worst_case", "correct_and_same", "worst_case_correct"),
    *("accuracy", "shifted_accuracy", "pair_consistency", "probability_change"),
)
_COLUMNS = ("layer", "jump", "at_jump", "within", "whole")
_CAUSE_COLUMNS = ("cause", "adds", "alone")
_MOST_ROWS = 24
_MOST_NAMES = 3
_MOST_NAME = 24


def translation_lines(found: Sequence[Translation], language: str, *, has_room: bool = True) -> list[str]:
    """Returns the rates of each kind of shift, real pixels first, the protocol under the numbers.

    Args:
        found: One for each kind.
        language: Of the sentences.
        has_room: False where no real pixels are left around what the network looks at: then that is said first.
    """
    lines = [say("translation_head", language)]
    if not has_room:
        lines += wrap(say("translation_no_room", language), "! ")
    for one in sorted(found, key=lambda each: _ORDER.index(each.protocol.kind)):
        kind = say(f"translation_kind_{one.protocol.kind}", language)
        lines += ["", *wrap(say("translation_lead", language, rate=interval(one.consistency), kind=kind), "  ")]
        lines += table([(say(f"translation_row_{name}", language), _rate(one, name, language)) for name in _RATES])
        if one.kappa.low <= 0 <= one.kappa.high:
            lines += wrap(say("translation_constant", language), "  ") if not one.kappa.value else []
        lines += wrap(_card(one, language), "  ")
    return lines


def _rate(found: Translation, name: str, language: str) -> str:
    estimate: Estimate = getattr(found, name)
    if name != "kappa":
        return interval(estimate)
    return say("translation_number", language, value=estimate.value, low=estimate.low, high=estimate.high)


def _card(found: Translation, language: str) -> str:
    protocol = found.protocol
    values = {"n": protocol.n, "draws": protocol.num_draws, "seed": protocol.seed, "shifts": len(protocol.shifts)}
    values |= {"high": protocol.side[0], "wide": protocol.side[1]}
    views = say(f"translation_views_{protocol.views}", language)
    return say("translation_card", language, reach=protocol.reach, dtype=protocol.dtype, views=views, **values)


def equivariance_lines(found: Equivariance, language: str) -> list[str]:
    """Returns a row for each layer that looks around, then what each cause adds."""
    protocol = found.protocol
    kind = say(f"translation_kind_{protocol.kind}", language)
    lines = wrap(say("equivariance_head", language, kind=kind), "")
    shown = found.looking()
    head = [say(f"equivariance_column_{name}", language) for name in _COLUMNS]
    lines += table([head, *map(_row, shown[:_MOST_ROWS])])
    if len(shown) > _MOST_ROWS:
        lines += wrap(say("equivariance_more", language, n=len(shown) - _MOST_ROWS), "  ")
    lines += ["", *wrap(say("equivariance_logits", language, error=interval(found.logits)), "")]
    head = [say(f"equivariance_column_{name}", language) for name in _CAUSE_COLUMNS]
    rows = [
        (say(f"equivariance_cause_{one.cause}", language), added_spread(one.error), in_spread(one.alone))
        for one in found.causes
    ]
    lines += table([head, *rows])
    for one in found.causes:
        if one.layers:
            values = {"cause": say(f"equivariance_cause_{one.cause}", language), "layers": _names(one.layers)}
            lines += wrap(say("equivariance_where", language, **values), "  ")
    for key in found.told():
        lines += wrap(say(key, language), "  ")
    for name, reason in list(found.not_analyzed.items())[:_MOST_NAMES]:
        values = {"name": printable(name), "reason": printable(reason)}
        lines += wrap(say("equivariance_not_analyzed", language, **values), "! ")
    numbers = {"n": protocol.n, "draws": protocol.num_draws, "seed": protocol.seed, "reach": protocol.reach}
    numbers |= {"high": protocol.side[0], "wide": protocol.side[1]}
    resampling = say(f"equivariance_by_{protocol.resampling}", language)
    card = say("equivariance_card", language, dtype=protocol.dtype, resampling=resampling, **numbers)
    return [*lines, *wrap(card, "  ")]


def _row(layer: LayerEquivariance) -> tuple[str, ...]:
    jumps = list(dict.fromkeys(f"{float(jump):g}" for jump in layer.jump))
    errors = [in_spread(each) for each in (layer.at_jump, layer.within, layer.whole)]
    return (_cut(printable(layer.name)), " x ".join(jumps), *errors)


def _names(names: Sequence[str]) -> str:
    shown = [_cut(printable(name)) for name in names[:_MOST_NAMES]]
    return ", ".join(shown) + (f" +{len(names) - _MOST_NAMES}" if len(names) > _MOST_NAMES else "")


def _cut(name: str) -> str:
    return name if len(name) <= _MOST_NAME else "..." + name[3 - _MOST_NAME :]


def surgery_lines(found: Surgery, language: str) -> list[str]:
    """Returns a table for each kind of shift, before and after each repair, then what could not be repaired."""
    lines = wrap(say("surgery_head", language), "")
    columns = ("repair", "consistency", "kappa", "accuracy")
    for before in sorted(found.before, key=lambda each: _ORDER.index(each.protocol.kind)):
        rows = [[say(f"surgery_column_{name}", language) for name in columns]]
        first = (f"{100 * before.consistency.value:.1f}", f"{before.kappa.value:.2f}")
        rows.append([say("surgery_repair_before", language), *first, f"{100 * before.accuracy.value:.1f}"])
        for repair in found.repairs:
            name = say(f"surgery_repair_{repair.name}", language)
            for one in repair.scores:
                if one.kind == before.protocol.kind:
                    consistency = percent_after(one.consistency, one.consistency_change)
                    kappa = number_after(one.kappa, one.kappa_change)
                    rows.append([name, consistency, kappa, percent_after(one.accuracy, one.accuracy_change)])
        kind = say(f"translation_kind_{before.protocol.kind}", language)
        lines += ["", *wrap(kind, ""), *table(rows), *wrap(_card(before, language), "  ")]
    return [*lines, *wrap(say("surgery_note", language), "  "), *_left_lines(found, language)]


def _left_lines(found: Surgery, language: str) -> list[str]:
    lines: list[str] = []
    for repair in found.repairs:
        name = say(f"surgery_repair_{repair.name}", language)
        left = repair.not_repaired()
        if not repair.scores and not left:
            lines += wrap(say("surgery_nothing", language, repair=name), "  ")
        for one in left:
            reason = say(f"surgery_left_{one.reason}", language)
            lines += wrap(say("surgery_left", language, repair=name, layer=printable(one.layer), reason=reason), "! ")
    return lines
