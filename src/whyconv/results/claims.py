"""What the lecture says for convolutions, and whether it holds on what was measured: decided once, for all readers."""

from __future__ import annotations

import math
from typing import Literal

from whyconv.results.corners import LEARNED, PLACES, Corner, Place
from whyconv.results.curves import Crossing
from whyconv.results.numbers import as_number, crossing_number, in_percent, in_points
from whyconv.results.record import Estimate, Record
from whyconv.results.square import Square
from whyconv.results.translation import Translation

ClaimName = Literal["fewer", "locality", "sharing", "pictures", "overfitting"]
Holds = Literal[
    "exact",
    "holds",
    "fails",
    "moved_only",
    "still_only",
    "moved_not_still",
    "still_not_moved",
    "fails_one",
    "by_order",
    "moved_still_by_order",
    "still_moved_by_order",
    "unknown",
]
# Signs in both orders that contradict each other.
_BY_ORDER = 2


class Claim(Record):
    """One claim of the lecture.

    Attributes:
        name: Which.
        holds: "exact": counted; "holds" or "fails" with pictures as they are and with moved ones; "moved_only",
            "still_only": there, and the other cannot be told; "moved_not_still", "still_not_moved": there, and in the
            other the opposite was found; "fails_one": the opposite in one, and the other cannot be told; "by_order":
            it gains where it is added first and costs where it is added second, or the other way round;
            "moved_still_by_order", "still_moved_by_order": it holds there, and in the other by order; "unknown":
            neither can be told.
        values: What it rests on, by the names of the fields of its sentence; of pictures needed nothing for a place
            without a target.
    """

    name: ClaimName
    holds: Holds
    values: dict[str, Estimate | Crossing | int | float | str]

    @property
    def sentence(self) -> str:
        """Which sentence says what was found: the claim's name, and which places have values where not both do."""
        told = [place for place in PLACES if place in self.values]
        if self.name != "pictures" or len(told) == len(PLACES):
            return self.name
        return f"{self.name}_{told[0] if told else 'none'}"

    def words(self, unknown: str) -> dict[str, object]:
        """Returns the values as text: differences in points, numbers of times as many; counts as they are.

        Args:
            unknown: What is said where nothing is known, in the reader's language.
        """
        return {name: _word(value, unknown) for name, value in self.values.items()}


def claims(square: Square) -> list[Claim]:
    """Returns the claims about the square, in the lecture's order; those that were not asked are left out."""
    found = [_fewer(square), _locality(square), _sharing(square), *_pictures(square)]
    return [*found, *_overfitting(square)]


def unlearned_words(square: Square) -> list[tuple[Corner, Place, dict[str, object]]]:
    """Returns, of each corner that has not learned its own pictures, what the sentence about it says, by its fields."""
    return [
        (one.corner, one.place, {"part": _percent_below_learned(one.train_accuracy.value), "steps": one.num_steps})
        for one in square.unlearned()
    ]


def _percent_below_learned(part: float) -> float:
    """In percent, rounded down to a tenth: never so much that the network would have learned its pictures."""
    tenths = math.floor(1000 * part + 1e-9)  # 0.57 is a little less in binary, and no 56.9 %
    return min(tenths, round(1000 * LEARNED) - 1) / 10


def stand_in_words(square: Square) -> tuple[str, dict[str, object]] | None:
    """Returns the sentence on whether shifts do for the dense network what the structure does, and what it says.

    None where it was not measured, or where the structure gains nothing that can be told: nothing to stand in for.
    """
    beside = square.shifts_beside_structure
    if beside is None or square.split("still").gain.sign <= 0:
        return None
    key = "curves_stands_in" if beside.sign > 0 else "curves_stand_in_unknown"
    key = "curves_does_not_stand_in" if beside.sign < 0 else key
    return key, {
        "helped": in_percent(square.score("dense", "still", arm="averaged").accuracy),
        "plain": in_percent(square.score("convolution", "still").accuracy),
        "difference": in_points(beside),
    }


def matched_words(square: Square) -> dict[str, object] | None:
    """Returns what the sentence about a dense network with as many parameters as the convolution says, by its fields.

    None where there was none.
    """
    if square.matched is None:
        return None
    size = next(one for one in square.matched.sizes if one.match == "parameters")
    n_train = square.protocol.sizes[-1]
    words: dict[str, object] = {
        "units": size.units,
        "parameters": size.parameters,
        "convolution": square.matched.convolution.parameters,
    }
    for place in PLACES:
        words[place] = in_points(square.matched.gain("parameters", place, n_train))
    return words


def moved_words(found: Translation) -> dict[str, str]:
    """Returns what the sentence about one kind of shifts says, by the names of its fields."""
    return {
        "consistency": in_percent(found.consistency),
        "kappa": as_number(found.kappa),
        "worst": in_percent(found.worst_case),
        "right": in_percent(found.worst_case_correct),
        "accuracy": in_percent(found.accuracy),
    }


