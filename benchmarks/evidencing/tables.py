"""What ``whyconv why`` measured on a run, as tables in Markdown: every number with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.results import CONTROLS, CORNERS, PLACES, ArmName, Estimate, Place, Square
from whyconv.results.corners import MATCHES
from whyconv.results.curves import Crossing
from whyconv.results.numbers import crossing_number
from whyconv.results.why import Why

_SHOWN = {"still": "as they are", "moved": "moved", "shared_global": "shared-global"}
_ARMS: dict[ArmName, str] = {
    "plain": "",
    "shifts": ", trained on shifts",
    "averaged": ", answers averaged over shifts too",
    "places": ", no mean over places",
    "normalized": ", batch normalization",
}


def tables(why: Why) -> str:
    """Everything that was measured on a run."""
    square = why.square
    parts = [
        _accuracies(square),
        _pictures_needed(square),
        _overfitting(square),
        _matched(square),
        _controls(square),
        _price(why),
        _hyperparameters(why),
        _translation(why),
        _limits(why),
    ]
    return "\n\n".join(part for part in parts if part)


def _accuracies(square: Square) -> str:
    """Every corner at every size in every arm, and the gain in both orders."""
    head = ["pictures", "n", *map(_name, CORNERS), "gain", "locality, then sharing", "sharing, then locality"]
    rows = []
    for split in square.splits:
        scores = [square.score(corner, split.place, split.n_train, None, split.arm) for corner in CORNERS]
        first = f"{_points(split.locality_first)}, {_points(split.sharing_second)}"
        second = f"{_points(split.sharing_first)}, {_points(split.locality_second)}"
        accuracies = [f"{_percent(one.accuracy)}{'' if one.has_learned else ' *'}" for one in scores]
        rows.append(
            [_way(split.place, split.arm), f"{split.n_train:,}", *accuracies, _points(split.gain), first, second]
        )
    title = (
        f"Test accuracy in % over {square.num_test} pictures, points gained by the convolution on the dense layer, and "
        f"what of them is locality's and sharing's; mean of {square.protocol.num_draws} draws and 95 % t interval over "
        "them, which at the largest n share most of their pictures. * did not learn 99 % of its own pictures in the "
        "steps there were."
    )
    return _table(title, head, rows)


def _pictures_needed(square: Square) -> str:
    rows = [
        [_way(one.place, one.arm), f"{100 * one.target:.0f} %", f"dense / {_name(one.beside)}", _crossing(one.times)]
        for one in square.ratios
        if one.corner == "dense" and one.arm == "plain"
    ]
    title = "How many times as many pictures the dense layer needs for an accuracy; 95 % interval over draws."
    slopes = [
        f"{_name(one.corner)}{', moved' if one.place == 'moved' else ''} {_number(one.exponent)}"
        for one in square.exponents
        if one.arm == "plain"
    ]
    has_floor = any(one.is_floor_fitted for one in square.exponents)
    how = "to a floor as n to minus" if has_floor else "as n to minus (no floor assumed)"
    told = f"Errors fall {how}: {'; '.join(slopes)}." if slopes else ""
    return _join(_table(title, ["pictures", "accuracy", "ratio", "times"], rows), told)


def _overfitting(square: Square) -> str:
    at = {(one.place, one.n_train): one.train_accuracy for one in square.gaps}
    gaps = [
        f"{_SHOWN[one.place]}, n = {one.n_train:,}, at {100 * at[one.place, one.n_train]:.0f} % in training: "
        f"{_name(one.corner)} - {_name(one.beside)} {_points(one.difference)}"
        for one in square.gap_differences
        if one.corner == "dense"
    ]
    lines = [f"Overfitting, difference of training minus test accuracy in points: {'; '.join(gaps)}." if gaps else ""]
    if square.memorized:
        each = "; ".join(f"{_name(one.corner)} {_steps(one.steps, one.most_steps)}" for one in square.memorized)
        lines.append(f"Steps until {square.memorized[0].n_train} random labels are fitted, of each draw: {each}.")
    if square.shifts_beside_structure is not None:
        lines.append(
            "Dense layer trained on shifts and asked about them, less the plain convolution: "
            f"{_points(square.shifts_beside_structure)} points."
        )
    return _join(*lines)


def _matched(square: Square) -> str:
    if square.matched is None:
        return ""
    largest, rows = square.protocol.sizes[-1], []
    for match in MATCHES:
        found = [one for one in square.matched.sizes if one.match == match]
        gains = [_points(square.matched.gain(match, place, largest)) for place in PLACES]
        rows += [[match.replace("_", "-"), f"{one.units:,}", f"{one.parameters:,}", *gains] for one in found]
    beside = f"{square.matched.convolution.parameters:,} parameters"
    title = (
        f"Points that the convolution ({beside}) gains on a dense network with as many of something, n = {largest:,}."
    )
    return _table(title, ["as many", "units", "parameters", *(_SHOWN[place] for place in PLACES)], rows)


def _controls(square: Square) -> str:
    rows = []
    for place in square.protocol.controlled:
        for control in CONTROLS:
            found = {one.corner: one for one in square.losses if (one.place, one.control) == (place, control)}
            cells = ["0, exactly" if found[corner].is_unmoved else _points(found[corner].points) for corner in CORNERS]
            rows.append([_SHOWN[place], control, *cells])
    title = "What a control that breaks one structure and no information takes from each, in points."
    return _table(title, ["pictures", "control", *map(_name, CORNERS)], rows)


def _price(why: Why) -> str:
    if why.price is None:
        return ""
    rows = [
        [one.layer, f"{one.tied_parameters:,}", f"{one.untied_parameters:,}", _percent(one.tied), _points(one.gain)]
        for one in why.price.layers
    ]
    title = "The run's own network, one convolution untied and trained on, beside the same steps with sharing."
    return _table(title, ["layer", "weights", "untied", "accuracy with sharing, %", "points without"], rows)


def _hyperparameters(why: Why) -> str:
    found = why.hyperparameters
    if found is None:
        return ""
    rows = [[f"{one.factor} {one.level}", one.against, _points(one.accuracy)] for one in found.effects]
    title = f"A first layer's own hyperparameters, {len(found.scores)} settings, 95 % interval over them."
    return _table(title, ["setting", "in place of", "points"], rows)


def _translation(why: Why) -> str:
    rows = [
        [
            one.protocol.kind,
            f"{len(one.protocol.shifts)}",
            f"{one.protocol.n:,}",
            *map(_percent, (one.accuracy, one.consistency, one.worst_case_correct)),
            _number(one.kappa),
        ]
        for one in why.translation
    ]
    head = ["what comes in", "shifts", "pictures", "accuracy, %", "same answer, %", "right under all, %", "kappa"]
    return _table("The run's own network, its test pictures moved; 95 % interval over pictures.", head, rows)


def _limits(why: Why) -> str:
    """What was left out, and whose learning rate a wider search might better."""
    at_edge = sum(one.is_rate_at_edge for one in why.square.scores if not one.same_as)
    trained = sum(not one.same_as for one in why.square.scores)
    left = f"Left out: {', '.join(why.left_out)}." if why.left_out else ""
    failed = "; ".join(f"{name}: {reason}" for name, reason in why.failed.items())
    return _join(
        f"{at_edge} of {trained} kinds of training chose the least or the greatest rate tried.",
        left,
        f"Not measured: {failed}." if failed else "",
    )


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in lines)])


def _join(*lines: str) -> str:
    return "\n\n".join(line for line in lines if line)


def _way(place: Place, arm: ArmName) -> str:
    return _SHOWN[place] + _ARMS[arm]


def _name(word: str) -> str:
    return _SHOWN.get(word, word)


def _percent(one: Estimate) -> str:
    return f"{100 * one.value:.1f} ({100 * one.low:.1f}-{100 * one.high:.1f})"


def _points(one: Estimate) -> str:
    return f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _number(one: Estimate) -> str:
    return f"{one.value:.2f} ({one.low:.2f}-{one.high:.2f})"


def _crossing(one: Crossing) -> str:
    return crossing_number(one, is_ratio=True) or "cannot be told"


def _steps(steps: Sequence[float | None], most: int) -> str:
    return ", ".join(f"over {most}" if one is None else f"{one:.0f}" for one in steps)
