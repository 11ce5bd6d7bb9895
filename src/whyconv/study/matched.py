"""The dense network in three matchings: as many units as the convolution, parameters, or multiply-adds.

With as many units it is the dense corner, and has many times the parameters and the multiply-adds. With as many of
either there is room for a few units alone: no maps, so nothing to take a mean over, and the readout sees each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from whyconv.nets.twins import MatchedPerceptron, dense_twin
from whyconv.results import (
    MATCHED_ARMS,
    MATCHES,
    PLACES,
    Corner,
    CornerScore,
    Match,
    Matched,
    MatchedGain,
    MatchedSize,
    SquareProtocol,
)
from whyconv.study.corners import OneHiddenLayer, Sizes, num_multiply_adds, num_parameters
from whyconv.study.split import difference


@cache
def matched_sizes(sizes: Sizes, match: Match) -> Sizes:
    """Of the dense network that has as much as the convolution of these sizes."""
    if match == "units":
        return sizes
    twin = dense_twin(OneHiddenLayer("convolution", sizes), (sizes.channels, sizes.side, sizes.side), match=match)
    assert isinstance(twin, MatchedPerceptron)
    return replace(sizes, width=twin.width)


def matched_told(scores: Sequence[CornerScore], protocol: SquareProtocol, sizes: Sizes) -> Matched | None:
    """What the square says of the dense network in three matchings; None where they were not trained.

    Args:
        scores: Of all trainings.
        protocol: What was trained.
        sizes: Of the four corners.
    """
    if not all(arm in (*protocol.arms, "plain") for arm in MATCHED_ARMS.values()):
        return None
    by_draw = {(one.corner, one.place, one.arm, one.n_train): one.by_draw for one in scores if one.control is None}
    gains = [
        MatchedGain(
            match=match,
            place=place,
            n_train=n,
            gain=difference(by_draw["convolution", place, "plain", n], by_draw["dense", place, MATCHED_ARMS[match], n]),
        )
        for place in PLACES
        for n in protocol.sizes
        for match in MATCHES
    ]
    return Matched(
        convolution=_size("convolution", sizes, "units"),
        sizes=[_size("dense", matched_sizes(sizes, match), match) for match in MATCHES],
        gains=gains,
    )


def _size(corner: Corner, sizes: Sizes, match: Match) -> MatchedSize:
    return MatchedSize(
        match=match,
        units=sizes.units,
        parameters=num_parameters(corner, sizes),
        multiply_adds=num_multiply_adds(corner, sizes),
    )
