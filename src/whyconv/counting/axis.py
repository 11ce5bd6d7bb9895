"""One axis of a window that slides over a picture: which inputs meet which outputs, counted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from whyconv.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


@dataclass(frozen=True)
class Axis:
    """A kernel that slides along one axis.

    Tap j of output i lies at place ``i * stride - before + j * dilation``. Outside of [0, length) there is no data
    with mode "zeros"; the other modes take the data from a place inside.

    Attributes:
        length: Inputs, >= 1.
        kernel: Taps, >= 1.
        stride: Between neighboring outputs, >= 1.
        padding: Places added before and after, >= 0.
        dilation: Between neighboring taps, >= 1.
        mode: What lies in the padding.
        num_outputs: Where it differs from the usual floor, as in pooling with ceil_mode and in the adjoint of a
            transposed convolution; 0: as usual.

    Raises:
        UsageError: A number is out of range, the kernel does not fit, or the mode cannot fill so much padding.
    """

    length: int
    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    mode: PaddingMode = "zeros"
    num_outputs: int = 0

    def __post_init__(self) -> None:
        least = {"length": 1, "kernel": 1, "stride": 1, "dilation": 1}
        wrong = [
            f"{name} {getattr(self, name)} (at least {low})" for name, low in least.items() if self._below(name, low)
        ]
        wrong += [f"padding {pad} (at least 0)" for pad in self.padding if pad < 0]
        most = {"reflect": self.length - 1, "circular": self.length}.get(self.mode)
        if most is not None and max(self.padding) > most:
            wrong.append(
                f"padding {max(self.padding)} (mode {self.mode} can fill at most {most} of {self.length} places)"
            )
        if not wrong and self.output_length < 1:
            padded = self.length + sum(self.padding)
            wrong.append(
                f"kernel {self.kernel}: it reaches over {self.reach} places, and there are only {padded}; expected a "
                "smaller kernel or dilation, or more padding"
            )
        if wrong:
            raise UsageError("This window cannot slide: " + "; ".join(wrong) + ".")

    def _below(self, name: str, low: int) -> bool:
        return int(getattr(self, name)) < low

    @property
    def reach(self) -> int:
        """Places from the first to the last tap: dilation * (kernel - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def output_length(self) -> int:
        """floor((length + padding - reach) / stride) + 1.

        References:
            Dumoulin, Visin, *A guide to convolution arithmetic for deep learning* (2016), arXiv 1603.07285.
        """
        return self.num_outputs or (self.length + sum(self.padding) - self.reach) // self.stride + 1

    @cached_property
    def tap_counts(self) -> list[int]:
        """For each tap, the number of outputs at which it meets data: how often one weight is used on this axis."""
        if self.mode != "zeros":
            return [self.output_length] * self.kernel
        return [max(0, last - first + 1) for first, last in map(self._outputs_on_data, range(self.kernel))]

    def _outputs_on_data(self, tap: int) -> tuple[int, int]:
        """The first and the last output at which ``tap`` lies in [0, length); none where the first is greater."""
        offset = tap * self.dilation - self.padding[0]
        first = max(0, -(offset // self.stride))
        return first, min(self.output_length - 1, (self.length - 1 - offset) // self.stride)

    @property
    def num_taps_on_data(self) -> int:
        """Pairs of an output and a tap that meet data."""
        return sum(self.tap_counts)

    @cached_property
    def num_outputs_on_data(self) -> int:
        """Outputs of which at least one tap meets data: all but those that lie in zero padding with every tap."""
        if self.mode != "zeros":
            return self.output_length
        return _num_covered(map(self._outputs_on_data, range(self.kernel)))

    @cached_property
    def num_inputs_met(self) -> int:
        """Inputs that at least one tap of one output meets: strides can jump over some."""
        if self.mode != "zeros":
            import numpy as np

            return len(np.unique(self.sources()))
        return self._num_places(map(self._outputs_on_data, range(self.kernel)))

    @cached_property
    def num_places_reached(self) -> int:
        """The same with the places in zero padding, which are no inputs."""
        if self.mode != "zeros":
            return self.num_inputs_met
        return self._num_places([(0, self.output_length - 1)] * self.kernel)

    def _num_places(self, outputs: Iterable[tuple[int, int]]) -> int:
        """Different places of taps, each at the outputs from a first to a last one: rows whose step is the stride."""
        rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for tap, (first, last) in enumerate(outputs):
            turn, rest = divmod(tap * self.dilation, self.stride)
            rows[rest].append((first + turn, last + turn))
        return sum(map(_num_covered, rows.values()))

    @cached_property
    def num_connections(self) -> int:
        """Different pairs of an input and an output that meet.

        With "zeros" no two taps of an output share an input. A circular axis shorter than the reach, and the borders
        that reflect or replicate, bring several taps of one output to the same input: such a pair counts once.
        """
        if self.mode == "zeros":
            return self.num_taps_on_data
        if self.mode == "circular":
            return self.output_length * self.num_inputs_at(0)
        inside = range(*self._outputs_off_the_border())
        return len(inside) * self.kernel + sum(self._border_counts)

    @cached_property
    def inputs_per_output(self) -> tuple[int, int]:
        """The least and the greatest number of different inputs that one output meets."""
        if self.mode == "circular":
            return (self.num_inputs_at(0),) * 2
        first, end = self._outputs_off_the_border()
        counts = {*self._border_counts, *([self.kernel] if first < end else [])}
        return min(counts), max(counts)

    def num_inputs_at(self, output: int) -> int:
        """The number of different inputs that one output meets, without walking over its taps."""
        start, step, n = output * self.stride - self.padding[0], self.dilation, self.length
        if self.mode == "circular":
            return min(self.kernel, n // math.gcd(n, step))
        end = start + self.reach - 1
        inside = _marks(start, end, step, 0, n - 1)
        match self.mode:
            case "zeros":
                return inside
            case "replicate":  # everything before the first input is the first, everything after the last the last
                below = int(start < 0 and not _marks(start, end, step, 0, 0))
                above = int(end > n - 1 and not _marks(start, end, step, n - 1, n - 1))
                return inside + (below + above if n > 1 else int(inside == 0))
            case "reflect":
                return _num_folded(start, end, step, n)

    @cached_property
    def _border_counts(self) -> list[int]:
        """Of each output of which a tap may lie outside, the number of different inputs that it meets."""
        first, end = self._outputs_off_the_border()
        border = (*range(min(first, self.output_length)), *range(end, self.output_length))
        return [self.num_inputs_at(output) for output in border]

    def _outputs_off_the_border(self) -> tuple[int, int]:
        """The first output all of whose taps lie inside, and the first after it that does not; the same: none."""
        first = -(-self.padding[0] // self.stride)
        last = (self.length - self.reach + self.padding[0]) // self.stride
        return first, max(first, min(last, self.output_length - 1) + 1)

    def sources(self, outputs: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """The input that each tap of each output meets, shape (outputs, kernel); -1 where there is no data.

        Args:
            outputs: Which ones (n,); None for all.
        """
        import numpy as np

        chosen = np.arange(self.output_length) if outputs is None else outputs
        places = chosen[:, None] * self.stride - self.padding[0] + np.arange(self.kernel) * self.dilation
        n = self.length
        match self.mode:
            case "circular":
                return np.asarray(places % n)
            case "replicate":
                return np.asarray(np.clip(places, 0, n - 1))
            case "reflect":
                return _reflect(places, n)
            case "zeros":
                return np.where((places >= 0) & (places < n), places, -1)


def _num_covered(intervals: Iterable[tuple[int, int]]) -> int:
    """How many whole numbers lie in at least one of the intervals, both ends included; empty where they cross."""
    total, counted_up_to = 0, -1
    for first, last in sorted(intervals):
        if last >= first:
            total += max(0, last - max(first - 1, counted_up_to))
            counted_up_to = max(counted_up_to, last)
    return total


def _marks(start: int, end: int, step: int, low: int, high: int) -> int:
    """How many of start, start + step, ... end lie in [low, high]; ``end`` is one of them."""
    first, last = _row(start, end, step, low, high)
    return max(0, (last - first) // step + 1)


def _num_folded(start: int, end: int, step: int, length: int) -> int:
    """How many inputs start, start + step, ... end fall on when what lies outside is mirrored once at either end.

    The marks inside and the two mirror images are three rows of inputs with the same step. Rows that are not in step
    share nothing; those that are, share where they overlap.
    """
    last = length - 1
    folds = [
        _row(start, end, step, 0, last),
        _row(-end, -start, step, 1, last),  # mirrored at the first input
        _row(2 * last - end, 2 * last - start, step, 0, last - 1),  # at the last
    ]
    total, seen = 0, dict[int, int]()  # rest by the step -> the last input counted
    for first, final in sorted(row for row in folds if row[0] <= row[1]):
        rest = first % step
        total += max(0, (final - max(first, seen.get(rest, first - step) + step)) // step + 1)
        seen[rest] = max(final, seen.get(rest, final))
    return total


def _row(start: int, end: int, step: int, low: int, high: int) -> tuple[int, int]:
    """The first and the last of start, start + step, ... end that lie in [low, high]."""
    first = start + max(0, -(-(low - start) // step)) * step
    return first, end - max(0, -(-(end - high) // step)) * step


def _reflect(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places mirrored at the first and the last input, which are not repeated."""
    import numpy as np

    period = max(1, 2 * (length - 1))
    folded = places % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros_like(places)
