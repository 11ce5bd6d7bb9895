"""What lies where in a shard, and its label: found once, kept on disk, and mapped from there."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whyconv import files
from whyconv.errors import DataError
from whyconv.images.cache import SHARDS, default_folder
from whyconv.images.shards.parquet_rows import MOST_PROBLEMS, Row, parquet_rows
from whyconv.images.shards.places import is_tar_file, opened, require_parts, version_of
from whyconv.images.sources.file_parts import part_of_place
from whyconv.images.sources.labels import TRAIN
from whyconv.images.sources.listing import printable
from whyconv.images.sources.samples import LABEL_ENDINGS, LONGEST_LABEL, PICTURE_ENDINGS, SAMPLE_NAME, label_in
from whyconv.images.sources.tar_members import regular_members
from whyconv.results import Note
from whyconv.untrusted import json_in

# Of a picture in a tar file: where its bytes begin and how many they are; in a Parquet file: the row group, and the row
# in it. The label is a number in the shard's own list, -1 for none.
ENTRY = np.dtype([("start", "<i8"), ("size", "<i8"), ("label", "<i4")])

# Raised whenever a listing is laid out or labels are read in another way: older ones are then made anew.
_VERSION = 5
_DAMAGE = (tarfile.TarError, EOFError, ValueError, OverflowError)


class _LabelMember(NamedTuple):
    name: str
    size: int
    content: bytes


@dataclass(frozen=True, eq=False)
class Listing:
    """The pictures of one shard.

    Attributes:
        place: Path or URL.
        path: File of its entries.
        count: Of its pictures.
        texts: Labels as written, None where what is written says that there is none; of a column of parts, each once
            for every part.
        num_bytes: Of the whole shard.
        version: Changes with its content.
        column: That holds the pictures, of a Parquet file; else "".
        digest: 16 hex characters over entries and labels.
        row_parts: Of each of ``texts``, the part that rows say; 0 for none.
        only: The part whose pictures are meant, where rows say parts; those of other parts have no class then.
        notes: On the columns that were taken.
        are_numbers: Whether labels are numbers, and no texts or numbers of named classes.
    """

    place: str
    path: Path
    count: int
    texts: tuple[str | None, ...]
    num_bytes: int
    version: str
    column: str
    digest: str = ""
    row_parts: tuple[int, ...] = ()
    only: int | None = None
    notes: tuple[Note, ...] = ()
    are_numbers: bool = False

    @property
    def part(self) -> int:
        """Index into PART_NAMES, by the folder or a word of the name (``imagenet-train-000000.tar``); 0: none."""
        return self.only or part_of_place(self.place)

    @property
    def text_parts(self) -> list[int]:
        """The part of each of ``texts``: as rows say, else as the name says, else the one that is trained on."""
        named = part_of_place(self.place)
        return [part or named or TRAIN for part in self.row_parts]

    @property
    def is_whole(self) -> bool:
        """Whether it counts as the shard, of which ``by_part`` may make several listings."""
        return self.only is None or self.only == min(self.text_parts)

    def by_part(self) -> list[Listing]:
        """The same pictures once for every part that rows say, or this alone where they say none."""
        if not any(self.row_parts):
            return [self]
        return [replace(self, only=part) for part in sorted(set(self.text_parts))]

    def entries(self) -> NDArray[np.void]:
        """Shape (count,) of ``ENTRY``, mapped: what is not looked at takes no memory."""
        if not self.count:
            return np.zeros(0, ENTRY)
        return np.memmap(self.path, ENTRY, "r", shape=(self.count,))


def listing_of(place: str, folder: Path | None) -> Listing:
    """Lists a shard, or finds the list that was made of the same content before.

    Args:
        place: Path or URL.
        folder: The cache; None is the default one.

    Raises:
        DataError: The shard is damaged, holds no pictures or labels that cannot be understood.
        MissingExtraError: What reads it is not installed.
    """
    version = version_of(place)
    words = f"{_VERSION}\0{place}\0{version.num_bytes}\0{version.mark}"
    key = hashlib.blake2b(words.encode("utf-8", "surrogateescape"), digest_size=8)
    path = (folder or default_folder()) / SHARDS / f"{key.hexdigest()}.entries"
    about = _recall(path) if version.mark else None
    if about is None:
        require_parts(place, version.num_bytes)
        about = _write(place, path)
    return Listing(
        place=place,
        path=path,
        count=about["count"],
        texts=tuple(about["texts"]),
        num_bytes=version.num_bytes,
        version=version.text,
        column=about["column"],
        digest=about["digest"],
        row_parts=tuple(about["parts"]),
        notes=tuple(Note.model_validate(each) for each in about["notes"]),
        are_numbers=about["are_numbers"],
    )


def _recall(path: Path) -> dict[str, Any] | None:
    """What an earlier listing says of itself; None where there is none that is whole."""
    try:
        about = json_in(path.with_suffix(".json"))
        is_whole = path.stat().st_size == about["count"] * ENTRY.itemsize
        expected = {"texts", "parts", "column", "digest", "notes", "are_numbers"}
        return about if is_whole and expected <= about.keys() else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _write(place: str, path: Path) -> dict[str, Any]:
    """Writes the entries as they are met, so that memory does not grow with the shard."""
    texts: dict[tuple[str, int], int] = {}
    problems, notes = list[str](), list[Note]()
    count, column, are_numbers, digest = 0, "", False, hashlib.blake2b(digest_size=8)
    with opened(place) as shard, files.writing(path) as file:
        is_tar = is_tar_file(place)
        if not is_tar:
            column, are_numbers, rows = parquet_rows(place, shard, problems, notes)
        for start, size, label, part in _tar_rows(place, shard, problems) if is_tar else rows:
            number = -1 if label is None else texts.setdefault((label, part), len(texts))
            entry = np.array([(start, size, number)], ENTRY).tobytes()
            file.write(entry)
            digest.update(entry)
            count += 1
        _require_sound(place, count, problems)
    labels, parts = [label for label, _ in texts], [part for _, part in texts]
    digest.update("\0".join([*labels, *map(str, parts)]).encode("utf-8", "surrogateescape"))
    about = {"place": place, "count": count, "texts": labels, "parts": parts, "column": column}
    about |= {"digest": digest.hexdigest(), "notes": [note.model_dump() for note in notes], "are_numbers": are_numbers}
    files.write_text(path.with_suffix(".json"), json.dumps(about) + "\n")
    return about


def _require_sound(place: str, count: int, problems: list[str]) -> None:
    if problems:
        more = ", ..." if len(problems) > MOST_PROBLEMS else ""
        raise DataError(f"{printable(place)}: {'; '.join(problems[:MOST_PROBLEMS])}{more}.")
    if not count:
        raise DataError(
            f"{printable(place)} holds no pictures. Expected samples: a picture such as 0001.jpg and its label in "
            "0001.cls or 0001.json beside it; in Parquet, a column of pictures and one of labels."
        )


def _tar_rows(place: str, file: IO[bytes], problems: list[str]) -> Iterator[Row]:
    """Start, size and label of each picture; members of a sample follow each other."""
    try:
        key, sample, labels = "", dict[str, tuple[int, int]](), dict[str, _LabelMember]()
        for name, member in regular_members(Path(PurePosixPath(place).name), file):
            match = SAMPLE_NAME.fullmatch(name)
            if match is None:
                continue
            if match[1] != key:
                yield from _picture(sample, _label(labels, problems))
                key, sample, labels = match[1], {}, {}
            ending = match[2].lower()
            sample.setdefault(ending, (member.offset_data, member.size))
            if ending in LABEL_ENDINGS and ending not in labels:
                # Read while the file is there: at the sample's end, what lies elsewhere would be asked for once more.
                content = _content(file, member) if member.size <= LONGEST_LABEL else b""
                labels[ending] = _LabelMember(name, member.size, content)
        yield from _picture(sample, _label(labels, problems))
    except _DAMAGE as error:
        raise DataError(f"{printable(place)} cannot be read as tar: {error}. Is the file complete?") from None
    except OSError as error:
        raise DataError(f"{printable(place)} cannot be read: {(error.strerror or str(error)).lower()}.") from None


def _content(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    # tarfile itself goes to where the next head begins.
    file.seek(member.offset_data)
    return file.read(member.size)


def _label(labels: dict[str, _LabelMember], problems: list[str]) -> str | None:
    """Of a sample; which of its members says it does not depend on how they follow each other."""
    for ending in LABEL_ENDINGS:
        if ending not in labels or len(problems) > MOST_PROBLEMS:
            continue
        member = labels[ending]
        try:
            label = label_in(ending, member.size, partial(bytes, member.content))
        except ValueError as error:
            problems.append(f"{printable(member.name)} is no label: {printable(str(error))}")
            return None
        if label is not None:
            return label
    return None


def _picture(sample: dict[str, tuple[int, int]], label: str | None) -> Iterator[Row]:
    place = next((sample[ending] for ending in PICTURE_ENDINGS if ending in sample), None)
    if place is not None:
        yield *place, label, 0
