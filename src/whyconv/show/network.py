"""What ``whyconv inspect`` counted, as lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

from rich.cells import cell_len

from whyconv.errors import UsageError, nearest
from whyconv.results.network import LayerCount, NetworkReport
from whyconv.show.text import WIDTH, facts, note_lines, printable, table, wrap
from whyconv.texts import say

Layers = Literal["some", "weighted", "all"]
_COLUMNS = ("layer", "output", "parameters", "connections", "work", "factors")
_MOST_ROWS = 24
_FEW = 5
_LONGEST_NAME, _NARROW_NAME = 28, 20


def require_layers(name: str) -> Layers:
    """Returns which layers are to be shown.

    Raises:
        UsageError: There is no such choice.
    """
    match name:
        case "some" | "weighted" | "all":
            return name
    known = get_args(Layers)
    raise UsageError(f"--layers {name}: expected one of {', '.join(known)}.{nearest(name, known)}")


def network_lines(report: NetworkReport, language: str, layers: Layers = "some") -> list[str]:
    """Returns a row for each layer, then the sums, and what they mean.

    Args:
        report: The counts.
        language: "en" or "ko".
        layers: "some" of those with weights or products, all that are "weighted", or "all" operations.
    """
    picture = "x".join(map(str, report.input))
    head = say("network_head", language, source=printable(report.source), input=picture, n=len(report.layers))
    lines = [*wrap(head, ""), *_layer_lines(report, language, layers), ""]
    lines += [
        *facts(_total_rows(report, language)),
        "",
        *_meaning_lines(report, language),
        *wrap(say("network_exact", language), "  "),
    ]
    lines += _unknown_lines(report, language)
    for note in report.notes:
        lines += note_lines(note, language)
    return lines


def _layer_lines(report: NetworkReport, language: str, layers: Layers) -> list[str]:
    shown = [layer for layer in report.layers if layers == "all" or _counts(layer)]
    hidden = max(0, len(shown) - _MOST_ROWS) if layers == "some" else 0
    first, last = (shown[: _MOST_ROWS // 2], shown[-_MOST_ROWS // 2 :]) if hidden else (shown, [])
    head = [[say(f"network_column_{name}", language) for name in _COLUMNS]]
    lines = _aligned([*head, *(_cells(layer, _full, _LONGEST_NAME) for layer in (*first, *last))])
    if any(cell_len(line) > WIDTH for line in lines):
        # The heads in two lines, counts rounded, long names without their beginning.
        cut = [say(f"network_narrow_{name}", language).split("|") for name in _COLUMNS]
        head = [[words[0] if len(words) > 1 else "" for words in cut], [words[-1] for words in cut]]
        lines = _aligned([*head, *(_cells(layer, _short, _NARROW_NAME) for layer in (*first, *last))])
    if not hidden:
        return lines
    place = len(head) + len(first)
    return [*lines[:place], f"  {say('network_hidden', language, n=hidden)}", *lines[place:]]


def _counts(layer: LayerCount) -> bool:
    return bool(layer.weights) or layer.multiply_adds is not None or layer.kind == "not_analyzed"


def _cells(layer: LayerCount, write: Callable[[int], str], longest: int) -> list[str]:
    name = printable(layer.name)
    short = name if len(name) <= longest else f"..{name[2 - longest :]}"
    counts = [layer.num_parameters or None, layer.connections, layer.multiply_adds]
    factors = "" if layer.locality_factor is None else f"{_ratio(layer.locality_factor)} x {_sharing(layer)}"
    return [short, "x".join(map(str, layer.output)), *("-" if one is None else write(one) for one in counts), factors]


def _sharing(layer: LayerCount) -> str:
    return "-" if layer.sharing_factor is None else _ratio(layer.sharing_factor)


def _full(count: int) -> str:
    return f"{count:,}"


def _short(count: int) -> str:
    """Returns ``231.2M``: four digits, and what they are multiplied with."""
    number, unit = float(count), ""
    for larger in ("k", "M", "G", "T", "P"):
        if number < 9999.5:
            break
        number, unit = number / 1000, larger
    return f"{number:.4g}{unit}" if unit else f"{count:,}"


def _ratio(number: float) -> str:
    """Returns a factor with four digits, or all of its digits before the point."""
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a table whose counts are aligned on the right."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]

    def put(place: int, cell: str) -> str:
        return " " * (widths[place] - cell_len(cell)) + cell if place in range(2, 5) else cell

    return table([[put(place, cell) for place, cell in enumerate(row)] for row in rows])


def _total_rows(report: NetworkReport, language: str) -> Iterator[tuple[str, str]]:
    totals = report.totals

    def row(key: str, **values: object) -> tuple[str, str]:
        return say(f"network_{key}", language), say(f"network_{key}_value", language, **values)

    yield row("parameters", n=totals.parameters, trainable=totals.trainable)
    if totals.sharing_in_time is not None and totals.as_used > totals.parameters - totals.unused:
        yield row("time", times=totals.sharing_in_time, as_used=totals.as_used)
    if totals.unused:
        names = [printable(one.name) for one in report.parameters if not one.uses]
        yield row("unused", n=totals.unused, names=", ".join(names[:_FEW]) + (", ..." if names[_FEW:] else ""))
    if totals.locality_factor is not None and totals.sharing_factor is not None and totals.density is not None:
        yield row("connections", n=totals.connections, share=_percent(totals.density))
        for name, twin in (("local", totals.local), ("dense", totals.dense)):
            value = say("network_twin_value", language, n=twin.parameters, num_bytes=twin.num_bytes)
            yield say(f"network_{name}", language), value
        yield row("factors", **_factors(report))
    yield row("work", n=totals.multiply_adds, nominal=totals.nominal_multiply_adds)
    yield row("flops", n=totals.flops, nominal=totals.nominal_flops)
    yield row("activations", num_bytes=totals.activation_bytes)


def _factors(report: NetworkReport) -> dict[str, str]:
    locality, sharing = report.totals.locality_factor or 1.0, report.totals.sharing_factor or 1.0
    return {"locality": _ratio(locality), "sharing": _ratio(sharing), "product": _ratio(locality * sharing)}


def _percent(fraction: float) -> str:
    """Returns a share with at least two digits that are not 0."""
    return f"{100 * fraction:.1f} %" if fraction >= 0.1 else f"{100 * fraction:.2g} %"


def _meaning_lines(report: NetworkReport, language: str) -> list[str]:
    if report.totals.locality_factor is None:
        return []
    return wrap(say("network_meaning", language, **_factors(report)), "  ")


def _unknown_lines(report: NetworkReport, language: str) -> list[str]:
    if not report.not_analyzed:
        return []
    lines = [say("network_not_analyzed", language, n=len(report.not_analyzed))]
    for name, reason in list(report.not_analyzed.items())[:_FEW]:
        lines += wrap(f"{printable(name)}: {printable(reason)}", "    ")
    if hidden := len(report.not_analyzed) - _FEW:
        lines += ["    " + say("and_more", language, n=hidden)] if hidden > 0 else []
    return lines
