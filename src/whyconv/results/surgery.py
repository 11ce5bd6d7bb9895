"""The same weights with one repair at a time: whether a suspected cause is the cause."""

from __future__ import annotations

from typing import Literal

from whyconv.results.record import Estimate, Record
from whyconv.results.translation import ShiftKind, Translation

RepairName = Literal["circular_padding", "blur", "polyphase", "head", "all"]
REPAIRS: tuple[RepairName, ...] = ("circular_padding", "blur", "polyphase", "head", "all")
Obstacle = Literal[
    "other_operation", "rounded_up", "too_wide", "unpadded", "branches", "hidden_layers", "no_places", "not_finite"
]


class Unrepaired(Record):
    """A layer that could not be repaired on the same weights.

    Attributes:
        layer: Its name.
        reason: "other_operation": it is no convolution, maximum or mean of torch's with windows of one size;
            "rounded_up": its last window reaches over the end; "too_wide": its padding is larger than the map;
            "unpadded": its windows end at the border, and so leave out places of a ring though nothing is padded;
            "branches": another branch that it meets again would choose its places differently; "hidden_layers": the
            head has more than linear layers, and then a mean over places has no exact form; "no_places": the head
            reads no places, there is nothing to repair; "not_finite": the repaired network gives no finite logits.
    """

    layer: str
    reason: Obstacle


class RepairScore(Record):
    """How answers hold after a repair, and how much that is more than before.

    Changes are paired: each over the same pictures and shifts, with intervals over pictures.

    Attributes:
        kind: What came in where the pictures had moved away.
        consistency: After, as in ``Translation``.
        kappa: After.
        accuracy: After, of the unmoved pictures.
        consistency_change: After less before.
        kappa_change: After less before.
        accuracy_change: After less before.
    """

    kind: ShiftKind
    consistency: Estimate
    kappa: Estimate
    accuracy: Estimate
    consistency_change: Estimate
    kappa_change: Estimate
    accuracy_change: Estimate


class Repair(Record):
    """One repair.

    Attributes:
        name: "circular_padding": all padding takes what lies on the other side; "blur": what strides or pools is
            computed at every place, smoothed, then thinned out; "polyphase": the same, unsmoothed, keeping of each
            picture the places with the greatest norm; "head": the last map is replaced by its mean over places, which
            is the mean of a linear head's logits over all shifts of the map; "all": circular padding, polyphase, head.
        repaired: Names of the layers.
        left: Those that could not be, and why.
        scores: One for each kind of shift; none where nothing could be repaired.
    """

    name: RepairName
    repaired: list[str]
    left: list[Unrepaired]
    scores: list[RepairScore]

    def not_repaired(self) -> list[Unrepaired]:
        """Returns the layers that are worth a word: none for "all", whose parts tell theirs, or where none needs it."""
        return [] if self.name == "all" else [one for one in self.left if one.reason != "no_places"]


class Surgery(Record):
    """Translation before and after each repair. A repair confirms a cause; its network was not trained that way.

    Attributes:
        before: One for each kind of shift.
        repairs: In the order of ``REPAIRS``.
    """

    before: list[Translation]
    repairs: list[Repair]
