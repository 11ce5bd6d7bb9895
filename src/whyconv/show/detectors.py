"""Detectors as lines: how evenly each one fires over the picture, and what its silence costs in each quadrant."""

from __future__ import annotations

from whyconv.results import Estimate
from whyconv.results.detectors import QUADRANTS, Detector, Detectors, LayerDetectors
from whyconv.show.text import interval, printable, table, wrap
from whyconv.texts import say


def detector_lines(found: Detectors, language: str) -> list[str]:
    """Returns a table for each layer, and how many of its detectors are useful in how many quadrants."""
    lines = wrap(say("detectors_head", language, n=found.n, accuracy=interval(found.accuracy)), "")
    for layer in found.layers:
        lines += ["", *_layer_lines(layer, language)]
    if found.layers:
        lines += ["", *wrap(say("detectors_legend", language), "  ")]
    for name, reason in found.left_out.items():
        lines += wrap(say("detectors_left_out", language, layer=printable(name), reason=printable(reason)), "! ")
    return lines


def _layer_lines(layer: LayerDetectors, language: str) -> list[str]:
    shown = len(layer.detectors)
    values = {"layer": printable(layer.layer), "total": layer.num_detectors, "shown": shown}
    values |= {"high": layer.places[0], "wide": layer.places[1]}
    is_all = shown == layer.num_detectors
    lines = wrap(say("detectors_layer_all" if is_all else "detectors_layer_strongest", language, **values), "")
    if not layer.is_activated:
        lines += wrap(say("detectors_not_activated", language, module=printable(layer.activation)), "! ")
    head = [say("detectors_column_channel", language), say("detectors_column_spread", language)]
    head += [say(f"detectors_quadrant_{one}", language) for one in QUADRANTS]
    head.append(say("detectors_column_everywhere", language))
    lines += table([head, *(_row(one, language) for one in layer.detectors)])
    lines += wrap(say("detectors_summary", language, shown=shown, **layer.needed()), "  ")
    return [*lines, *wrap(say("detectors_summary_loss", language, **layer.useful()), "  ")]


def _row(one: Detector, language: str) -> list[str]:
    spread = one.spread
    shown = say("detectors_never", language)
    if spread is not None:
        shown = f"{100 * spread.value:.0f} ({100 * spread.low:.0f}-{100 * spread.high:.0f})"
    return [str(one.channel), shown, *map(_ends, [*one.lost, one.lost_everywhere])]


def _ends(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.1f}..{100 * estimate.high:.1f}"
