"""How much is trained for a square: the whole of it, or what fits into the minutes there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from whyconv.results import (
    CONTROLS,
    CORNERS,
    PLACES,
    ControlName,
    Corner,
    Place,
    Readout,
    SquareProtocol,
)
from whyconv.study.controls import UNMOVED, multiplier_for
from whyconv.study.corners import Sizes
from whyconv.study.sizes import training_sizes

# Dense layers grow with the fourth power of the side: fewer maps where pictures are larger. Kernel as in the lecture,
# but where it would see more than a third of the picture.
_MAPS = {8: 16, 16: 8, 32: 4}
_KERNEL = {8: 3, 16: 5, 32: 5}
_RATES = {2: [0.05, 0.3], 3: [0.02, 0.1, 0.5], 4: [0.02, 0.06, 0.2, 0.6]}


class Rung(NamedTuple):
    """How much: training sizes, learning rates, steps of each training, and what the controls are applied to."""

    num_sizes: int
    num_rates: int
    steps: int
    controlled: tuple[Place, ...] = PLACES


# From the whole down to the least that has an interval.
LADDER = (
    *(Rung(5, 4, 400), Rung(5, 3, 400), Rung(3, 3, 300), Rung(2, 3, 250), Rung(2, 2, 200)),
    *(Rung(2, 2, 150, ("moved",)), Rung(1, 2, 150, ("moved",))),
)
WHOLE, QUICK = LADDER[1], LADDER[-2]


class Training(NamedTuple):
    """One corner trained in one way: all draws and learning rates of it."""

    corner: Corner
    place: Place
    control: ControlName | None
    n_train: int


def make_protocol(  # noqa: PLR0913
    rung: Rung,
    *,
    side: Literal[8, 16, 32],
    channels: Literal[1, 3],
    num_train: int,
    num_classes: int,
    seed: int,
    readout: Readout = "mean",
) -> SquareProtocol:
    """What is trained with what, for pictures of this kind.

    Args:
        rung: How much is trained.
        side: Of the pictures in pixels.
        channels: 1 gray, 3 color.
        num_train: Training pictures that there are.
        num_classes: Of the labels.
        seed: Of everything random.
        readout: What the last layer sees of the hidden maps.
    """
    kernel = _KERNEL[side]
    return SquareProtocol(
        side=side,
        channels=channels,
        kernel=kernel,
        maps=_MAPS[side],
        readout=readout,
        multiplier=multiplier_for(side, kernel),
        seed=seed,
        sizes=training_sizes(num_train, num_classes, rung.num_sizes),
        learning_rates=_RATES[rung.num_rates],
        steps=rung.steps,
        controlled=list(rung.controlled),
    )


def rescale(protocol: SquareProtocol, rung: Rung, num_train: int, num_classes: int) -> SquareProtocol:
    """The same protocol with as much training as a rung says."""
    return make_protocol(
        rung,
        side=protocol.side,
        channels=protocol.channels,
        num_train=num_train,
        num_classes=num_classes,
        seed=protocol.seed,
        readout=protocol.readout,
    )


def sizes_of(protocol: SquareProtocol, num_classes: int, *, exact: bool = False) -> Sizes:
    """Sizes of the networks; of those in the exact comparison, which have fewer maps."""
    return Sizes(
        channels=protocol.channels,
        side=protocol.side,
        maps=protocol.exact_maps if exact else protocol.maps,
        kernel=protocol.kernel,
        classes=num_classes,
        readout=protocol.readout,
    )


def all_trainings(protocol: SquareProtocol) -> Iterator[Training]:
    """Every corner, still and moved, at every size; and at the largest under every control."""
    for place in PLACES:
        for n_train in protocol.sizes:
            for corner in CORNERS:
                yield Training(corner, place, None, n_train)
    for place in protocol.controlled:
        for control in CONTROLS:
            for corner in CORNERS:
                yield Training(corner, place, control, protocol.sizes[-1])


def same_training(
    training: Training, protocol: SquareProtocol
) -> tuple[Literal["", "uncontrolled", "still"], Training]:
    """Where the structure says that a training is step by step that of another one: how, and which.

    Returns:
        ("", itself) where it is like no other.
    """
    if training.control is not None and training.corner in UNMOVED[training.control]:
        return "uncontrolled", training._replace(control=None)
    is_invariant = protocol.readout == "mean" and training.corner in ("shared_global", "convolution")
    if training.control is None and training.place == "moved" and is_invariant:
        return "still", training._replace(place="still")
    return "", training


def needed_trainings(protocol: SquareProtocol) -> list[Training]:
    """Those of ``all_trainings`` that are like no other."""
    return [one for one in all_trainings(protocol) if not same_training(one, protocol)[0]]
