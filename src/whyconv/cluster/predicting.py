"""Pictures in pieces, answered by Ray Data: one row for each picture, whatever dies on the way."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from whyconv.cluster.engine import connected, require_address
from whyconv.cluster.pieces import LOCK, RECOGNIZER, PiecesPlan, begin, missing_pieces, piece_path, plan_for
from whyconv.errors import DataError, UsageError, WhyconvError
from whyconv.images.sources import list_images
from whyconv.images.sources.listing import read_file
from whyconv.lock import sole_writer
from whyconv.predictions import writing_predictions
from whyconv.recognizer import Recognizer
from whyconv.results import Note, Notify, Progress, ignore
from whyconv.results.record import Record


class Answered(Record):
    """What came out.

    Attributes:
        to: The folder of Parquet files.
        num_pictures: Rows there, one for each picture.
        num_unread: Of these, pictures that could not be read: rows with the reason.
        num_pieces: Files there.
        num_before: Files that were there already.
        num_workers: Processes that answered; 0 where all files were there already.
        start_seconds: Until Ray could be used.
        seconds: Of answering, without that.
    """

    to: str
    num_pictures: int
    num_unread: int
    num_pieces: int
    num_before: int
    num_workers: int
    start_seconds: float
    seconds: float


def predict_on_cluster(  # noqa: PLR0913
    recognizer: Recognizer,
    paths: Sequence[str | Path],
    to: Path,
    *,
    cluster: str,
    batch: int = 32,
    top: int = 3,
    sets: float | None = None,
    notify: Notify = ignore,
) -> Answered:
    """Answers pictures with as many processes as a cluster has processors, into Parquet files in a folder.

    A piece of at most 1,024 pictures is answered by one process, and its file is put in place when it is whole. Where a
    process or a machine is lost, Ray gives its piece to another; asked again, the command answers the pieces that are
    missing. So there is exactly one row for each picture, in the order of the list. Paths are held in memory, some 300
    bytes for each of 22 letters; pictures are not.

    Args:
        recognizer: Is sent to every process.
        paths: Pictures, and folders of pictures; every machine must see them, and ``to``, at the same place.
        to: The folder; made where it is missing.
        cluster: ``local``, ``auto`` or ``ray://HOST:PORT``.
        batch: Pictures that the network sees at once.
        top: Labels for each picture.
        sets: Level of answer sets, or None.
        notify: Told of notes and progress.

    Raises:
        UsageError: The address is none, ``batch`` or ``top`` is below 1, or the folder holds something else.
        DataError: A machine does not see the folder.
        WhyconvError: Another command writes to the folder, or no cluster answers there.
        MissingExtraError: Ray or pyarrow is not installed.
    """
    require_address(cluster)
    if batch < 1 or top < 1:
        raise UsageError(f"Batch is {batch} and top is {top}. Expected whole numbers from 1.")
    if sets is not None:
        recognizer.least_probability(sets)
    to = to.absolute()
    found, around = list(map(str, list_images(paths))), str(Path.cwd())
    wanted = plan_for(recognizer.content, found, batch=batch, top=top, sets=sets, around=around)
    plan = begin(to, wanted, recognizer.content)
    with sole_writer(to, to / LOCK, doing="writes to", then="ask again: what it has answered stays"):
        # Another command may have begun at the same moment, with another plan.
        plan = begin(to, plan, recognizer.content)
        missing = missing_pieces(to, plan)
        if len(missing) < plan.num_pieces:
            values = {"n": plan.num_pieces - len(missing), "total": plan.num_pieces}
            notify(Note(key="cluster_kept", values=values))
        spent = _answer(cluster, found, to, plan, missing, notify) if missing else _Spent(0, 0.0, 0.0)
    return Answered(
        to=str(to),
        num_pictures=plan.num_pictures,
        num_unread=_num_unread(to, plan),
        num_pieces=plan.num_pieces,
        num_before=plan.num_pieces - len(missing),
        num_workers=spent.num_workers,
        start_seconds=round(spent.start_seconds, 2),
        seconds=round(spent.seconds, 2),
    )


class _Spent(NamedTuple):
    num_workers: int
    start_seconds: float
    seconds: float


def _answer(
    cluster: str, paths: Sequence[str], to: Path, plan: PiecesPlan, missing: Sequence[int], notify: Notify
) -> _Spent:
    """Answers the pieces that are missing, each in one process."""
    began = time.perf_counter()
    with connected(cluster) as ray:
        started = time.perf_counter()
        num_workers = max(1, min(int(ray.cluster_resources().get("CPU", 1)), len(missing)))
        values = {"where": cluster, "n": num_workers, "seconds": started - began}
        notify(Note(key="cluster_started", values=values))
        rows = [
            {"piece": piece, "paths": b"\0".join(os.fsencode(path) for path in paths[plan.rows(piece)])}
            for piece in missing
        ]
        answering = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Answering,
            fn_constructor_args=(str(to), plan.model_dump(), str(Path.cwd())),
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=num_workers),
        )
        try:
            for done, _ in enumerate(answering.iter_rows(), start=1):
                notify(Progress(stage="cluster", done=done, total=len(missing)))
        except ray.exceptions.RayTaskError as error:
            # What went wrong in a process, as if it had gone wrong here.
            raise (error.cause if isinstance(error.cause, WhyconvError) else error) from None
        return _Spent(num_workers, started - began, time.perf_counter() - started)


def _num_unread(to: Path, plan: PiecesPlan) -> int:
    """Rows of all pieces that have a reason in place of an answer."""
    from pyarrow import parquet

    reasons = (
        parquet.read_table(piece_path(to, piece), columns=["error"])["error"] for piece in range(plan.num_pieces)
    )
    return sum(len(each) - each.null_count for each in reasons)


class _Answering:
    """What one process of the cluster does: it opens the recognizer once, and answers pieces.

    Args:
        to: The folder of answers, with the recognizer.
        plan: A ``PiecesPlan``.
        around: The folder in which paths that are no whole ones lie; rows have the paths that were given.
    """

    def __init__(self, to: str, plan: dict[str, Any], around: str) -> None:
        self._folder, self._plan, self._around = Path(to), PiecesPlan(**plan), around
        if not (self._folder / RECOGNIZER).exists():
            raise DataError(
                f"{platform.node()} does not see {to}, which was made by the machine that the command runs on. Name a "
                "folder that all machines of the cluster share, for --to and for the pictures."
            )
        self._recognizer = Recognizer(self._folder / RECOGNIZER, num_threads=1)

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        """Writes the answers of one piece."""
        piece, plan = int(row["piece"]), self._plan
        paths = [os.fsdecode(path) for path in row["paths"].split(b"\0")]
        items = ((path, partial(read_file, Path(self._around, path))) for path in paths)
        # Two labels at least, for the margin between them.
        answers = self._recognizer.stream(items, batch_size=plan.batch, top=max(plan.top, 2), sets=plan.sets)
        to = piece_path(self._folder, piece)
        with writing_predictions(to, plan.top, has_sets=plan.sets is not None) as write:
            for answer in answers:
                write(answer)
        return {"piece": piece}
