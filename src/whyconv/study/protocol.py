"""How much is trained for a square: the whole of it, or what fits into the minutes there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from whyconv.results import (
    CONTROLS,
    CORNERS,
    PLACES,
    ArmName,
    ControlName,
    Corner,
    Place,
    Readout,
    SquareProtocol,
)
from whyconv.study.controls import UNMOVED, multiplier_for
from whyconv.study.corners import Sizes
from whyconv.study.sizes import training_sizes

# Dense layers grow with the fourth power of the side: fewer maps where pictures are larger, so that four trainings of
# colored pictures fit into 4 GB. Kernel as in the lecture, but where it would see more than a third of the picture.
_MAPS = {8: 16, 16: 8, 32: 4}
_KERNEL = {8: 3, 16: 5, 32: 5}
# Three decades in five steps; what is forgotten per step is rate times decay.
_RATES = (0.001, 0.0056, 0.032, 0.18, 1.0)
_DECAYS = (0.0, 0.01, 0.1)
# Arms that the dense corner alone is in.
_OF_DENSE_ALONE: tuple[ArmName, ...] = ("same_parameters", "same_multiply_adds")


@dataclass(frozen=True)
class Extent:
    """How much is trained.

    Attributes:
        num_sizes: Of the sets to learn from.
        learning_rates: Tried with every decay.
        decays: Tried with every rate.
        most_extensions: Of the learning rates beyond their ends.
        steps: Of each training, at the least.
        most_times: How many times as many a training may take while it has not learned its own pictures.
        tunes_each_size: Whether smaller sizes, and longer trainings, may have settings of their own.
        controlled: What the controls are applied to.
        arms: Beside the plain one.
    """

    num_sizes: int
    learning_rates: tuple[float, ...]
    decays: tuple[float, ...] = (0.0,)
    most_extensions: int = 0
    steps: int = 300
    most_times: int = 1
    tunes_each_size: bool = False
    controlled: tuple[Place, ...] = ()
    arms: tuple[ArmName, ...] = ()


# Where the minutes are few: from the least that has an interval upwards.
LEAST = (
    Extent(1, (0.1, 0.3), steps=150),
    Extent(2, (0.1, 0.3), steps=250, controlled=("moved",)),
    Extent(3, (0.02, 0.1, 0.5), steps=250, controlled=("moved",)),
    Extent(3, (0.02, 0.1, 0.5), steps=300, most_times=3, controlled=("moved",)),
    Extent(3, _RATES, steps=300, most_times=3, controlled=("moved",)),
)
QUICK = LEAST[1]
BASE = Extent(3, _RATES, _DECAYS, most_extensions=1, most_times=3)
# What is added to it as the minutes allow, in this order; each by its name in the sentences.
ADDITIONS: dict[str, Callable[[Extent], Extent]] = {
    "controls": lambda extent: replace(extent, controlled=PLACES),
    "shifts": lambda extent: replace(extent, arms=(*extent.arms, "shifts")),
    "tuned_sizes": lambda extent: replace(extent, tunes_each_size=True),
    "longest": lambda extent: replace(extent, most_times=10),
    "random_labels": lambda extent: replace(extent, arms=(*extent.arms, "random_labels")),
    "sizes": lambda extent: replace(extent, num_sizes=6),
    "places": lambda extent: replace(extent, arms=(*extent.arms, "places")),
    "matched": lambda extent: replace(extent, arms=(*extent.arms, "same_parameters", "same_multiply_adds")),
    "normalized": lambda extent: replace(extent, arms=(*extent.arms, "normalized")),
    "extension": lambda extent: replace(extent, most_extensions=3),
}

# Where only the largest size is asked for, pictures as they are and moved: all minutes go into settings and steps.
AT_LARGEST_SIZE = (
    LEAST[0],
    Extent(1, (0.02, 0.1, 0.5), steps=250),
    Extent(1, (0.02, 0.1, 0.5), most_times=3),
    Extent(1, _RATES, most_times=3),
    replace(BASE, num_sizes=1),
    replace(BASE, num_sizes=1, most_times=10, tunes_each_size=True),
)


def whole() -> Extent:
    """Everything that there is to be trained."""
    extent = BASE
    for add in ADDITIONS.values():
        extent = add(extent)
    return extent


def fitting_extent(seconds: Callable[[Extent], float], limit: float) -> tuple[Extent, list[str]]:
    """What fits into a time.

    Args:
        seconds: What an extent would take.
        limit: In seconds.

    Returns:
        The extent; and the names of what was left out.
    """
    if seconds(BASE) > limit:
        extent = largest_fitting(LEAST, seconds, limit)
        return extent, [*_less_than_base(extent), *(name for name in ADDITIONS if name != "controls")]
    extent, left_out = BASE, []
    for name, add in ADDITIONS.items():
        if seconds(add(extent)) <= limit:
            extent = add(extent)
        else:
            left_out.append(name)
    return extent, left_out


def _less_than_base(extent: Extent) -> list[str]:
    """Names of what an extent lacks of the base, and the controls that it lacks."""
    found = ["rates"] if len(extent.learning_rates) < len(BASE.learning_rates) else []
    found += ["decays"] if len(extent.decays) < len(BASE.decays) else []
    found += ["steps"] if extent.steps < BASE.steps else []
    found += ["longer"] if extent.most_times < BASE.most_times else []
    return [*found, "controls_still" if extent.controlled else "controls"]


def missing_parts(names: Sequence[str], protocol: SquareProtocol, everything: SquareProtocol) -> list[str]:
    """Of the names of what was left out, those that these pictures would allow: few of them make few sizes.

    Args:
        names: From ``fitting_extent``.
        protocol: Of the extent that fits.
        everything: With nothing left out.
    """
    has_all_sizes = protocol.sizes == everything.sizes
    return [name for name in names if name != "sizes" or not has_all_sizes]


def largest_fitting(extents: Sequence[Extent], seconds: Callable[[Extent], float], limit: float) -> Extent:
    """The last of rising extents that fits into ``limit`` seconds; the first where none does."""
    fitting = [one for one in extents if seconds(one) <= limit]
    return (fitting or list(extents))[-1 if fitting else 0]


class Training(NamedTuple):
    """One corner trained in one way."""

    corner: Corner
    place: Place
    control: ControlName | None
    n_train: int
    arm: ArmName = "plain"


def make_protocol(  # noqa: PLR0913
    extent: Extent,
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
        extent: How much is trained.
        side: Of the pictures in pixels.
        channels: 1 gray, 3 color.
        num_train: Training pictures that there are.
        num_classes: Of the labels.
        seed: Of everything random.
        readout: What the last layer sees of the hidden maps.
    """
    kernel = _KERNEL[side]
    sizes = training_sizes(num_train, num_classes, extent.num_sizes)
    return SquareProtocol(
        side=side,
        channels=channels,
        kernel=kernel,
        maps=_MAPS[side],
        readout=readout,
        multiplier=multiplier_for(side, kernel),
        seed=seed,
        sizes=sizes,
        tunes_each_size=extent.tunes_each_size,
        learning_rates=list(extent.learning_rates),
        decays=list(extent.decays),
        most_extensions=extent.most_extensions,
        steps=extent.steps,
        most_times=extent.most_times,
        controlled=list(extent.controlled),
        arms=list(extent.arms),
        shift=max(1, side // 8),
    )


def rescale(protocol: SquareProtocol, extent: Extent, num_train: int, num_classes: int) -> SquareProtocol:
    """The same protocol with as much training as an extent says."""
    return make_protocol(
        extent,
        side=protocol.side,
        channels=protocol.channels,
        num_train=num_train,
        num_classes=num_classes,
        seed=protocol.seed,
        readout=protocol.readout,
    )


def sizes_of(
    protocol: SquareProtocol, num_classes: int, *, exact: bool = False, readout: Readout | None = None
) -> Sizes:
    """Sizes of the networks; of those in the exact comparison, which have fewer maps."""
    return Sizes(
        channels=protocol.channels,
        side=protocol.side,
        maps=protocol.exact_maps if exact else protocol.maps,
        kernel=protocol.kernel,
        classes=num_classes,
        readout=readout or protocol.readout,
    )


def all_trainings(protocol: SquareProtocol) -> Iterator[Training]:
    """Every corner, still and moved, at every size; at the largest under every control; and the other arms."""
    ways: list[tuple[Place, ControlName | None, int, ArmName]] = [
        (place, None, n_train, arm)
        for place, arm in scored_arms(protocol)
        for n_train in protocol.sizes
        if arm != "averaged"  # the networks of "shifts", asked in another way
    ]
    ways += [(place, control, protocol.sizes[-1], "plain") for place in protocol.controlled for control in CONTROLS]
    if "random_labels" in protocol.arms:
        ways.append(("still", None, protocol.sizes[0], "random_labels"))
    for place, control, n_train, arm in ways:
        for corner in CORNERS:
            yield Training(corner, place, control, n_train, arm)
    for arm in protocol.arms:
        if arm in _OF_DENSE_ALONE:
            yield from (Training("dense", place, None, n, arm) for place in PLACES for n in protocol.sizes)


def scored_arms(protocol: SquareProtocol) -> list[tuple[Place, ArmName]]:
    """Where learning curves are from, in the order they are shown."""
    found: list[tuple[Place, ArmName]] = [(place, "plain") for place in PLACES]
    if "shifts" in protocol.arms:
        found += [("still", "shifts"), ("still", "averaged")]
    everywhere: tuple[ArmName, ...] = ("places", "normalized")
    for arm in everywhere:
        if arm in protocol.arms:
            found += [(place, arm) for place in PLACES]
    return found


def same_training(
    training: Training, protocol: SquareProtocol
) -> tuple[Literal["", "uncontrolled", "still"], Training]:
    """Where the structure says that a training is step by step that of another one: how, and which.

    Returns:
        ("", itself) where it is like no other.
    """
    if training.control is not None and training.corner in UNMOVED[training.control]:
        return "uncontrolled", training._replace(control=None)
    is_mean = protocol.readout == "mean" and training.arm != "places"
    is_invariant = is_mean and training.corner in ("shared_global", "convolution")
    if training.control is None and training.place == "moved" and is_invariant:
        return "still", training._replace(place="still")
    return "", training


def trained_as(training: Training, protocol: SquareProtocol) -> Training:
    """The training that is carried out for it: moved and controlled, like moved, which is like still."""
    return same_training(same_training(training, protocol)[1], protocol)[1]


def needed_trainings(protocol: SquareProtocol) -> list[Training]:
    """Those of ``all_trainings`` that are like no other."""
    return [one for one in all_trainings(protocol) if not same_training(one, protocol)[0]]


def tuned_like(training: Training, protocol: SquareProtocol) -> Training:
    """The carried out training whose settings it takes: its own, but with random labels as with the true ones."""
    arm: ArmName = "plain" if training.arm == "random_labels" else training.arm
    return trained_as(training._replace(arm=arm), protocol)


def at_largest_size(training: Training, protocol: SquareProtocol) -> Training:
    """The same with all pictures: where settings are looked for far and wide."""
    return training._replace(n_train=protocol.sizes[-1])
