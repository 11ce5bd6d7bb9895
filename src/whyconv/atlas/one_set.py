"""The control square on one set of pictures, in as many pieces as it is stopped into."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from whyconv import __version__, files
from whyconv.atlas.places import RECOGNIZED, NamedPlace, Reading
from whyconv.errors import DataError, StoppedError
from whyconv.explaining import SIDES, settle_question
from whyconv.images.prepare import PicturePolicy
from whyconv.images.split import TRAIN
from whyconv.inspection import inspect
from whyconv.results import Note, Notify, Square, SquareProtocol
from whyconv.results.atlas import AtlasSet
from whyconv.results.record import Record
from whyconv.results.why import Question
from whyconv.settings import TrainSettings
from whyconv.study import (
    AT_LARGEST_SIZE,
    Extent,
    KeptTrials,
    SquarePictures,
    atlas_scores,
    even_splits,
    largest_fitting,
    make_protocol,
    make_study,
    measure_square,
    predict_seconds,
    rescale,
    tell_bill,
)
from whyconv.training.pictures import Division, channel_statistics, channels_for, divide, load_parts, side_for
from whyconv.training.pixel_rows import some
from whyconv.training.stopping import stop_requests
from whyconv.untrusted import sound_json_in

USUAL_MINUTES = 3.0
_LEAST_TRAIN, _LEAST_TEST = 10, 2


class Piece(Record):
    """What is known of one set, kept so that a stopped atlas goes on with the very same trainings.

    Attributes:
        question: What was asked.
        version: Of whyconv.
        protocol: That was settled on when the set was met first; what fits into minutes is timed once.
        seconds: Spent so far.
        square: Once it is measured.
    """

    question: Question
    version: str
    protocol: SquareProtocol
    seconds: float = 0.0
    square: Square | None = None


def measure_set(  # noqa: PLR0913
    place: NamedPlace,
    pieces: Path,
    side: int | None,
    minutes: float,
    seed: int,
    notify: Notify,
    *,
    reading: Reading = RECOGNIZED,
    store: Path | None = None,
) -> AtlasSet:
    """Reads and divides a set, and measures its square at the side and in the minutes that were asked for.

    Args:
        place: Of the set.
        pieces: Folder where what is known of each set is kept.
        side: In pixels, or None.
        minutes: For the trainings.
        seed: Of everything random.
        notify: Told of notes and progress.
        reading: How the pictures lie.
        store: Folder for decoded pictures; None is the default one.

    Raises:
        DataError: The pictures cannot be read, or are too few.
        StoppedError: Ctrl-C or SIGTERM; what was trained is kept.
    """
    began = time.perf_counter()
    how = reading._asdict()
    settings = TrainSettings.of({"pictures": place.where, "seed": seed, **how}, where="whyconv atlas")
    inspection = inspect(place.where, store=store, notify=notify, **how)
    division = divide(inspection, settings, seed=seed, notify=notify)
    question = settle_question(side, minutes, False, seed, side_for(inspection))
    pictures = _pictures_at(division, question.side, store, notify)
    path = pieces / f"{division.digest}-{question.side}.json"
    piece = _read_piece(path, question)
    if piece is None or piece.square is None:
        with stop_requests() as stop_requested:
            piece = piece or _decide(question, pictures, _kept(path, division), began, notify)
            piece = _measure(piece, pictures, division, path, _stopper(stop_requested), notify)
    else:
        notify(Note(key="atlas_saved", values={"path": str(path)}))
    assert piece.square is not None
    return as_set(
        place,
        piece.square,
        num_train=len(pictures.train),
        num_classes=pictures.num_classes,
        seconds=piece.seconds,
    )


def _kept(path: Path, division: Division) -> KeptTrials:
    """Results of trainings on a set, beside what else is known of it."""
    return KeptTrials(path.with_suffix(".jsonl"), f"{division.digest} {__version__}")


def _stopper(stop_requested: Callable[[], int]) -> Callable[[], None]:
    def check_stop() -> None:
        if code := stop_requested():
            raise StoppedError("Stopped; trainings that had ended are kept. Go on with the same command.", code)

    return check_stop


def _read_piece(path: Path, question: Question) -> Piece | None:
    try:
        piece = Piece.model_validate_json(sound_json_in(path))
    except (OSError, ValueError):
        return None
    return piece if (piece.question, piece.version) == (question, __version__) else None


def _pictures_at(division: Division, side: int, store: Path | None, notify: Notify) -> SquarePictures:
    policy = PicturePolicy(side=side, channels=channels_for(division.inspection))
    train, validation, test = load_parts(division, policy, store=store, notify=notify)
    seen, alone = some(train.data, division.without_copies(TRAIN)), some(test.data, test.independent)
    if len(alone) < _LEAST_TEST or len(seen) < _LEAST_TRAIN:
        raise DataError(
            f"The set has {len(seen)} training and {len(alone)} test picture(s) that are no copies; expected at least "
            f"{_LEAST_TRAIN} and {_LEAST_TEST}. Add pictures."
        )
    mean, std = channel_statistics(train.data.pixels)
    classes = division.inspection.pictures.classes
    return SquarePictures(seen, validation.data, alone, len(classes), mean, std)


def _decide(question: Question, pictures: SquarePictures, kept: KeptTrials, began: float, notify: Notify) -> Piece:
    """The protocol that fits into the minutes; tells the bill."""
    channels = pictures.train.pixels.shape[3]
    draft = make_protocol(
        AT_LARGEST_SIZE[-1],
        side=next(one for one in SIDES if one == question.side),
        channels=1 if channels == 1 else 3,
        num_train=len(pictures.train),
        num_classes=pictures.num_classes,
        seed=question.seed,
    )
    predict = predict_seconds(make_study(pictures, draft), kept)

    def protocol_of(extent: Extent) -> SquareProtocol:
        return rescale(draft, extent, len(pictures.train), pictures.num_classes)

    left = 60 * (question.minutes or USUAL_MINUTES) - (time.perf_counter() - began)
    extent = largest_fitting(AT_LARGEST_SIZE, lambda one: predict(protocol_of(one)), left)
    protocol = protocol_of(extent)
    seconds = predict(protocol)
    if seconds > left:
        notify(Note(key="square_no_time", values={"minutes": question.minutes}, level="warning"))
    tell_bill(protocol, kept, seconds, notify)
    return Piece(question=question, version=__version__, protocol=protocol)


def _measure(
    piece: Piece,
    pictures: SquarePictures,
    division: Division,
    path: Path,
    check_stop: Callable[[], None],
    notify: Notify,
) -> Piece:
    """Measures the square of a set; the time is kept even where it is stopped."""
    began = time.perf_counter()
    files.write_text(path, piece.model_dump_json(indent=2) + "\n")
    try:
        square = measure_square(
            pictures,
            piece.protocol,
            notify,
            check_stop=check_stop,
            kept=_kept(path, division),
            digest=division.digest,
            version=__version__,
        )
        piece = piece.model_copy(update={"square": square})
    finally:
        seconds = round(piece.seconds + time.perf_counter() - began, 1)
        piece = piece.model_copy(update={"seconds": seconds})
        files.write_text(path, piece.model_dump_json(indent=2) + "\n")
    return piece


def as_set(place: NamedPlace, square: Square, *, num_train: int, num_classes: int, seconds: float) -> AtlasSet:
    """A control square as a set of the atlas."""
    return AtlasSet(
        name=place.name,
        where=place.where,
        digest=square.digest,
        num_train=num_train,
        num_test=square.num_test,
        num_classes=num_classes,
        largest_class_fraction=square.largest_class_fraction,
        protocol=square.protocol,
        learning_rates=square.learning_rates,
        scores=atlas_scores(square),
        splits=even_splits(square),
        seconds=seconds,
    )
