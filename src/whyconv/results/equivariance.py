"""Whether maps move along with the picture, layer by layer, and what keeps them from it."""

from __future__ import annotations

from typing import Literal

from whyconv.results.fields import Exact
from whyconv.results.record import Estimate, Record

# An operation that depends on the place; sampling by stride or pooling; padding; a stride that leaves a rest; what
# reads the last map.
Cause = Literal["place", "stride", "border", "odd_size", "head"]
Resampling = Literal["linear", "fourier"]
_LOOKING = ("convolution", "locally_connected", "pooling", "upsample", "attention", "linear")
CAUSES: tuple[Cause, ...] = ("place", "stride", "border", "odd_size", "head")


class EquivarianceProtocol(Record):
    """How it was measured.

    Attributes:
        kind: What comes in where the picture has moved away: "crop", real pixels; "circular", what went out.
        reach: Farthest shift that there was room for, in pixels.
        side: Of what the network looks at (high, wide), in pixels.
        n: Pictures.
        dtype: Of the numbers that the network was given.
        resampling: What a map moved by a part of a place is taken to be: "linear" between the two neighbors, or
            "fourier", through the map's Fourier series.
        seed: Of the draws of pictures that make the intervals.
        num_draws: Of these.
    """

    kind: Literal["crop", "circular"]
    reach: int
    side: tuple[int, int]
    n: int
    dtype: str
    resampling: Resampling
    seed: int
    num_draws: int


class LayerEquivariance(Record):
    """How far the map of the moved picture is from the moved map, for one layer.

    Errors are root mean squares over places and channels, divided by how far the map spreads around each channel's
    mean over pictures and places: 0 is none, 1.4 is what maps of two unrelated pictures differ by. None where it
    cannot be measured, see ``reason``.

    Attributes:
        name: Of the layer.
        kind: What it is.
        jump: Pixels from one place to the next, along each axis.
        period: The least shift in pixels, along each axis, that moves this map and all maps before it by whole places.
        places: Along each axis.
        field: Size of the receptive field along each axis, in pixels.
        num_inside: Places whose field lies inside both views when the picture moves by ``period``; least of both axes.
        at_jump: Of these places, for a shift by ``period``: 0 for whatever treats all places alike.
        within: Of places inside, for a shift of one pixel: what sampling adds.
        whole: Of the whole map, for a shift of one pixel: what borders add.
        whole_at_jump: Of the whole map, for a shift by ``period``: the border without the sampling.
        brings: What this layer itself can be a cause of, by its structure.
        reason: Why errors are missing: "field": no place's field lies inside both views; "summary": a number for the
            whole picture reaches every place; "reach": there is no room for a shift by ``period``; "" where none is.
    """

    name: str
    kind: str
    jump: tuple[Exact, ...]
    period: tuple[int, ...]
    places: tuple[int, ...]
    field: tuple[int, ...]
    num_inside: int
    at_jump: Estimate | None
    within: Estimate | None
    whole: Estimate | None
    whole_at_jump: Estimate | None
    brings: list[Cause]
    reason: Literal["", "field", "summary", "reach"] = ""


class CauseShare(Record):
    """What one cause adds to the error, at the last map or behind it.

    Attributes:
        cause: Which.
        error: What it adds to the causes before it, a difference of two errors; the causes' sum is the error of the
            logits. Negative where it takes error away, as a mean over places does. None where it cannot be told apart,
            and of "head" with kind "crop": real pixels come in and change answers whatever the head is.
        alone: The error where it acts without those that come before it here: of "place" ``at_jump``, of "stride"
            ``within``, of "border" or "odd_size" ``whole_at_jump`` of the last map; of "head" that of the logits where
            nothing is done but to move the last map by one place around its own ring. None where it cannot be had.
        layers: Names of the layers at which it comes in, in order.
    """

    cause: Cause
    error: Estimate | None
    alone: Estimate | None
    layers: list[str]


class Equivariance(Record):
    """Which layer, and which cause, keeps a network from moving along with the picture.

    Attributes:
        protocol: How it was measured.
        layers: With maps, in the order in which they are computed.
        last_map: Name of the layer whose map is read by the head; "" where the picture itself is.
        logits: Error of the logits for a shift of one pixel, beside their spread over pictures.
        causes: All five, in the order of ``CAUSES``.
        told_by: What tells sampling and border apart at the last map: places "inside", as in the columns. Where no
            place lies inside, their shares are None, and "whole" says that at least the border is known alone; "" that
            neither is.
        not_analyzed: Names of the layers about whose places nothing is known, and why.
    """

    protocol: EquivarianceProtocol
    layers: list[LayerEquivariance]
    last_map: str
    logits: Estimate
    causes: list[CauseShare]
    told_by: Literal["inside", "whole", ""]
    not_analyzed: dict[str, str]

    def looking(self) -> list[LayerEquivariance]:
        """Returns the layers that look around, those where operations depend on the place, and the last."""
        at_places = self.cause("place").layers
        return [one for one in self.layers if one.kind in _LOOKING or one.name in at_places or one is self.layers[-1]]

    def told(self) -> list[str]:
        """Returns the keys of the sentences that say how the shares are to be read."""
        keys = [f"equivariance_told_{self.told_by or 'none'}"]
        if self.protocol.kind == "crop" and self.cause("head").error is None:
            keys.append("equivariance_new_pixels")
        elif self.told_by == "inside":
            keys.append("equivariance_sum")
        return keys

    def cause(self, name: Cause) -> CauseShare:
        """Returns the share of one cause."""
        return next(one for one in self.causes if one.cause == name)
