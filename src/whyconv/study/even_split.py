"""The gain split evenly between locality and sharing: the mean over both orders, so that the parts add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whyconv.results import CORNERS, PLACES, Corner, Place, Square
from whyconv.results.atlas import AtlasScore, EvenSplit
from whyconv.study.split import difference
from whyconv.training.intervals import mean


def even_split(by_draw: Mapping[Corner, Sequence[float]], place: Place) -> EvenSplit:
    """Splits the convolution's gain over the dense layer into a part of locality and a part of sharing.

    With two players this is the Shapley value: each part is what its player adds, averaged over the orders in which
    they can come. In every draw the parts add up to the gain, and so their means do.

    Args:
        by_draw: Accuracy of each draw, for every corner; entry d of each was trained on the same pictures.
        place: Whether pictures were moved.

    Returns:
        Means over draws as fractions in [-1, 1], with t intervals; higher is better for the convolution.

    References:
        Shapley, *A value for n-person games* (1953), Contributions to the Theory of Games II, 307-317.
    """
    rows = list(zip(*(by_draw[corner] for corner in CORNERS), strict=True))
    return EvenSplit(
        place=place,
        gain=difference(by_draw["convolution"], by_draw["dense"]),
        locality=mean([((local - dense) + (both - shared)) / 2 for dense, local, shared, both in rows]),
        sharing=mean([((shared - dense) + (both - local)) / 2 for dense, local, shared, both in rows]),
    )


def even_splits(square: Square) -> list[EvenSplit]:
    """The even splits of a control square at its largest training size, pictures as they are and moved."""
    return [even_split({corner: square.score(corner, place).by_draw for corner in CORNERS}, place) for place in PLACES]


def atlas_scores(square: Square) -> list[AtlasScore]:
    """The accuracies that the splits are differences of."""
    return [
        AtlasScore(place=place, corner=corner, accuracy=score.accuracy, train_accuracy=score.train_accuracy)
        for place in PLACES
        for corner in CORNERS
        for score in [square.score(corner, place)]
    ]
