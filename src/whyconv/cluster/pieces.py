"""Many pictures in pieces, a file of answers for each: what is there is whole, what is missing is still to be done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from whyconv import files
from whyconv.errors import DataError, NewerFormatError, UsageError
from whyconv.results.record import Record
from whyconv.untrusted import mistakes_in, sound_json_in

# Readers of a folder of Parquet files pass over names that begin so.
PLAN, RECOGNIZER, LOCK = "_predictions.json", "_recognizer.onnx", "_lock"
FORMAT = 1
MOST_IN_PIECE = 1024
# So many pieces at least, where there are as many batches: no process is left alone with much at the end.
_LEAST_PIECES = 64


class PiecesPlan(Record):
    """What a folder of answers is of, so that a later command goes on with it and with nothing else.

    Attributes:
        format: Of this file.
        model: Digest of the recognizer's file.
        pictures: Digest of the pictures' paths, in their order.
        num_pictures: As many.
        in_piece: Pictures of each piece; the last one may have fewer.
        batch: Pictures that the network sees at once.
        top: Labels for each picture.
        sets: Level of answer sets, or None.
    """

    format: int = FORMAT
    model: str
    pictures: str
    num_pictures: int
    in_piece: int
    batch: int
    top: int
    sets: float | None = None

    @property
    def num_pieces(self) -> int:
        """Files that there will be."""
        return -(-self.num_pictures // self.in_piece)

    def rows(self, piece: int) -> slice:
        """Of the pictures, those of one piece."""
        return slice(piece * self.in_piece, (piece + 1) * self.in_piece)


def piece_path(folder: Path, piece: int) -> Path:
    """Where the answers of one piece go."""
    return folder / f"part-{piece:06d}.parquet"


def plan_for(
    model: bytes, paths: Sequence[str], *, batch: int, top: int, sets: float | None, around: str = ""
) -> PiecesPlan:
    """What is asked for; pieces are whole batches, of at most 1,024 pictures where a batch is no larger.

    Args:
        model: The recognizer's file.
        paths: As they were given.
        batch: Pictures that the network sees at once.
        top: Labels for each picture.
        sets: Level of answer sets, or None.
        around: The folder in which paths that are no whole ones lie.
    """
    share = -(-len(paths) // _LEAST_PIECES)
    return PiecesPlan(
        model=files.digest_bytes(model),
        pictures=_pictures_digest(paths, around),
        num_pictures=len(paths),
        in_piece=max(1, min(-(-share // batch), MOST_IN_PIECE // batch)) * batch,
        batch=batch,
        top=top,
        sets=sets,
    )


def missing_pieces(folder: Path, plan: PiecesPlan) -> list[int]:
    """The pieces whose file is not there; a file that is there is whole."""
    return [piece for piece in range(plan.num_pieces) if not piece_path(folder, piece).exists()]


def begin(folder: Path, wanted: PiecesPlan, model: bytes) -> PiecesPlan:
    """Writes the plan and the recognizer into a new folder, or goes on with the plan that is there.

    Args:
        folder: Of the answers; made where it is missing.
        wanted: What is asked for.
        model: The recognizer's file, which every machine reads here.

    Returns:
        The plan to follow: the pieces of the one that is there keep their size, whatever a newer whyconv would take.

    Raises:
        UsageError: The folder holds answers of something else, or other files.
        DataError: Its plan is damaged.
        NewerFormatError: A newer whyconv wrote it.
    """
    path = folder / PLAN
    if path.exists():
        wanted = _require_same(folder, _read(path), wanted)
    elif folder.exists() and (not folder.is_dir() or not all(map(files.is_part, folder.iterdir()))):
        raise UsageError(f"--to {folder} is not empty, and nothing in it says what it is. Name a new folder.")
    else:
        files.write_text(path, wanted.model_dump_json(indent=2) + "\n")
    recognizer = folder / RECOGNIZER
    # Of two commands that begin at the same moment one may have written the plan and the other this file.
    if not recognizer.exists() or files.digest_bytes(recognizer.read_bytes()) != wanted.model:
        files.write_bytes(recognizer, model)
    return wanted


def _read(path: Path) -> PiecesPlan:
    try:
        plan = PiecesPlan.model_validate_json(sound_json_in(path))
    except ValueError as error:
        raise DataError(f"{path} is damaged: {mistakes_in(error)}. Remove the folder, or name a new one.") from None
    if plan.format > FORMAT:
        raise NewerFormatError(f"{path} has format {plan.format}; this whyconv knows {FORMAT}. Install a newer one.")
    return plan


def _require_same(folder: Path, there: PiecesPlan, wanted: PiecesPlan) -> PiecesPlan:
    names = {
        "model": "recognizer",
        "pictures": "list of pictures",
        "top": "--top",
        "sets": "--sets",
        "batch": "--batch",
    }
    other = [name for field, name in names.items() if getattr(there, field) != getattr(wanted, field)]
    if other:
        raise UsageError(f"--to {folder} holds answers with another {', another '.join(other)}. Name a new folder.")
    return there


def _pictures_digest(paths: Sequence[str], around: str) -> str:
    """Of paths in their order, as whole ones and as they were given; 32 hex characters."""
    hasher = hashlib.blake2b(digest_size=16)
    for path in paths:
        whole = str(Path(around, path))
        hasher.update(os.fsencode(whole) + b"\0")
        if whole != path:
            hasher.update(os.fsencode(path) + b"\0\0")
    return hasher.hexdigest()
