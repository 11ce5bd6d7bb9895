"""What pixel values in arrays mean: one rule for the whole of an array, by its type and range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whyconv.images.array_levels import UNCLEAR, White, are_unclear, white_of
from whyconv.images.sources.array_files import Rows
from whyconv.images.sources.array_values import Findings
from whyconv.results import Note

_ROWS_AT_ONCE_BYTES = 1 << 24
_NOTES = {1: "array_fractions", 255: "array_eight_bit", 65535: "array_sixteen_bit"}


@dataclass(frozen=True)
class PixelRule:
    """How the values of an array are read.

    Attributes:
        key: Name of the array.
        dtype: As stored.
        low: Least value.
        high: Greatest value.
        white: The value that stands for white.
    """

    key: str
    dtype: np.dtype[np.generic]
    low: float
    high: float
    white: White

    @property
    def rounded_to(self) -> np.dtype[np.generic] | None:
        """The type that values are rounded to; None where they are read as they are."""
        if self.white == 1:
            return np.dtype(np.bool_) if self.dtype.kind in "iu" else None
        return None if self.dtype == np.uint8 else np.dtype(np.uint8 if self.white == 255 else np.uint16)

    @property
    def is_clipped(self) -> bool:
        """Whether fractions lie a hair outside of 0 to 1, where they are clipped."""
        return self.white == 1 and (self.low < 0 or self.high > 1)

    def notes(self) -> list[Note]:
        """Says how the array is read, where its type does not say it."""
        if self.dtype == np.bool_ or (self.dtype == np.uint8 and self.white == 255):
            return []
        values = {"array": self.key, "type": str(self.dtype), "low": self.spelled(self.low)}
        key = "array_clipped" if self.is_clipped else _NOTES[self.white]
        key = "array_binary" if self.rounded_to == np.bool_ else key
        return [Note(key=key, values={**values, "high": self.spelled(self.high)})]

    def spelled(self, value: float) -> str:
        """Writes a value with as many digits as tell it from its neighbors."""
        return _spelled(value, self.dtype)


def rule_of(rows: Rows, key: str, findings: Findings) -> PixelRule | None:
    """Decides what pixel values mean, by the range of the whole array and not picture by picture.

    One dark picture must not be read by another rule than its neighbors. Numbers are scanned once, uint8 until one is
    above 1, and ``white_of`` decides.

    Returns:
        The rule; None, and a problem, where there is none.
    """
    dtype = rows.dtype
    if dtype == np.bool_:
        return PixelRule(key, dtype, 0, 1, 1)
    if dtype.kind not in "iuf":
        findings.problems.append(f"{key} holds {dtype}, expected numbers")
        return None
    try:
        low, high = _range(rows, enough=1 if dtype == np.uint8 else np.inf)
    except OSError as error:
        findings.problems.append(f"{key} cannot be read: {error}")
        return None
    white = white_of(dtype, low, high)
    if white is not None:
        return PixelRule(key, dtype, low, high, white)
    held = f"{key} ({dtype}) holds values from {_spelled(low, dtype)} to {_spelled(high, dtype)}"
    if dtype.kind == "f" and are_unclear(low, high):
        findings.problems.append(f"{held}, {UNCLEAR}")
    else:
        findings.problems.append(
            f"{held}, expected 0 to 255, whole numbers 0 to 65535, or fractions 0 to 1 (pictures before any "
            "normalization)"
        )
    return None


def read_alike(rules: Sequence[PixelRule], findings: Findings) -> list[PixelRule]:
    """Reads arrays of one type by the rule of the widest range: a dark test part is dark, not on another scale.

    Whole numbers up to 255 beside such up to 65535 are dark. Nothing but 1 beside 255 is no dark part but another
    scale, and a problem: on either rule the pictures of one of them would be black or white.

    Args:
        rules: Of the arrays that belong together.
        findings: Problems, and the notes on how each is read, are added here.
    """
    alike = []
    for rule in rules:
        # An array of zeros is black on every scale.
        others = [other for other in rules if other.dtype == rule.dtype and other.high > 0] or [rule]
        least, most = (choose(others, key=lambda other: other.white) for choose in (min, max))
        if least.white == 1 < most.white and rule is most:
            findings.problems.append(
                f"{least.key} ({least.dtype}) holds values from {least.spelled(least.low)} to "
                f"{least.spelled(least.high)} and {most.key} from {most.spelled(most.low)} to "
                f"{most.spelled(most.high)}: one is on another scale. Bring both to the same, 0 to 1 or 0 to 255"
            )
        alike.append(replace(rule, white=most.white))
    findings.notes.extend(note for rule in alike for note in rule.notes())
    return alike


def _spelled(value: float, dtype: np.dtype[np.generic]) -> str:
    return str(dtype.type(value)).removesuffix(".0")


def _range(rows: Rows, enough: float) -> tuple[float, float]:
    """Returns the least and the greatest value that is finite; reads no further where one is above ``enough``."""
    n = rows.shape[0]
    row_bytes = max(1, int(np.prod(rows.shape[1:], dtype=np.int64)) * rows.dtype.itemsize)
    step = max(1, _ROWS_AT_ONCE_BYTES // row_bytes)
    low, high = np.inf, -np.inf
    for start in range(0, n, step):
        block = np.asarray(rows[start : start + step])
        block = block[np.isfinite(block)] if block.dtype.kind == "f" else block
        if block.size:
            low, high = min(low, float(block.min())), max(high, float(block.max()))
        if high > enough:
            break
    return (low, high) if low <= high else (0.0, 0.0)
