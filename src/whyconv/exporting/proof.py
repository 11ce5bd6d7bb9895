"""The proof of an export: real pictures, answered by what was trained and by what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import DataError, ParityError, PictureError
from whyconv.export import TOLERANCE, parity_of
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources import list_images
from whyconv.images.sources.listing import read_file
from whyconv.images.split import TEST, TRAIN, VALIDATION
from whyconv.images.threads import map_in_order
from whyconv.model_file import Metadata
from whyconv.results import Notify, Parity, Progress
from whyconv.training.pictures import Division
from whyconv.training.pixel_rows import evenly_chosen

Content = bytes | NDArray[np.generic]
# 8-bit pixels (n, h, w, c), 0-255.
Levels = NDArray[np.uint8]
# Prepared pixels to probabilities (n, classes).
Ask = Callable[[Levels], NDArray[np.floating]]

BATCHES = (1, 2, 17)
_AT_ONCE = 32
_PARTS = {TEST: "test", VALIDATION: "validation", TRAIN: "train"}


@dataclass(frozen=True, eq=False)
class ProofPictures:
    """Pictures that both sides are asked about.

    Attributes:
        name: Of the part of the run's data; "pictures" for others.
        contents: Functions that give a file's content or an array, in a fixed order.
    """

    name: str
    contents: list[Callable[[], Content]]

    def some(self, most: int) -> ProofPictures:
        """At most so many of them, evenly chosen."""
        return ProofPictures(self.name, [self.contents[row] for row in evenly_chosen(len(self.contents), most)])


def pictures_of_run(division: Division) -> ProofPictures:
    """The test part of a run's pictures; where there is none its validation part, else its training part."""
    part = next(part for part in _PARTS if len(division.indices(part)))
    read = division.inspection.pictures.read
    return ProofPictures(_PARTS[part], [partial(read, row) for row in division.indices(part).tolist()])


def pictures_in(folder: Path) -> ProofPictures:
    """The pictures in a folder that can be read.

    Raises:
        DataError: There are none.
    """
    found: list[Callable[[], Content]] = [partial(read_file, path) for path in list_images([folder])]
    if not found:
        raise DataError(f"{folder} holds no picture. Expected --pictures FOLDER with pictures such as the run's own.")
    return ProofPictures("pictures", found)


def prove(expected: Ask, found: Ask, pictures: ProofPictures, metadata: Metadata, notify: Notify) -> Parity:
    """Compares two ways to the same answer on every picture that can be read.

    Args:
        expected: What was trained.
        found: What was written.
        pictures: At least one of them must be readable.
        metadata: Says how pictures are prepared.
        notify: Told how far it has come.

    Raises:
        DataError: No picture can be read.
    """
    total, parts = len(pictures.contents), []
    for count, pixels in enumerate(_batches(pictures, metadata), start=1):
        parts.append(parity_of(np.asarray(expected(pixels), np.float64), np.asarray(found(pixels), np.float32)))
        notify(Progress(stage="export_proof", done=min(count * _AT_ONCE, total), total=total))
    if not parts:
        raise _none_readable(pictures)
    return Parity(
        n=sum(each.n for each in parts),
        num_same_answer=sum(each.num_same_answer for each in parts),
        largest_difference=float(np.max([each.largest_difference for each in parts])),  # also where one is no number
        tolerance=TOLERANCE,
    )


def require_equal(parity: Parity, what: str) -> None:
    """Raises ParityError where an answer differs, or a probability by more than the tolerance."""
    if not parity.is_equal:
        raise ParityError(
            f"{what} would answer otherwise than the trained network: {parity.num_same_answer} of {parity.n} first "
            f"answers agree, probabilities differ by up to {parity.largest_difference:.2g} (allowed "
            f"{parity.tolerance:g}). Nothing was written. Please report this with the versions of `whyconv doctor`."
        )


def require_free_batch(ask: Ask, pictures: ProofPictures, metadata: Metadata) -> None:
    """Makes sure that the answers are the same for 1, 2 and 17 pictures at once: the first ones that can be read.

    Raises:
        ParityError: They are not.
        DataError: No picture can be read.
    """
    most = max(BATCHES)
    pixels = next(_batches(pictures, metadata, most), None)
    if pixels is None:
        raise _none_readable(pictures)
    pixels = np.ascontiguousarray(np.resize(pixels, (most, *pixels.shape[1:])))
    together = np.asarray(ask(pixels))
    for size in BATCHES:
        asked = [ask(np.ascontiguousarray(pixels[start : start + size])) for start in range(0, most, size)]
        difference = float(np.abs(np.concatenate(asked) - together).max())
        if not difference <= TOLERANCE:
            raise ParityError(
                f"Asked about {size} pictures at once, the exported network answers otherwise than about {most}: "
                f"probabilities differ by up to {difference:.2g} (allowed {TOLERANCE:g}). Nothing was written."
            )


def _none_readable(pictures: ProofPictures) -> DataError:
    total = len(pictures.contents)
    return DataError(f"None of {total} pictures for the proof can be read. Name others with --pictures FOLDER.")


def _batches(pictures: ProofPictures, metadata: Metadata, at_once: int = _AT_ONCE) -> Iterator[Levels]:
    """Yields prepared pixels of those that can be read, decoded by threads while the last are answered."""
    prepared = map_in_order(partial(_prepare, metadata.policy, metadata.array_white), pictures.contents)
    readable = (pixels for pixels in prepared if pixels is not None)
    while batch := list(islice(readable, at_once)):
        yield np.stack(batch)


def _prepare(policy: PicturePolicy, white: int | None, read: Callable[[], Content]) -> Levels | None:
    try:
        return prepare(read(), policy, white=white)
    except PictureError:
        return None
