"""What learning curves say, as lines: other arms, pictures needed, overfitting, random labels."""

from __future__ import annotations

from whyconv.results import CORNERS, PLACES, ArmName, Corner, Crossing, DataRatio, GapDifference, Place, Square
from whyconv.results.claims import stand_in_words
from whyconv.results.numbers import as_number, crossing_number, in_percent, in_points, steps_needed
from whyconv.show.text import table, wrap
from whyconv.texts import say


def curve_lines(square: Square, language: str) -> list[str]:
    """Returns everything that the control square says beside its accuracies, gains and controls."""
    arms: list[tuple[Place, ArmName]] = list(dict.fromkeys((one.place, one.arm) for one in square.splits))
    lines: list[str] = []
    for place, arm in arms:
        if arm != "plain":
            lines += ["", *_arm_lines(square, place, arm, language)]
    for place, arm in arms:
        if arm == "plain":
            lines += _needed_lines(square, place, arm, language)
    return [*lines, *_stop_lines(square, language), *_gap_lines(square, language), *_memory_lines(square, language)]


def corner_name(corner: Corner, language: str) -> str:
    """Returns what a corner is called."""
    return say(f"square_corner_{corner}", language)


def crossing_text(found: Crossing, language: str, *, is_ratio: bool = False) -> str:
    """What ``crossing_number`` says, and a word where nothing is known."""
    return crossing_number(found, is_ratio=is_ratio) or say("curves_unknown", language)


def _arm_lines(square: Square, place: Place, arm: ArmName, language: str) -> list[str]:
    rows = [["n", *(corner_name(corner, language) for corner in CORNERS)]]
    for n_train in square.protocol.sizes:
        found = [square.score(corner, place, n_train, arm=arm).accuracy for corner in CORNERS]
        rows.append([f"{n_train:,}", *(in_percent(one) for one in found)])
    split = square.split(place, arm=arm)
    told = {"locality": in_points(split.locality_first), "sharing": in_points(split.sharing_second)}
    head = wrap(say(f"curves_arm_{arm}_{place}", language, shift=square.protocol.shift), "")
    lines = [*head, *table(rows), f"    {say('square_locality_first', language, **told)}"]
    if (arm, place) == ("normalized", "still"):
        lines += wrap(say("curves_normalized", language), "  ")
    return lines + (_stand_in_lines(square, language) if arm == "averaged" else [])


def _stand_in_lines(square: Square, language: str) -> list[str]:
    """Says whether shifts in training and test do for the dense network what the structure does for the other."""
    told = stand_in_words(square)
    return wrap(say(told[0], language, **told[1]), "  ") if told else []


def _needed_lines(square: Square, place: Place, arm: ArmName, language: str) -> list[str]:
    needed = {(one.target, one.corner): one.pictures for one in square.needed if (one.place, one.arm) == (place, arm)}
    targets = sorted({target for target, _ in needed})
    if not targets:
        return []
    rows = [["", *(f"{100 * target:.0f} %" for target in targets)]]
    for corner in CORNERS:
        cells = [crossing_text(needed[target, corner], language) for target in targets]
        rows.append([corner_name(corner, language), *cells])
    ratios = [one for one in square.ratios if (one.place, one.arm) == (place, arm)]
    for pair in dict.fromkeys((one.corner, one.beside) for one in ratios):
        found = {one.target: one for one in ratios if (one.corner, one.beside) == pair}
        rows.append([_pair(found[targets[0]], language), *(_times(found[target], language) for target in targets)])
    lines = ["", *wrap(say(f"curves_needed_{place}", language), ""), *table(rows)]
    powers = [one for one in square.exponents if (one.place, one.arm) == (place, arm)]
    if powers:
        told = ", ".join(f"{corner_name(one.corner, language)} {as_number(one.exponent)}" for one in powers)
        key = "curves_exponents_floor" if powers[0].is_floor_fitted else "curves_exponents"
        lines += wrap(say(key, language, exponents=told), "  ")
    return lines


def _pair(ratio: DataRatio, language: str) -> str:
    return f"{corner_name(ratio.corner, language)} / {corner_name(ratio.beside, language)}"


def _times(ratio: DataRatio, language: str) -> str:
    return crossing_text(ratio.times, language, is_ratio=True)


def _stop_lines(square: Square, language: str) -> list[str]:
    """Accuracies where all trainings stop after the same steps, and where each stops at its own best."""

    def told(place: Place, name: str) -> str:
        found = [in_percent(getattr(square.score(corner, place), name)) for corner in CORNERS]
        return ", ".join(f"{corner_name(corner, language)} {one}" for corner, one in zip(CORNERS, found, strict=True))

    lines: list[str] = []
    for place in PLACES if square.protocol.most_times > 1 else ():
        values = {"steps": square.protocol.steps, "accuracies": told(place, "same_steps_accuracy")}
        lines += wrap(say(f"curves_same_steps_{place}", language, **values), "  ")
    if square.protocol.checkpoints > 1:
        lines += wrap(say("curves_own_best", language, accuracies=told("still", "best_accuracy")), "  ")
    return ["", *lines] if lines else []


def _gap_lines(square: Square, language: str) -> list[str]:
    lines: list[str] = []
    for place in dict.fromkeys(one.place for one in square.gaps):
        found = [one for one in square.gaps if one.place == place]
        told = ", ".join(f"{corner_name(one.corner, language)} {in_points(one.gap)}" for one in found)
        values = {"train": 100 * found[0].train_accuracy, "n": found[0].n_train, "gaps": told}
        lines += wrap(say(f"curves_gaps_{place}", language, **values), "  ")
        pairs = [one for one in square.gap_differences if one.place == place]
        shown = ", ".join(_gap_pair(one, language) for one in pairs)
        lines += wrap(say("curves_gap_pairs", language, pairs=shown), "    ") if pairs else []
    return lines


def _gap_pair(one: GapDifference, language: str) -> str:
    names = {"corner": corner_name(one.corner, language), "beside": corner_name(one.beside, language)}
    return say("curves_gap_pair", language, points=in_points(one.difference), **names)


def _memory_lines(square: Square, language: str) -> list[str]:
    if not square.memorized:
        return []
    told = [f"{corner_name(one.corner, language)} {steps_needed(one)}" for one in square.memorized]
    first = square.memorized[0]
    values = {"n": first.n_train, "most": first.most_steps, "steps": ", ".join(told)}
    return wrap(say("curves_memorized", language, **values), "  ")
