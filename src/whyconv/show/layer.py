"""What ``whyconv layer`` counts, as lines: the square of four layers, their table, the arithmetic of the split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from whyconv.results.layer import CORNERS, Corner, LayerReport, StepReport, StepTime
from whyconv.show.text import WIDTH, facts, note_lines, sentence, table, wrap
from whyconv.show.verify import verification_lines
from whyconv.show.worked import worked_lines
from whyconv.texts import say, size

_MOST_EXACT = 10**15  # larger numbers are shown rounded; --json has them in full
_MOST_TAPS_SHOWN = 9
_COLUMNS = ("weights", "biases", "parameters", "bytes", "adam")


def layer_lines(report: LayerReport, language: str, *, can_be_shown: bool = True) -> list[str]:
    """Returns the square, the table, the counts, the notes, and what else was asked for.

    Args:
        report: What was counted.
        language: Of the sentences.
        can_be_shown: Whether one output of this layer can be written out; else that of a small one is offered.
    """
    lines = [*wrap(_head(report, language), ""), "", *_square(report, language), "", *_identity(report, language), ""]
    lines += [*_corner_table(report, language), "", *facts(_rows(report, language))]
    lines += [*_tap_lines(report, language), *wrap(say("layer_exact", language), "  ")]
    for note in report.notes:
        lines += ["", *note_lines(note, language)]
    if report.steps is not None:
        lines += ["", *_step_lines(report.steps, language)]
    if report.shown is not None:
        lines += ["", *worked_lines(report.shown, language)]
    if report.verification is not None:
        lines += ["", *verification_lines([report.verification], language)]
    if report.steps is None and report.shown is None and report.verification is None:
        lines += ["", say("layer_shown_next" if can_be_shown else "layer_small_shown_next", language)]
    return lines


def _head(report: LayerReport, language: str) -> str:
    shapes = " -> ".join(_by_x(shape) for shape in (report.input_shape, report.output_shape))
    padding = [str(before) if before == after else f"{before}+{after}" for before, after in report.padding]
    said = {
        "stride": _alike(report.stride, 1),
        "padding": _alike(padding, "0"),
        "dilation": _alike(report.dilation, 1),
    }
    more = [
        say(f"layer_head_{name}", language, value=value, mode=report.padding_mode)
        for name, value in said.items()
        if value
    ]
    more += [say("layer_head_groups", language, value=report.groups)] if report.groups > 1 else []
    more += [say("layer_head_no_bias", language)] if not report.convolution.biases else []
    values = {"shapes": shapes, "n": report.output_shape[-1], "kernel": _by_x(report.kernel)}
    return say("layer_head", language, **values, more="".join(f", {one}" for one in more))


def _alike(values: Sequence[object], usual: object) -> str:
    """Returns one value for all axes where they are equal, "" where that is the usual one."""
    if any(value != values[0] for value in values):
        return _by_x(values)
    return "" if values[0] == usual else str(values[0])


def _by_x(numbers: Sequence[object]) -> str:
    return "x".join(map(str, numbers))


def _square(report: LayerReport, language: str) -> list[str]:
    """Returns the four layers as a square; where its numbers are too long, they are rounded."""
    drawn = (_square_lines(report, language, limit) for limit in (_MOST_EXACT, 10**9, 10**6))
    return next((lines for lines in drawn if max(map(cell_len, lines)) <= WIDTH), [])


def _square_lines(report: LayerReport, language: str, limit: int) -> list[str]:
    """Returns a square in which each arrow says by how much the number at its end is smaller.

    The local layer stands there with its connections: with the weights that can meet data.
    """
    near, wide = report.routes
    count = {name: _count(corner.weights, limit) for name, corner in report.corners.items()}
    count["local"] = _count(report.local.connections, limit)
    name = {corner: say(f"layer_corner_{corner}", language) for corner in CORNERS}
    label = {place: say(f"layer_square_{place}", language) for place in ("own", "shared", "all", "near")}
    over, under = (f"-- / {_factor(route.sharing, limit)} -->" for route in (wide, near))
    down, beside = (f"  | / {_factor(route.locality, limit)}" for route in (near, wide))
    cells = [
        ("", label["own"], "", label["shared"]),
        ("", "", "", ""),
        (label["all"], name["dense"], "", name["shared_global"]),
        ("", count["dense"], over, count["shared_global"]),
        ("", down, "", beside),
        ("", "  v", "", "  v"),
        (label["near"], name["local"], "", name["convolution"]),
        ("", count["local"], under, count["convolution"]),
    ]
    return [line.rstrip() for line in table(cells)]


def _identity(report: LayerReport, language: str) -> list[str]:
    numbers = [_factor(one) for one in (report.weight_ratio, report.locality_factor, report.sharing_factor)]
    words = [say(f"layer_identity_{one}", language) for one in ("ratio", "locality", "sharing")]
    lines = _aligned([["", one, "=", two, "x", three] for one, two, three in (words, numbers)])
    lines = [line.removeprefix("  ") for line in lines]
    first, second = (f"{_factor(route.locality)} x {_factor(route.sharing)}" for route in report.routes)
    if first == second:
        return [*lines, *wrap(say("layer_identity_same", language), "  ")]
    return [*lines, *wrap(say("layer_identity_apart", language, first=first, second=second), "  ")]


def _corner_table(report: LayerReport, language: str) -> list[str]:
    head = [say("layer_column_corner", language), *(say(f"layer_column_{one}", language) for one in _COLUMNS)]
    rows = [[say(f"layer_corner_{name}", language), *_corner_cells(corner)] for name, corner in report.corners.items()]
    lines = _aligned([head, *rows])
    if any(cell_len(line) > WIDTH for line in lines):  # the weights stand in the square
        lines = _aligned([[row[0], *row[2:]] for row in [head, *rows]])
    return lines


def _corner_cells(corner: Corner) -> list[str]:
    counts = [_count(number) for number in (corner.weights, corner.biases, corner.parameters)]
    return [*counts, size(corner.num_bytes), size(corner.num_bytes_with_adam)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a table whose columns but the first are aligned on the right."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return table(
        [
            [row[0], *(" " * (width - cell_len(cell)) + cell for cell, width in zip(row[1:], widths[1:], strict=True))]
            for row in rows
        ]
    )


def _rows(report: LayerReport, language: str) -> Iterator[tuple[str, str]]:
    values = {"n": _count(report.num_outputs), "seen": _range(*report.inputs_per_output)}
    values["inputs"] = _count(report.num_inputs)
    yield say("layer_row_outputs", language), say("layer_row_outputs_value", language, **values)
    values = {"n": _count(report.connections), "all": _count(report.dense.weights)}
    yield say("layer_row_connections", language), say("layer_row_connections_value", language, **values)
    sparsity = _percent(report.sparsity)
    values = {"density": _percent(report.density), "sparsity": ">99.9999" if sparsity == "100" else sparsity}
    yield say("layer_row_density", language), say("layer_row_density_value", language, **values)
    if report.groups > 1:
        values = {"spatial": _percent(report.spatial_density), "channel": _percent(report.channel_density)}
        yield "", say("layer_row_density_parts", language, **values, groups=report.groups)
    yield say("layer_row_sharing", language), _sharing(report, language)
    for name, met, nominal in (
        ("multiply_adds", report.multiply_adds, report.nominal_multiply_adds),
        ("flops", report.flops, report.nominal_flops),
    ):
        told = say("layer_row_nominal_value", language, n=_count(met), nominal=_count(nominal))
        yield say(f"layer_row_{name}", language), _count(met) if met == nominal else told


def _sharing(report: LayerReport, language: str) -> str:
    taps = report.taps
    if taps.least == taps.most:
        return say("layer_row_sharing_value", language, n=taps.most)
    values = {"least": _count(taps.least), "most": _count(taps.most), "mean": _factor(taps.mean)}
    return say("layer_row_sharing_range", language, **values)


def _tap_lines(report: LayerReport, language: str) -> list[str]:
    """Returns the map of a small kernel whose taps are not all used equally often."""
    along = report.taps.along_axes
    is_small = len(along) == 2 and all(len(counts) <= _MOST_TAPS_SHOWN for counts in along)
    if report.taps.least == report.taps.most or not is_small:
        return []
    rows = [[_count(down * across) for across in along[1]] for down in along[0]]
    lines = ["  " + line for line in _aligned([["", *row] for row in rows])]
    told = ["", f"  {say('layer_taps', language)}", *lines, ""]
    return told if all(cell_len(line) <= WIDTH for line in told) else []


def _step_lines(steps: StepReport, language: str) -> list[str]:
    head = say("layer_steps_head", language, batch=steps.batch, threads=steps.threads)
    rows = [(say(f"layer_corner_{one.corner}", language), _step(one, language)) for one in steps.times]
    foot = say("layer_steps_foot", language, allowed=steps.num_bytes_allowed)
    return [*wrap(head, ""), *table(rows), *wrap(foot, "  ")]


def _step(one: StepTime, language: str) -> str:
    if one.reason is not None:
        return sentence(one.reason, language)
    unit, scale = ("ms", 1000) if (one.seconds or 0) < 0.9995 else ("s", 1)
    low, median, high = (f"{scale * (value or 0):.3g}" for value in (one.low, one.seconds, one.high))
    return say("layer_step_time", language, median=f"{median} {unit}", low=low, high=high, n=one.n)


def _count(number: int, limit: int = _MOST_EXACT) -> str:
    return f"{number:,}" if number < limit else f"~{number:.3e}"


def _range(least: int, most: int) -> str:
    return _count(most) if least == most else f"{_count(least)}-{_count(most)}"


def _factor(number: float, limit: int = _MOST_EXACT) -> str:
    """Returns ``32,112.64``, ``784`` or ``0.1111``."""
    if number >= limit:
        return f"~{number:.3e}"
    text = f"{number:,.2f}" if number >= 1 else f"{number:.4g}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _percent(fraction: float) -> str:
    percent = 100 * fraction
    return f"{percent:.4f}".rstrip("0").rstrip(".") if percent >= 0.01 else f"{percent:.3g}"
