"""The span of input pixels behind each output along one axis, as a pattern that repeats without end.

Borders are left out on purpose: output u of a plain path sees ``[start + u * jump, start + u * jump + size - 1]``,
wherever that lies. Behind an upsampling layer neighbors see spans that do not follow one another evenly, but do so
again after a few: hence a period.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from whyconv.counting.axis import Axis

Span = tuple[int, int]


@dataclass(frozen=True)
class Spans:
    """For output ``period * m + phase``: ``spans[phase]`` moved by ``m * step`` pixels.

    Attributes:
        step: Pixels from one period to the next.
        spans: First and last pixel for each phase; None where an output sees nothing.
    """

    step: int
    spans: tuple[Span | None, ...]

    @property
    def jump(self) -> Fraction:
        """Pixels from one output to the next, in the mean."""
        return Fraction(self.step, len(self.spans))

    def at(self, place: int) -> Span | None:
        """Returns the first and the last pixel behind output ``place``, which may lie off the picture."""
        turn, phase = divmod(place, len(self.spans))
        span = self.spans[phase]
        return (span[0] + turn * self.step, span[1] + turn * self.step) if span else None

    def behind(self, axis: Axis, *, is_transposed: bool) -> Spans:
        """Returns the spans of the outputs of a window that slides over the outputs of these."""
        period = len(self.spans)
        if is_transposed:
            length, step = period * axis.stride, self.step
        else:
            length = period // math.gcd(period, axis.stride)
            step = self.step * (length * axis.stride // period)
        hulls = (hull(self.at(place) for place in _taps(axis, output, is_transposed)) for output in range(length))
        return _shortest(Spans(step, tuple(hulls)))

    def joined(self, other: Spans) -> Spans:
        """Returns the union with spans of the same jump."""
        length = math.lcm(len(self.spans), len(other.spans))
        hulls = (hull((self.at(place), other.at(place))) for place in range(length))
        return _shortest(Spans(self.step * length // len(self.spans), tuple(hulls)))

    def spread(self, length: int) -> Spans:
        """Returns the spans where one output is used at ``length`` places."""
        return Spans(0, (self.at(0),)) if length > 1 else self


PICTURE = Spans(1, ((0, 0),))


def hull(spans: Iterable[Span | None]) -> Span | None:
    """Returns the least span that holds all of them; None where there is none."""
    present = [span for span in spans if span]
    if not present:
        return None
    return min(low for low, _ in present), max(high for _, high in present)


def center(span: Span) -> Fraction:
    """Returns the middle of a span, in pixels from the middle of the first pixel."""
    return Fraction(span[0] + span[1], 2)


def _taps(axis: Axis, output: int, is_transposed: bool) -> list[int]:
    """The places that one output's taps lie on, those off the borders too."""
    if not is_transposed:
        return [output * axis.stride - axis.padding[0] + tap * axis.dilation for tap in range(axis.kernel)]
    places = (output + axis.padding[0] - tap * axis.dilation for tap in range(axis.kernel))
    return [place // axis.stride for place in places if place % axis.stride == 0]


def _shortest(spans: Spans) -> Spans:
    """The same pattern with the shortest period."""
    period = len(spans.spans)
    for length in range(1, period):
        if period % length or spans.step * length % period:
            continue
        shorter = Spans(spans.step * length // period, spans.spans[:length])
        if all(shorter.at(place) == span for place, span in enumerate(spans.spans)):
            return shorter
    return spans
