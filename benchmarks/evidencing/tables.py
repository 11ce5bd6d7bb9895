"""What ``whyconv why`` measured on a run, as tables in Markdown: every number with its interval."""

from __future__ import annotations

import itertools

from evidencing.markdown import SHOWN, join, name, number, percent, points, table, way
from evidencing.own_network import own_network
from whyconv.results import CONTROLS, CORNERS, PLACES, Square
from whyconv.results.corners import MATCHES
from whyconv.results.curves import Crossing, Memorized
from whyconv.results.numbers import crossing_number, steps_needed
from whyconv.results.why import Why
from whyconv.study.overfitting import typical_steps


def tables(why: Why) -> str:
    """Everything that was measured on a run."""
    square = why.square
    parts = [
        _accuracies(square),
        _stops(square),
        _pictures_needed(square),
        _overfitting(square),
        _matched(square),
        _controls(square),
        own_network(why),
        _limits(why),
    ]
    return join(*parts)


def _accuracies(square: Square) -> str:
    """Every corner at every size in every arm, and the gain in both orders."""
    orders = ["locality, then sharing", "sharing, then locality", "interaction"]
    head = ["pictures", "n", *map(name, CORNERS), "gain", *orders]
    rows = []
    for split in square.splits:
        scores = [square.score(corner, split.place, split.n_train, None, split.arm) for corner in CORNERS]
        first = f"{points(split.locality_first)}, {points(split.sharing_second)}"
        second = f"{points(split.sharing_first)}, {points(split.locality_second)}"
        accuracies = [f"{percent(one.accuracy)}{'' if one.has_learned else ' *'}" for one in scores]
        gains = [points(split.gain), first, second, points(split.interaction)]
        rows.append([way(split.place, split.arm), f"{split.n_train:,}", *accuracies, *gains])
    title = (
        f"Test accuracy in % over {square.num_test} pictures, points gained by the convolution on the dense layer, and "
        f"what of them is locality's and sharing's; mean of {square.protocol.num_draws} draws and 95 % t interval over "
        "them, which at the largest n share most of their pictures. * did not learn 99 % of its own pictures in the "
        "steps there were."
    )
    return table(title, head, rows)


def _stops(square: Square) -> str:
    """Test accuracies at two other stops than the end: the same steps for all, and the best of each by validation."""
    rows = []
    for place, n in itertools.product(PLACES, square.protocol.sizes):
        scores = [square.score(corner, place, n) for corner in CORNERS]
        same = [percent(one.same_steps_accuracy) for one in scores]
        best = [percent(one.best_accuracy) for one in scores]
        rows += [[way(place), f"{n:,}", "the same steps", *same], [way(place), f"{n:,}", "own best", *best]]
    title = (
        f"The same networks at two other stops, in %: all after the same {square.protocol.steps} steps, and each where "
        "its own validation pictures like it best."
    )
    return table(title, ["pictures", "n", "stop", *map(name, CORNERS)], rows)


def _needed(square: Square) -> str:
    """Pictures that each corner needs for the three targets."""
    found = {(one.place, one.target, one.corner): one.pictures for one in square.needed if one.arm == "plain"}
    asked = dict.fromkeys((place, target) for place, target, _ in found)
    rows = []
    for place, target in asked:
        cells = [found.get((place, target, corner)) for corner in CORNERS]
        shown = [crossing_number(one) or "cannot be told" if one is not None else "" for one in cells]
        rows.append([way(place), f"{100 * target:.0f} %", *shown])
    title = "Pictures needed for an accuracy; 95 % interval over draws."
    return table(title, ["pictures", "accuracy", *map(name, CORNERS)], rows)


def _pictures_needed(square: Square) -> str:
    rows = [
        [way(one.place, one.arm), f"{100 * one.target:.0f} %", f"dense / {name(one.beside)}", _crossing(one.times)]
        for one in square.ratios
        if one.corner == "dense" and one.arm == "plain"
    ]
    title = "How many times as many pictures the dense layer needs for an accuracy; 95 % interval over draws."
    slopes = [
        f"{name(one.corner)}{', moved' if one.place == 'moved' else ''} {number(one.exponent)}"
        for one in square.exponents
        if one.arm == "plain"
    ]
    has_floor = any(one.is_floor_fitted for one in square.exponents)
    how = "to a floor as n to minus" if has_floor else "as n to minus (no floor assumed)"
    told = f"Errors fall {how}: {'; '.join(slopes)}." if slopes else ""
    return join(_needed(square), table(title, ["pictures", "accuracy", "ratio", "times"], rows), told)


def _overfitting(square: Square) -> str:
    at = {(one.place, one.n_train): one.train_accuracy for one in square.gaps}
    gaps = [
        f"{SHOWN[one.place]}, n = {one.n_train:,}, at {100 * at[one.place, one.n_train]:.0f} % in training: "
        f"{name(one.corner)} - {name(one.beside)} {points(one.difference)}"
        for one in square.gap_differences
        if one.corner == "dense"
    ]
    lines = [f"Overfitting, difference of training minus test accuracy in points: {'; '.join(gaps)}." if gaps else ""]
    if square.memorized:
        each = "; ".join(f"{name(one.corner)} {_steps(one)}" for one in square.memorized)
        n = square.memorized[0].n_train
        lines.append(f"Steps until {n} random labels are fitted, of each draw, and their geometric mean: {each}.")
    if square.shifts_beside_structure is not None:
        lines.append(
            "Dense layer trained on shifts and asked about them, less the plain convolution: "
            f"{points(square.shifts_beside_structure)} points."
        )
    return join(*lines)


def _matched(square: Square) -> str:
    if square.matched is None:
        return ""
    largest, rows = square.protocol.sizes[-1], []
    for match in MATCHES:
        found = [one for one in square.matched.sizes if one.match == match]
        gains = [points(square.matched.gain(match, place, largest)) for place in PLACES]
        rows += [[match.replace("_", "-"), f"{one.units:,}", f"{one.parameters:,}", *gains] for one in found]
    beside = f"{square.matched.convolution.parameters:,} parameters"
    title = (
        f"Points that the convolution ({beside}) gains on a dense network with as many of something, n = {largest:,}."
    )
    return table(title, ["as many", "units", "parameters", *(SHOWN[place] for place in PLACES)], rows)


def _controls(square: Square) -> str:
    rows = []
    for place in square.protocol.controlled:
        for control in CONTROLS:
            found = {one.corner: one for one in square.losses if (one.place, one.control) == (place, control)}
            cells = ["0, exactly" if found[corner].is_unmoved else points(found[corner].points) for corner in CORNERS]
            rows.append([SHOWN[place], control, *cells])
    title = "What a control that breaks one structure and no information takes from each, in points."
    return table(title, ["pictures", "control", *map(name, CORNERS)], rows)


def _limits(why: Why) -> str:
    """What was left out, and whose learning rate a wider search might better."""
    at_edge, trained = why.square.num_at_edge, why.square.num_trained
    left = f"Left out: {', '.join(why.left_out)}." if why.left_out else ""
    return join(f"{at_edge} of {trained} kinds of training chose the least or the greatest rate tried.", left)


def _crossing(one: Crossing) -> str:
    return crossing_number(one, is_ratio=True) or "cannot be told"


def _steps(one: Memorized) -> str:
    each = ", ".join(f"over {one.most_steps}" if steps is None else f"{steps:.0f}" for steps in one.steps)
    typical = typical_steps(one.steps)
    return each if typical is None else f"{each}: {steps_needed(one.model_copy(update={'typical_steps': typical}))}"
