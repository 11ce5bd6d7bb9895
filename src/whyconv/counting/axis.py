"""One axis of a window that slides over a picture: which inputs meet which outputs, counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import UsageError

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
            wrong.append(f"kernel {self.kernel}: it reaches over {self.reach} places, and there are only {padded}")
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
        return [self._outputs_inside(tap * self.dilation - self.padding[0]) for tap in range(self.kernel)]

    def _outputs_inside(self, offset: int) -> int:
        """Outputs i with 0 <= i * stride + offset < length."""
        first = max(0, -(offset // self.stride))
        last = min(self.output_length - 1, (self.length - 1 - offset) // self.stride)
        return max(0, last - first + 1)

    @property
    def num_taps_on_data(self) -> int:
        """Pairs of an output and a tap that meet data."""
        return sum(self.tap_counts)

    @cached_property
    def num_connections(self) -> int:
        """Different pairs of an input and an output that meet.

        With "zeros" no two taps of an output share an input. A circular axis shorter than the reach, and the borders
        that reflect or replicate, bring several taps of one output to the same input: such a pair counts once.
        """
        if self.mode == "zeros":
            return self.num_taps_on_data
        if self.mode == "circular":
            return self.output_length * min(self.kernel, self.length // math.gcd(self.length, self.dilation))
        first, last = self._outputs_off_the_border()
        inside = max(0, last - first + 1)
        border = [output for output in range(self.output_length) if not first <= output <= last]
        return inside * self.kernel + sum(len(np.unique(row)) for row in self.sources(np.array(border, np.int64)))

    def _outputs_off_the_border(self) -> tuple[int, int]:
        """The first and the last output all of whose taps lie inside; empty where the first is greater."""
        first = -(-self.padding[0] // self.stride)
        last = (self.length - self.reach + self.padding[0]) // self.stride
        return first, min(last, self.output_length - 1)

    def sources(self, outputs: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """The input that each tap of each output meets, shape (outputs, kernel); -1 where there is no data.

        Args:
            outputs: Which ones (n,); None for all.
        """
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


def _reflect(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places mirrored at the first and the last input, which are not repeated."""
    period = max(1, 2 * (length - 1))
    folded = places % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros_like(places)
