"""Answers through windows of a picture: where these lie, what they are worth, and what they cost."""

from __future__ import annotations

from whyconv.results.record import Estimate, Note, Record

_PER_AXIS = 3


def window_places(side: int, window: int) -> list[int]:
    """Where windows begin along one axis, in pixels: at the border, in the middle, and so as to end at the other."""
    left = side - window
    return sorted({left * step // (_PER_AXIS - 1) for step in range(_PER_AXIS)})


class ThroughWindows(Record):
    """A network that answers with the mean over windows of a picture, beside its answers through the middle one alone.

    Attributes:
        side: Of the pictures in pixels.
        window: Of the windows in pixels.
        places: Where windows begin along each axis, in pixels.
        num_windows: Of a picture.
        accuracy: Through all windows.
        accuracy_of_one: Through the middle one alone.
        gain: The first less the second, paired by picture (adjusted Wald interval).
        changed: Fraction of the pictures that the middle one alone answers otherwise.
        seconds_per_picture: That an answer through all windows takes, without reading the file; median of 5.
        seconds_of_one: That an answer through one window takes.
    """

    side: int
    window: int
    places: list[int]
    num_windows: int
    accuracy: Estimate
    accuracy_of_one: Estimate
    gain: Estimate
    changed: Estimate
    seconds_per_picture: float
    seconds_of_one: float

    @property
    def price(self) -> float:
        """How many times as long an answer takes as through one window."""
        return self.seconds_per_picture / max(self.seconds_of_one, 1e-12)

    @property
    def sentence(self) -> Note:
        """All of it in one sentence."""
        values = {
            "windows": self.num_windows,
            "window": self.window,
            "side": self.side,
            "n": self.accuracy.n,
            "accuracy": 100 * self.accuracy.value,
            "one": 100 * self.accuracy_of_one.value,
            "gain": 100 * self.gain.value,
            "low": 100 * self.gain.low,
            "high": 100 * self.gain.high,
            "price": self.price,
        }
        return Note(key="windows_sentence", values=values)
