"""The atlas as lines: its sets, a row each; accuracies of the corners; points of locality and sharing; who wins."""

from __future__ import annotations

from whyconv.results import CORNERS, PLACES, Estimate, Place
from whyconv.results.atlas import Atlas, AtlasSet
from whyconv.results.numbers import in_percent, in_points, verdict
from whyconv.show.curves import corner_name
from whyconv.show.text import printable, table, wrap
from whyconv.texts import say

_SET_COLUMNS = ("name", "train", "test", "classes", "side", "channels", "chance", "steps", "seconds")
_POINTS = ("locality", "sharing", "gain")


def atlas_lines(atlas: Atlas, language: str) -> list[str]:
    """Returns an atlas as a person reads it; where the convolution loses, that stands there as plainly."""
    lines = [*wrap(say("atlas_title", language), ""), "", *_set_lines(atlas, language)]
    for place in PLACES:
        lines += ["", *_accuracy_lines(atlas, place, language)]
        lines += ["", *_point_lines(atlas, place, language), *_verdict_lines(atlas, place, language)]
    lines += ["", *wrap(say("atlas_meaning", language), "  ")]
    draws = atlas.sets[0].protocol.num_draws if atlas.sets else 0
    lines += wrap(say("atlas_intervals", language, draws=draws), "  ")
    if any(each.has_no_width for one in atlas.sets for place in PLACES for each in _shown(one, place)):
        lines += wrap(say("interval_no_width", language), "  ")
    if coarse := [printable(one.name) for one in atlas.sets if one.is_coarse]:
        lines += wrap(say("atlas_coarse", language, names=", ".join(coarse)), "! ")
    if unlearned := [printable(one.name) for one in atlas.sets if not one.has_learned]:
        lines += wrap(say("atlas_unlearned", language, names=", ".join(unlearned)), "! ")
    for one in atlas.skipped:
        values = {"name": printable(one.name), "reason": printable(one.reason.replace("\n", " "))}
        lines += wrap(say("atlas_skipped_line", language, **values), "! ")
    return lines


def _shown(one: AtlasSet, place: Place) -> list[Estimate]:
    split = one.split(place)
    return [*(one.accuracy(corner, place) for corner in CORNERS), *(getattr(split, name) for name in _POINTS)]


def _set_lines(atlas: Atlas, language: str) -> list[str]:
    rows = [[say(f"atlas_column_{column}", language) for column in _SET_COLUMNS]]
    for one in atlas.sets:
        protocol = one.protocol
        counts = [f"{one.n_train:,}", f"{one.num_test:,}", str(one.num_classes)]
        sizes = [str(protocol.side), str(protocol.channels), f"{100 * one.largest_class_fraction:.1f} %"]
        rows.append([printable(one.name), *counts, *sizes, str(protocol.most_steps), f"{one.seconds:,.0f}"])
    return table(rows)


def _accuracy_lines(atlas: Atlas, place: Place, language: str) -> list[str]:
    rows = [[say("atlas_column_name", language), *(corner_name(corner, language) for corner in CORNERS)]]
    for one in atlas.sets:
        rows.append([printable(one.name), *(in_percent(one.accuracy(corner, place)) for corner in CORNERS)])
    return [*wrap(say(f"atlas_accuracy_{place}", language), ""), *table(rows)]


def _point_lines(atlas: Atlas, place: Place, language: str) -> list[str]:
    rows = [[say(f"atlas_column_{column}", language) for column in ("name", *_POINTS)]]
    for one in atlas.sets:
        split = one.split(place)
        rows.append([printable(one.name), *(in_points(getattr(split, name)) for name in _POINTS)])
    return [*wrap(say(f"atlas_points_{place}", language), ""), *table(rows)]


def _verdict_lines(atlas: Atlas, place: Place, language: str) -> list[str]:
    names: dict[str, list[str]] = {"wins": [], "loses": [], "undecided": []}
    for one in atlas.sets:
        names[verdict(one.split(place).gain)].append(printable(one.name))
    return [
        line
        for word, found in names.items()
        if found
        for line in wrap(say(f"atlas_{word}", language, names=", ".join(found)), "  ")
    ]