def _word(value: Estimate | Crossing | float | str, unknown: str) -> object:
    if isinstance(value, Estimate):
        return in_points(value)
    return (crossing_number(value, is_ratio=True) or unknown) if isinstance(value, Crossing) else value


def _fewer(square: Square) -> Claim:
    # Locality x sharing is an identity of weights alone: a bias belongs to each unit, or to each map.
    maps, units = square.protocol.maps, square.protocol.maps * square.protocol.side**2
    dense, local = square.weights["dense"] - units, square.weights["local"] - units
    convolution = square.weights["convolution"] - maps
    values: dict[str, Estimate | Crossing | int | float | str] = {
        "dense": dense,
        "convolution": convolution,
        "ratio": dense / convolution,
        "locality": dense / local,
        "sharing": local / convolution,
    }
    return Claim(name="fewer", holds="exact", values=values)


def _locality(square: Square) -> Claim:
    splits = {place: square.split(place) for place in PLACES}
    return _in_both_orders(
        "locality", {place: (one.locality_first, one.locality_second) for place, one in splits.items()}
    )


def _sharing(square: Square) -> Claim:
    splits = {place: square.split(place) for place in PLACES}
    return _in_both_orders("sharing", {place: (one.sharing_second, one.sharing_first) for place, one in splits.items()})


def _in_both_orders(name: Literal["locality", "sharing"], gains: dict[Place, tuple[Estimate, Estimate]]) -> Claim:
    """A structure helps where it gains with the other and without it: where they interact, neither is the true one."""
    values: dict[str, Estimate | Crossing | int | float | str] = {}
    for place, (told, other) in gains.items():
        values |= {place: told, f"{place}_other": other}
    signs = [_sign_of_both(*gains[place]) for place in PLACES]
    return Claim(name=name, holds=_verdict(signs), values=values)


def _sign_of_both(one: Estimate, other: Estimate) -> int:
    """1 or -1 where one order tells it and the other's value does not speak against it; 0 where it cannot be told."""
    signs = {one.sign, other.sign} - {0}
    if len(signs) == 2:
        return _BY_ORDER
    sign = next(iter(signs), 0)
    return sign if min(sign * one.value, sign * other.value) >= 0 else 0


def _pictures(square: Square) -> list[Claim]:
    pairs = [one for one in square.ratios if (one.corner, one.beside, one.arm) == ("dense", "convolution", "plain")]
    if not pairs and len(square.protocol.sizes) < 2:
        return []
    values: dict[str, Estimate | Crossing | int | float | str] = {}
    signs = []
    for place in PLACES:
        ratios = [one for one in pairs if one.place == place]
        if not ratios:  # no corner is enough above the largest class
            signs.append(0)
            continue
        # The highest target about which something is known: a bound without an end of its interval says nothing.
        known = [one for one in ratios if (one.times.low, one.times.high) != (None, None)]
        chosen = (known or ratios)[-1]
        values[place], values[f"{place}_target"] = chosen.times, f"{100 * chosen.target:.0f}"
        signs.append(1 if (chosen.times.low or 0) > 1 else -1 if (chosen.times.high or 2) < 1 else 0)
    return [Claim(name="pictures", holds=_verdict(signs), values=values)]


def _overfitting(square: Square) -> list[Claim]:
    found = {(one.place, one.corner): one.gap for one in square.gaps}
    pairs = [one for one in square.gap_differences if (one.corner, one.beside) == ("dense", "convolution")]
    paired = {one.place: one.difference for one in pairs}
    if not found or not paired:
        return []
    values: dict[str, Estimate | Crossing | int | float | str] = {}
    for place in PLACES:
        dense, convolution = found[place, "dense"], found[place, "convolution"]
        values |= {place: paired[place], f"{place}_dense": dense, f"{place}_convolution": convolution}
    return [Claim(name="overfitting", holds=_verdict([paired[place].sign for place in PLACES]), values=values)]


def _verdict(signs: list[int]) -> Holds:
    """A word for the signs of what was found with pictures as they are, and with moved ones."""
    words: dict[tuple[int, int], Holds] = {
        (1, 1): "holds",
        (0, 0): "unknown",
        (-1, -1): "fails",
        (1, 0): "still_only",
        (0, 1): "moved_only",
        (1, -1): "still_not_moved",
        (-1, 1): "moved_not_still",
        (_BY_ORDER, 1): "moved_still_by_order",
        (1, _BY_ORDER): "still_moved_by_order",
    }
    return words.get((signs[0], signs[1]), "by_order" if _BY_ORDER in signs else "fails_one")
