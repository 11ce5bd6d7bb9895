"""Which fraction of the picture a place of each layer depends on: the lecture's 9 of 36, carried through the depth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from whyconv.counting.graph import Graph, Node
from whyconv.counting.places import relation, require_picture, spatial, takes_unlike_channels, why_unknown
from whyconv.counting.regions import Regions
from whyconv.errors import UsageError
from whyconv.results.fields import Reach
from whyconv.texts import size

MOST_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Dependence:
    """What a value depends on.

    Attributes:
        regions: The pixels behind each place.
        is_flat: The places are there, but no longer as axes.
        is_summary: One place that is used at many.
        meets_summary: A map met such a place here.
        reason: Why nothing is known, else "".
    """

    regions: Regions
    is_flat: bool = False
    is_summary: bool = False
    meets_summary: bool = False
    reason: str = ""


def reach(graph: Graph, picture: str | None = None, *, most_bytes: int = MOST_BYTES) -> list[Reach]:
    """Returns for each output of each layer the fraction of the picture's pixels that its places depend on.

    A place is taken with all of its channels. Padding by "zeros" holds no pixels; the other modes lead back into the
    picture. What a layer multiplies with is taken to be nowhere zero.

    Args:
        graph: The network.
        picture: Which input; None where there is only one.
        most_bytes: Memory that sets of pixels may take. For each value in use they take about
            ``sum over axes of outputs * (pixels / 8 + 36)`` bytes, times the number of products where branches cross.

    Raises:
        UsageError: There is no such input, it is no picture, or the sets need more memory.
    """
    records = []
    has_summaries = False
    for node, output, found in dependences(graph, picture, most_bytes):
        records.append(_record(node, output, found))
        has_summaries = has_summaries or found.meets_summary
    if not has_summaries:
        return records
    without = dependences(graph, picture, most_bytes, with_summaries=False)
    return [_beside(record, found) for record, (_, _, found) in zip(records, without, strict=True)]


def dependences(
    graph: Graph, picture: str | None = None, most_bytes: int = MOST_BYTES, *, with_summaries: bool = True
) -> Iterator[tuple[Node, str, Dependence]]:
    """Yields each output of each layer with what it depends on; sets that are no longer needed are let go.

    Args:
        graph: The network.
        picture: Which input; None where there is only one.
        most_bytes: See ``reach``.
        with_summaries: Whether a number for the whole picture counts where it meets a map at every place.

    Raises:
        UsageError: See ``reach``.
    """
    name = require_picture(graph, picture)
    lengths = tuple(graph.shapes[name][2:])
    _require_memory(graph, lengths, most_bytes)
    known = {one: Dependence(Regions((), lengths)) for one in graph.inputs}
    known[name] = Dependence(Regions.of_picture(lengths))
    parted = takes_unlike_channels(graph)
    last_use = {source: place for place, node in enumerate(graph.nodes) for source in node.inputs}
    for place, node in enumerate(graph.nodes):
        arriving = [known[source] for source in node.inputs]
        found = _after(graph, node, arriving, lengths, with_summaries=with_summaries)
        if node.name in parted:
            found = replace(found, regions=replace(found.regions, is_bound=True))
        for output in node.outputs:
            known[output] = found
            yield node, output, found
        for value in (*node.inputs, *node.outputs):
            if last_use.get(value, place) <= place:
                known.pop(value, None)


def _require_memory(graph: Graph, lengths: tuple[int, ...], most_bytes: int) -> None:
    """Refuses what would not fit, before anything is made."""
    num_axes = len(lengths)
    largest = max(
        sum(places * (length // 8 + 36) for places, length in zip(found, lengths, strict=True))
        for value in graph.shapes
        if (found := spatial(graph, value, num_axes))
    )
    if 2 * largest > most_bytes:
        raise UsageError(
            f"The sets of pixels behind one layer of a picture of {' x '.join(map(str, lengths))} take "
            f"{size(largest)}, and two layers are held at a time; the limit is {size(most_bytes)}. "
            "Ask about a smaller picture, or raise most_bytes."
        )


def _after(
    graph: Graph, node: Node, arriving: list[Dependence], lengths: tuple[int, ...], *, with_summaries: bool
) -> Dependence:
    num_axes = len(lengths)
    reasons = [why_unknown(graph, node, num_axes), *(one.reason for one in arriving)]
    if reason := next(filter(None, reasons), ""):
        return Dependence(Regions((), lengths), reason=reason)
    depending = [
        _through(graph, node, source, one)
        for source, one in zip(node.inputs, arriving, strict=True)
        if one.regions.products
    ]
    if not any(one.regions.products for one in depending):
        return Dependence(Regions((), lengths))
    depending = [one for one in depending if one.regions.products]
    maps = [one for one in depending if not one.is_summary]
    meets_summary = 0 < len(maps) < len(depending)
    met = _meet(maps if meets_summary and not with_summaries else depending)
    return replace(met, meets_summary=meets_summary)


def _through(graph: Graph, node: Node, source: str, before: Dependence) -> Dependence:
    """What the node makes of one of its inputs."""
    regions = before.regions
    after = spatial(graph, node.outputs[0], len(regions.lengths))
    if before.is_flat and math.prod(regions.places) > 1:
        if node.reach == "same" and graph.shapes[source] == graph.shapes[node.outputs[0]]:
            return before
        return _placed(regions.collapsed(is_bound=node.reach != "all"), after)
    match relation(graph, node, source, len(regions.lengths)):
        case "window":
            return Dependence(regions.behind(node.axes, is_transposed=node.is_transposed))
        case "same":
            is_spread = math.prod(regions.places) == 1 < math.prod(after or ())
            return Dependence(regions.repeated(after or ()), is_summary=before.is_summary or is_spread)
        case "flat":
            return Dependence(regions, is_flat=True)
        case _:
            return _placed(regions.collapsed(), after)


def _placed(region: Regions, after: tuple[int, ...] | None) -> Dependence:
    """One region for all places of the output, where it has places."""
    return Dependence(region.repeated(after) if after else region, is_flat=after is None)


def _meet(arriving: list[Dependence]) -> Dependence:
    """The union at each place; that of flat values of different shape over all places."""
    first = arriving[0]
    if any(one.regions.places != first.regions.places for one in arriving):
        arriving = [replace(one, regions=one.regions.collapsed(is_bound=True)) for one in arriving]
    regions = arriving[0].regions
    for one in arriving[1:]:
        regions = regions.joined(one.regions)
    is_summary = all(one.is_summary for one in arriving)
    return Dependence(regions, is_flat=any(one.is_flat for one in arriving), is_summary=is_summary)


def _record(node: Node, output: str, found: Dependence) -> Reach:
    regions = found.regions
    reason = found.reason or ("" if regions.products else "it does not depend on the picture")
    if reason:
        return Reach(name=node.name, output=output, reason=reason)
    num_pixels = math.prod(regions.lengths)
    mean, least, most, central = (share / num_pixels for share in _sizes(regions))
    return Reach(
        name=node.name,
        output=output,
        num_places=math.prod(regions.places),
        num_pixels=num_pixels,
        mean=float(mean),
        least=float(least),
        most=float(most),
        central=float(central),
        is_bound=regions.is_bound,
    )


def _beside(record: Reach, without_summaries: Dependence) -> Reach:
    """The record with the mean that windows alone give, where it is another."""
    regions = without_summaries.regions
    if record.reason or not regions.products:
        return record
    mean = float(_sizes(regions)[0] / record.num_pixels)
    return record if mean == record.mean else record.model_copy(update={"mean_by_windows": mean})


def _sizes(regions: Regions) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Pixels behind a place: mean, least, most, and that of the middle place."""
    middle = tuple(size // 2 for size in regions.places)
    if len(regions.products) > 1:
        sizes = regions.sizes
        total = Fraction(int(sizes.sum()), sizes.size)
        return total, Fraction(int(sizes.min())), Fraction(int(sizes.max())), Fraction(int(sizes[middle]))
    counts = [[bits.bit_count() for bits in rows] for rows in regions.products[0]]
    return (
        math.prod((Fraction(sum(axis), len(axis)) for axis in counts), start=Fraction(1)),
        Fraction(math.prod(min(axis) for axis in counts)),
        Fraction(math.prod(max(axis) for axis in counts)),
        Fraction(math.prod(axis[at] for axis, at in zip(counts, middle, strict=True))),
    )
