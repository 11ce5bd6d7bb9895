"""The index of a pixel store: which picture each row is, and what it was like when it was read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from whyconv.images.cache import INDEX_NAME, pack, read_arrays, unpack, write_arrays
from whyconv.images.content import DIGEST_BYTES, PIXEL_RULES, Stats


@dataclass(frozen=True, eq=False)
class Index:
    """One entry for each of n rows.

    Attributes:
        names: Of the pictures.
        stats: Sizes, times and marks when they were read.
        digests: Of their contents, uint8 (n, 16); zeros where a file could not be opened.
        reasons: Why some cannot be read, by row.
        file: Name of the file of pixels, in the same folder.
    """

    names: list[str]
    stats: Stats
    digests: np.ndarray = field(default_factory=lambda: np.zeros((0, DIGEST_BYTES), np.uint8))
    reasons: dict[int, str] = field(default_factory=dict)
    file: str = ""

    def places(self, names: list[str]) -> np.ndarray:
        """Returns the row of each name, int64; -1 where there is none."""
        if names == self.names:
            return np.arange(len(names), dtype=np.int64)
        row_of = {name: row for row, name in enumerate(self.names)}
        return np.array([row_of.get(name, -1) for name in names], np.int64)

    def reasons_at(self, places: np.ndarray) -> dict[int, str]:
        """Returns the reasons of the rows at ``places``, by their new position."""
        return {new: self.reasons[old] for new, old in enumerate(places.tolist()) if old in self.reasons}

    def with_stats(self, stats: Stats) -> Index:
        """Returns the same index with other sizes, times and marks."""
        return replace(self, stats=stats)


def write_index(folder: Path, where: str, index: Index) -> None:
    """Puts an index in place of the one in ``folder``, in one step."""
    failed = sorted(index.reasons)
    arrays = {
        "where": np.array(str(Path(where).resolve())),
        "names": pack(index.names),
        "sizes": index.stats.sizes,
        "times": index.stats.times,
        "marks": index.stats.marks,
        "digests": index.digests,
        "failed": np.array(failed, np.int64),
        "reasons": pack(index.reasons[row] for row in failed),
        "pixels": np.array(index.file),
        "pixel_rules": np.array(PIXEL_RULES),
    }
    write_arrays(folder / INDEX_NAME, arrays)


def read_index(folder: Path) -> Index | None:
    """Reads the index in ``folder``; None where there is none, it is damaged, or was made by older rules."""
    arrays = read_arrays(folder / INDEX_NAME)
    if arrays is None:
        return None
    try:
        if arrays["pixel_rules"] != PIXEL_RULES:
            return None
        stats = Stats(arrays["sizes"], arrays["times"], arrays["marks"])
        names = unpack(arrays["names"], len(stats.sizes))
        failed = arrays["failed"].tolist()
        reasons = dict(zip(failed, unpack(arrays["reasons"], len(failed)), strict=True))
        file = Path(str(arrays["pixels"])).name
        return Index(names, stats, arrays["digests"].reshape(len(names), DIGEST_BYTES), reasons, file)
    except (KeyError, ValueError):
        return None
