"""What a person writes of a layer, such as ``32x32x3`` and ``--kernel 3x5``, as a convolution."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast, get_args

from whyconv.counting.axis import Axis, PaddingMode
from whyconv.counting.convolution import Convolution
from whyconv.errors import UsageError, nearest

Made = TypeVar("Made")

MOST = 1_000_000_000
# Taps and padding are walked over one by one along each axis.
MOST_WALKED = 10_000
AXIS_NAMES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_LETTERS = {1: "L", 2: "HxW", 3: "DxHxW"}
_EXAMPLES = {1: "1000x16", 2: "32x32x3", 3: "16x64x64x1"}


@dataclass(frozen=True)
class LayerWords:
    """A convolution as it is asked for on the command line.

    Attributes:
        shape: The axes, then the channels: "32x32x3"; without channels there is one.
        filters: Output channels.
        kernel: One number for all axes, or one for each: "3", "3x5".
        stride: Likewise.
        padding: Likewise, or a word: "valid" is none, "same" as much as makes ceil(length / stride) outputs, the odd
            place after the data.
        dilation: As ``kernel``.
        groups: Of channels.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        has_bias: One for each filter.
        axes: How many of the numbers in ``shape`` are axes: 1, 2 or 3.
    """

    shape: str
    filters: str = "1"
    kernel: str = "3"
    stride: str = "1"
    padding: str = "0"
    dilation: str = "1"
    groups: str = "1"
    padding_mode: str = "zeros"
    has_bias: bool = True
    axes: str = "2"

    def convolution(self) -> Convolution:
        """Returns the layer.

        Raises:
            UsageError: Names every word that cannot be, with what was expected.
        """
        reading = _Reading(self)
        found = reading.convolution()
        if found is None:
            mistakes = reading.mistakes
            head = [f"This layer cannot be: {len(mistakes)} mistakes"] if len(mistakes) > 1 else []
            raise UsageError("\n".join([*head, *(f"{'  ' if head else ''}{one}" for one in mistakes)]))
        return found


@dataclass
class _Reading:
    """Words being read; what cannot be is collected."""

    words: LayerWords
    mistakes: list[str] = field(default_factory=list)

    def convolution(self) -> Convolution | None:
        if self.words.axes not in ("1", "2", "3"):
            self.mistakes.append(f"--axes '{self.words.axes}': expected 1, 2 or 3.")
        num_axes = int(self.words.axes) if self.words.axes in ("1", "2", "3") else 2
        shape = self._shape(num_axes)
        filters, groups = self._number("filters"), self._number("groups")
        sizes = {name: self._sizes(name, num_axes, least=1) for name in ("kernel", "stride", "dilation")}
        padding = None if self.words.padding in ("same", "valid") else self._sizes("padding", num_axes, least=0)
        mode = self._mode()
        if self.mistakes:
            return None
        axes = self._axes(shape[:-1], sizes, padding, mode)
        made = self._kept(lambda: Convolution(axes, shape[-1], filters, groups, self.words.has_bias))
        return None if self.mistakes else made

    def _shape(self, num_axes: int) -> tuple[int, ...]:
        text = self.words.shape
        numbers = _numbers(text)
        form = f"{_LETTERS[num_axes]}xC or {_LETTERS[num_axes]}, such as {_EXAMPLES[num_axes]}"
        if numbers is None:
            self.mistakes.append(f"SHAPE '{text}': expected {form}.")
        elif len(numbers) not in (num_axes, num_axes + 1):
            other = {1: "; one axis is asked for with --axes 1", 4: "; three axes are asked for with --axes 3"}
            hint = other.get(len(numbers), "") if num_axes == 2 else ""
            self.mistakes.append(f"SHAPE '{text}': that many numbers ({len(numbers)}); expected {form}{hint}.")
        elif not all(1 <= number <= MOST for number in numbers):
            self.mistakes.append(f"SHAPE '{text}': expected numbers from 1 to {MOST:,}.")
        else:
            return (*numbers, 1) if len(numbers) == num_axes else numbers
        return (1,) * (num_axes + 1)

    def _number(self, name: str) -> int:
        text = getattr(self.words, name)
        numbers = _numbers(text)
        if numbers is None or len(numbers) != 1 or not 1 <= numbers[0] <= MOST:
            self.mistakes.append(f"--{name} '{text}': expected a whole number from 1 to {MOST:,}.")
            return 1
        return numbers[0]

    def _sizes(self, name: str, num_axes: int, *, least: int) -> tuple[int, ...]:
        text = getattr(self.words, name)
        numbers = _numbers(text)
        if (
            numbers is None
            or len(numbers) not in (1, num_axes)
            or not all(least <= number <= MOST_WALKED for number in numbers)
        ):
            each = f", or {'x'.join(['3', '5', '5'][:num_axes])} for one along each axis" if num_axes > 1 else ""
            word = f"; or same or valid.{nearest(text, ('same', 'valid'))}" if name == "padding" else "."
            expected = f"expected a whole number from {least} to {MOST_WALKED:,}{each}{word}"
            self.mistakes.append(f"--{name} '{text}': {expected}")
            return (1,) * num_axes
        return numbers * num_axes if len(numbers) == 1 else numbers

    def _mode(self) -> PaddingMode:
        mode, modes = self.words.padding_mode, get_args(PaddingMode)
        if mode not in modes:
            expected = f"expected {', '.join(modes[:-1])} or {modes[-1]}"
            self.mistakes.append(f"--padding-mode '{mode}': {expected}.{nearest(mode, modes)}")
        return cast(PaddingMode, mode)

    def _axes(
        self,
        lengths: tuple[int, ...],
        sizes: dict[str, tuple[int, ...]],
        padding: tuple[int, ...] | None,
        mode: PaddingMode,
    ) -> tuple[Axis, ...]:
        """The axes that can be; the reasons why others cannot are kept, equal ones once."""
        axes, refused = [], dict[str, list[str]]()
        for place, (name, length) in enumerate(zip(AXIS_NAMES[len(lengths)], lengths, strict=True)):
            own = {key: values[place] for key, values in sizes.items()}
            around = (padding[place],) * 2 if padding is not None else (0, 0)
            if self.words.padding == "same":
                around = _same_padding(length, **own)
                if max(around) > MOST_WALKED:
                    reason = f"--padding same is {max(around):,} places here; expected at most {MOST_WALKED:,}."
                    refused.setdefault(reason, []).append(f"{name} {length}")
                    continue
            try:
                axes.append(Axis(length, padding=around, mode=mode, **own))
            except UsageError as error:
                refused.setdefault(str(error), []).append(f"{name} {length}")
        self.mistakes += [f"{' and '.join(names)}: {reason}" for reason, names in refused.items()]
        return tuple(axes)

    def _kept(self, make: Callable[[], Made]) -> Made | None:
        """Returns what ``make`` makes; where it refuses, its reason is kept."""
        try:
            return make()
        except UsageError as error:
            self.mistakes.append(str(error))
            return None


def _numbers(text: str) -> tuple[int, ...] | None:
    """Returns ``(32, 32, 3)`` for "32x32x3"; "X", "×", "*" and "," separate as well. None where there is other text."""
    parts = [part.strip() for part in re.split("[xX×*,]", text)]
    is_whole = all(re.fullmatch("[+-]?[0-9]{1,18}", part) for part in parts)
    return tuple(map(int, parts)) if is_whole else None


def _same_padding(length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Returns the places before and after that make ceil(length / stride) outputs."""
    reach = dilation * (kernel - 1) + 1
    total = max(0, (-(-length // stride) - 1) * stride + reach - length)
    return total // 2, total - total // 2
