"""An atlas as nobody measured it, for what shows and draws it."""

from __future__ import annotations

from whyconv.results import CORNERS, PLACES, Estimate
from whyconv.results.atlas import Atlas, AtlasScore, AtlasSet, EvenSplit, SkippedSet
from whyconv.study import QUICK, make_protocol


def points(value: float, half: float = 2.0) -> Estimate:
    return Estimate(value=value / 100, low=(value - half) / 100, high=(value + half) / 100, n=5, over="draws")


def made_up_set(
    name: str,
    still: tuple[float, float] = (-5.0, -20.0),
    moved: tuple[float, float] = (3.0, 25.0),
    *,
    side: int = 8,
    learned: float = 99.5,
) -> AtlasSet:
    """A set with points of locality and sharing; the convolution knows ``learned`` % of its own pictures."""
    found = dict(zip(PLACES, (still, moved), strict=True))
    return AtlasSet(
        name=name,
        where=f"pictures/{name}",
        digest="0" * 32,
        num_train=1068,
        num_test=540,
        num_classes=10,
        largest_class_fraction=0.102,
        protocol=make_protocol(QUICK, side=side, channels=1, num_train=1068, num_classes=10, seed=0),
        scores=[
            AtlasScore(
                place=place,
                corner=corner,
                accuracy=points(50.0 + 5 * number),
                train_accuracy=points(learned if number == 3 else 99.5),
            )
            for place in PLACES
            for number, corner in enumerate(CORNERS)
        ],
        splits=[
            EvenSplit(place=place, gain=points(sum(pair)), locality=points(pair[0]), sharing=points(pair[1]))
            for place, pair in found.items()
        ],
        seconds=12.0,
    )


def made_up_atlas(*sets: AtlasSet) -> Atlas:
    skipped = [SkippedSet(name="broken", where="pictures/broken", reason="There is nothing.")]
    return Atlas(version="0", seed=0, minutes=3.0, sets=list(sets) or [made_up_set("digits")], skipped=skipped)
