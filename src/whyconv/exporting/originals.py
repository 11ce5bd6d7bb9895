"""A file that takes any size, tried on pictures at their own sizes: how near its resize comes to ``prepare``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import DataError, ParityError, PictureError
from whyconv.exporting.any_size import PIXELS, resize_alone
from whyconv.exporting.proof import Ask, Levels, ProofPictures
from whyconv.images.prepare import PicturePolicy, fit, full_pixels, prepare
from whyconv.model_file import Metadata
from whyconv.onnx_file.running import Session, open_session
from whyconv.results import Notify, Progress
from whyconv.results.export import ResizeDifference

# Pictures of all sizes are looked at one by one.
MOST_ORIGINALS = 500
# Along each of the two axes the numbers are rounded once, and weights of another precision can turn that by one.
_ALLOWED_LEVELS = 2


@dataclass(frozen=True)
class _Difference:
    """Of one picture: from ``prepare`` and from Pillow in gray levels, and of its answers."""

    levels: NDArray[np.int16]
    rounding: NDArray[np.int16]
    probability: float
    is_same_answer: bool


def compare_originals(ask: Ask, pictures: ProofPictures, metadata: Metadata, notify: Notify) -> ResizeDifference:
    """Asks about pictures as they are, and as ``prepare`` makes them.

    Args:
        ask: The exported file, which takes pixels of any size.
        pictures: At most ``MOST_ORIGINALS`` are looked at, evenly chosen; where none of these can be read, the first
            that can.
        metadata: Says how pictures are prepared.
        notify: Told how far it has come.

    Raises:
        ParityError: The resize in the file is not the one of ``prepare``, rounding aside.
        DataError: No picture can be read.
    """
    found = list(_differences(ask, pictures.some(MOST_ORIGINALS), metadata, notify))
    if not found:
        found = list(islice(_differences(ask, pictures, metadata, notify), MOST_ORIGINALS))
    if not found:
        raise DataError("None of the pictures for the proof can be read. Name others with --pictures FOLDER.")
    report = _summed_up(found)
    if report.largest_rounding > _ALLOWED_LEVELS:
        raise ParityError(
            f"The resize in the exported file differs from the one of `prepare` on the same pixels by up to "
            f"{report.largest_rounding} gray levels (allowed {_ALLOWED_LEVELS}). Nothing was written. Export without "
            "--any-size, and resize outside."
        )
    return report


def _differences(ask: Ask, pictures: ProofPictures, metadata: Metadata, notify: Notify) -> Iterator[_Difference]:
    policy, white = metadata.policy, metadata.array_white
    session = open_session(resize_alone(policy).SerializeToString(), 1, "the resize")
    for count, read in enumerate(pictures.contents, start=1):
        try:
            content = read()
            pixels, prepared = full_pixels(content, policy, white=white), prepare(content, policy, white=white)
        except PictureError:
            continue
        yield _difference(ask, session, pixels, prepared, policy)
        notify(Progress(stage="export_sizes", done=count, total=len(pictures.contents)))


def _difference(ask: Ask, session: Session, pixels: Levels, prepared: Levels, policy: PicturePolicy) -> _Difference:
    resized = session.run(None, {PIXELS: pixels[None]})[0][0].astype(np.int16)
    answers = ask(pixels[None])[0], ask(prepared[None])[0]
    return _Difference(
        levels=np.abs(resized - prepared),
        rounding=np.abs(resized - fit(pixels, policy)),
        probability=float(np.abs(answers[0] - answers[1]).max()),
        is_same_answer=bool(answers[0].argmax() == answers[1].argmax()),
    )


def _summed_up(found: Iterable[_Difference]) -> ResizeDifference:
    each = list(found)
    return ResizeDifference(
        n=len(each),
        num_same_answer=sum(one.is_same_answer for one in each),
        largest_difference=max(one.probability for one in each),
        mean_levels=float(np.mean([one.levels.mean() for one in each])),
        largest_levels=int(max(one.levels.max() for one in each)),
        largest_rounding=int(max(one.rounding.max() for one in each)),
        differing_fraction=float(np.mean([(one.rounding > 0).mean() for one in each])),
    )
