"""Which pictures a run was made from: digests of their content, kept in its folder, so that none is scored later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyconv import files
from whyconv.errors import ModelFileError
from whyconv.images.split import TRAIN, VALIDATION
from whyconv.images.survey import Survey
from whyconv.texts import as_typed
from whyconv.training.pictures import Division

SEEN = "digests.txt"
_NAMES = {TRAIN: "train", VALIDATION: "validation"}


def write_seen(folder: Path, division: Division) -> None:
    """Writes ``digests.txt``: for each training and validation picture its part, and digests of file and pixels."""
    survey = division.inspection.survey
    lines = [
        f"{name} {survey.digests[row].tobytes().hex()} {survey.pixel_digests[row].tobytes().hex()}\n"
        for part, name in _NAMES.items()
        for row in np.flatnonzero(division.parts == part).tolist()
    ]
    files.write_text(folder / SEEN, "".join(sorted(lines)))


def seen_parts(folder: Path, survey: Survey) -> NDArray[np.int8]:
    """Tells for each picture which part of a run it was in, by the bytes of its file or by its pixels.

    Returns:
        int8 (n,): 1 training, 2 validation, 0 neither.

    Raises:
        ModelFileError: The run's digests are missing or damaged.
    """
    known: dict[str, int] = {}
    number = {name: part for part, name in _NAMES.items()}
    try:
        # Sorted from training to validation: read backwards, the graver of two answers comes last.
        for line in reversed((folder / SEEN).read_text(encoding="utf-8").splitlines()):
            name, digest, pixel_digest = line.split()
            known |= {digest: number[name], pixel_digest: number[name]}
    except (OSError, ValueError, KeyError):
        raise ModelFileError(
            f"{folder / SEEN} is missing or damaged, so nobody can tell which pictures the run was trained on. "
            f"Make it anew with:  whyconv train --resume {as_typed(folder)}"
        ) from None
    rows = zip(survey.digests, survey.pixel_digests, survey.readable, strict=True)
    found = [
        known.get(file.tobytes().hex()) or known.get(pixels.tobytes().hex(), 0) if readable else 0
        for file, pixels, readable in rows
    ]
    return np.array(found, np.int8)
