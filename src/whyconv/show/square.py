"""The control square as lines: the 2 x 2, one row a training size, the controls, the gain in both orders."""

from __future__ import annotations

from whyconv.results import CHANGES, CONTROLS, CORNERS, PLACES, Change, Corner, GainSplit, Place, Square
from whyconv.results.claims import unlearned_words
from whyconv.results.numbers import in_percent, in_points, told_points, verdict
from whyconv.show.curves import corner_name, curve_lines
from whyconv.show.matched import matched_lines
from whyconv.show.text import printable, table, wrap
from whyconv.texts import say


def square_lines(square: Square, language: str) -> list[str]:
    """Returns a control square as a person reads it, exact and estimated numbers apart."""
    lines = [*_head_lines(square, language), "", *_exact_lines(square, language)]
    lines += wrap(say("square_meaning", language, multiplier=square.protocol.multiplier), "  ")
    for place in PLACES:
        lines += ["", *_accuracy_lines(square, place, language), *_size_lines(square, place, language)]
        lines += [*_verdict_lines(square.split(place), place, language), *_split_lines(square.split(place), language)]
    lines += [*_forgetting_lines(square, language), *unlearned_lines(square, language)]
    for place in square.protocol.controlled:
        lines += ["", *_loss_lines(square, place, language)]
    lines += [*curve_lines(square, language), *matched_lines(square, language)]
    return [*lines, "", *_closing_lines(square, language)]


def brief_square_lines(square: Square, language: str) -> list[str]:
    """Returns the heart of a control square: who is unmoved, the accuracies, who wins."""
    lines = [*_head_lines(square, language), "", *_exact_lines(square, language)]
    for place in PLACES:
        lines += ["", *_accuracy_lines(square, place, language)]
        lines += _verdict_lines(square.split(place), place, language)
    lines += [*_forgetting_lines(square, language), *unlearned_lines(square, language)]
    return [*lines, *_closing_lines(square, language)]


def _head_lines(square: Square, language: str) -> list[str]:
    protocol = square.protocol
    units = protocol.maps * protocol.side**2
    sizes = {"units": units, "maps": protocol.maps, "side": protocol.side, "kernel": protocol.kernel}
    readout = say(f"square_readout_{protocol.readout}", language)
    head = wrap(say("square_head", language, run=printable(square.run)), "")
    return [*head, *wrap(say("square_networks", language, readout=readout, **sizes), "  ")]


def _exact_lines(square: Square, language: str) -> list[str]:
    rows = [["", *(corner_name(corner, language) for corner in CORNERS)]]
    rows.append([say("square_parameters", language), *(f"{square.weights[corner]:,}" for corner in CORNERS)])
    found = {(one.corner, one.change): one for one in square.checks}
    for change in CHANGES:
        cells = [found[corner, change] for corner in CORNERS]
        marked = [("= " if one.is_unmoved else "  ") + f"{one.difference:.1g}" for one in cells]
        rows.append([_change(change, square, language), *marked])
    head = wrap(say("square_exact_head", language, steps=square.protocol.exact_steps), "")
    return [*head, *table(rows)]


def _accuracy_lines(square: Square, place: Place, language: str) -> list[str]:
    values = {"n": square.protocol.sizes[-1], "chance": 100 * square.largest_class_fraction}
    lines = wrap(say(f"square_place_{place}", language, **values), "")

    def cell(corner: Corner) -> str:
        return f"{corner_name(corner, language)} {in_percent(square.score(corner, place).accuracy)}"

    own, shared = say("square_own_weights", language), say("square_shared_weights", language)
    lines += table(
        [
            ("", say("square_sees_all", language), say("square_sees_window", language)),
            (own, cell("dense"), cell("local")),
            (shared, cell("shared_global"), cell("convolution")),
        ]
    )
    return lines


def _size_lines(square: Square, place: Place, language: str) -> list[str]:
    rows = [["n", *(corner_name(corner, language) for corner in CORNERS)]]
    for n_train in square.protocol.sizes:
        found = [square.score(corner, place, n_train).accuracy for corner in CORNERS]
        rows.append([f"{n_train:,}", *(in_percent(one) for one in found)])
    return table(rows)


def _verdict_lines(split: GainSplit, place: Place, language: str) -> list[str]:
    found = verdict(split.gain)
    return wrap(say(f"square_{found}_{place}", language, points=told_points(split.gain)), "  ")


def _split_lines(split: GainSplit, language: str) -> list[str]:
    first = {"locality": in_points(split.locality_first), "sharing": in_points(split.sharing_second)}
    second = {"sharing": in_points(split.sharing_first), "locality": in_points(split.locality_second)}
    return [
        f"    {say('square_locality_first', language, **first)}",
        f"    {say('square_sharing_first', language, **second)}",
        f"    {say('square_interaction', language)} {in_points(split.interaction)}",
    ]


def _forgetting_lines(square: Square, language: str) -> list[str]:
    """Says why the shared corners can lose on pictures as they are, where they do and gain on moved ones."""
    return wrap(say("square_forgets", language), "  ") if square.forgets_places else []


def unlearned_lines(square: Square, language: str) -> list[str]:
    """Says which corners have not learned their own pictures, so that nobody takes that for their structure."""
    told = [
        say(f"square_unlearned_{place}", language, corner=corner_name(corner, language), **words)
        for corner, place, words in unlearned_words(square)
    ]
    return wrap(say("square_unlearned", language, corners=", ".join(told)), "  ") if told else []


def _loss_lines(square: Square, place: Place, language: str) -> list[str]:
    found = {(one.control, one.corner): one for one in square.losses if one.place == place}
    rows = [["", *(corner_name(corner, language) for corner in CORNERS)]]
    for control in CONTROLS:
        cells = [found[control, corner] for corner in CORNERS]
        shown = [say("square_unmoved", language) if one.is_unmoved else in_points(one.points) for one in cells]
        rows.append([_change(control, square, language), *shown])
    return [*wrap(say(f"square_lost_{place}", language, n=square.protocol.sizes[-1]), ""), *table(rows)]


def _closing_lines(square: Square, language: str) -> list[str]:
    protocol = square.protocol
    values = {
        "draws": protocol.num_draws,
        "test": square.num_test,
        "rates": ", ".join(f"{rate:g}" for rate in square.learning_rates),
        "decays": ", ".join(f"{decay:g}" for decay in protocol.decays),
        "tuning": protocol.num_tuning_draws,
    }
    lines = wrap(say("square_interval_note", language, **values), "  ")
    if square.some_have_no_width:
        lines += wrap(say("interval_no_width", language), "  ")
    if square.num_at_edge:
        lines += wrap(say("square_at_edge", language, n=square.num_at_edge, total=square.num_trained), "  ")
    return lines


def _change(change: Change, square: Square, language: str) -> str:
    return say(f"square_change_{change}", language, multiplier=square.protocol.multiplier)
