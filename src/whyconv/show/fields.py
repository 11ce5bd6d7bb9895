"""What layers see of the picture, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.results.fields import AxisField, EffectiveField, FieldReport, LayerField
from whyconv.show.text import printable, table, wrap
from whyconv.texts import say

_COLUMNS = ("fields_layer", "fields_field", "fields_jump", "fields_start", "fields_reach")
_MOST_ROWS = 40
_MOST_NAMES = 6
_MOST_NAME = 34
# Layers that look further than the one before them; the rest sees what its input sees.
_LOOKING = ("convolution", "locally_connected", "linear", "pooling", "attention", "upsample")


def field_lines(report: FieldReport, language: str) -> list[str]:
    """Returns a table of the layers that look around, and what is not as one might think."""
    head = tuple(say(column, language) for column in _COLUMNS)
    shown = [one for one in report.layers if one.kind in _LOOKING and one.name not in report.not_analyzed]
    rows = [_row(one, language) for one in shown[:_MOST_ROWS]]
    lines = [say("fields_head", language, picture=_times(report.picture))]
    lines += table([head, *rows])
    if len(shown) > _MOST_ROWS:
        lines.append("  " + say("fields_more", language, n=len(shown) - _MOST_ROWS))
    lines += wrap(say("fields_legend", language), "  ")
    if any(one.field.is_whole and one.field.axes for one in shown):
        lines += wrap(say("fields_summary", language), "  ")
    return [*lines, *_warnings(report, language)]


def field_summary(report: FieldReport, language: str) -> list[str]:
    """Returns what the deepest layer with places sees, and what is not as one might think."""
    deepest = next((one for one in reversed(report.layers) if one.field.axes), None)
    lines = []
    if deepest is not None:
        jumps = _alike([_jump(axis) for axis in deepest.field.axes])
        values = {"field": _times([axis.size for axis in deepest.field.axes]), "jump": jumps}
        values |= {"name": printable(deepest.name), "picture": _times(report.picture), "reach": _reach(deepest)}
        lines += wrap(say("fields_deepest", language, **values), "  ")
    return [*lines, *_warnings(report, language), *wrap(say("fields_next", language), "  ")]


def effective_lines(found: EffectiveField, language: str) -> list[str]:
    """Returns the squares with their intervals, and what they were measured on."""
    high, wide = found.input_size
    lines = wrap(say("effective_head", language, layer=printable(found.layer), n=found.n, high=high, wide=wide), "")
    for square in found.squares:
        side = square.side
        values = {"share": 100 * square.share, "side": side.value, "low": side.low, "high": side.high}
        lines += wrap(say("effective_square", language, **values), "  ")
    high, wide = found.theoretical
    lines += wrap(say("effective_theory", language, high=high, wide=wide), "  ")
    return [*lines, *wrap(say("effective_whole", language), "  ")] if found.is_whole else lines


def _row(layer: LayerField, language: str) -> tuple[str, ...]:
    axes = layer.field.axes
    field = _times([axis.size for axis in axes])
    if layer.field.is_whole:
        field = say("fields_and_all", language, field=field) if axes else say("fields_all", language)
    jumps, starts = _alike([_jump(axis) for axis in axes]), _alike([str(axis.start) for axis in axes])
    return _short(printable(layer.name)), field, jumps, starts, _reach(layer)


def _jump(axis: AxisField) -> str:
    return "?" if axis.jump is None else f"{float(axis.jump):g}"


def _reach(layer: LayerField) -> str:
    found = layer.reach
    share = f"{'<= ' if found.is_bound else ''}{100 * found.mean:.3g} %"
    return share if found.mean_by_windows is None else f"{share} ({100 * found.mean_by_windows:.3g} %)"


def _warnings(report: FieldReport, language: str) -> list[str]:
    lines: list[str] = []
    apart = {one.name: max(one.field.misalignment) for one in report.layers if not one.field.is_aligned}
    for name, pixels in list(apart.items())[:_MOST_NAMES]:
        lines += wrap(say("fields_misaligned", language, name=printable(name), pixels=float(pixels)), "! ")
    if not apart and any(one.field.misalignment for one in report.layers):
        lines += wrap(say("fields_aligned", language), "  ")
    if report.uneven:
        names = list(dict.fromkeys(printable(one.name) for one in report.uneven))
        listed = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        lines += wrap(say("fields_uneven", language, n=len(names), names=listed), "! ")
        lines += wrap(say("fields_even", language, sizes=_even(report, language)), "  ") if _has_even(report) else []
    if bound := [one for one in report.layers if one.reach.is_bound]:
        lines += wrap(say("fields_bound", language, n=len(bound)), "! ")
    for name, reason in list(report.not_analyzed.items())[:_MOST_NAMES]:
        lines += wrap(say("fields_not_analyzed", language, name=printable(name), reason=printable(reason)), "! ")
    return lines


def _has_even(report: FieldReport) -> bool:
    return all(any(lengths) for lengths in report.even_lengths)


def _even(report: FieldReport, language: str) -> str:
    along = []
    for below, above in report.even_lengths:
        one = say("fields_even_axis", language, below=below, above=above) if below and above else str(below or above)
        along.append(one)
    return _alike(along)


def _alike(values: Sequence[str]) -> str:
    return (values[0] if len(set(values)) == 1 else " x ".join(values)) if values else ""


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _short(name: str) -> str:
    return name if len(name) <= _MOST_NAME else "..." + name[3 - _MOST_NAME :]
