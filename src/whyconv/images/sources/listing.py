"""What every source gives: pictures by name, their labels, and a way to their bytes."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol, overload

import numpy as np

from whyconv.errors import PictureError
from whyconv.results import Note

PART_NAMES = ("", "train", "validation", "test")

MAX_FILE_BYTES = 100_000_000

_MOST_QUOTED = 80


class Names(Sequence[str]):
    """Many names in two flat arrays: a tenth of the objects of a list of strings, and cheap to share.

    Args:
        names: Any strings, lone surrogates (file names that are not UTF-8) included.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        text, ends = bytearray(), array("q", [0])
        for name in names:
            text += name.encode("utf-8", "surrogatepass")
            ends.append(len(text))
        self._text = bytes(text)
        self._ends = np.frombuffer(ends, dtype=np.int64) if len(ends) else np.zeros(1, np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Names: ...
    def __getitem__(self, index: int | slice) -> str | Names:
        if isinstance(index, slice):
            return Names(self[i] for i in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row = index % len(self)
        return self._text[self._ends[row] : self._ends[row + 1]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"Names({', '.join(map(repr, self[:3]))}{', ...' if len(self) > 3 else ''}; {len(self)} in all)"

    def take(self, indices: np.ndarray) -> Names:
        """Returns the names at ``indices``, in that order."""
        return Names(self[int(row)] for row in indices)


class Stat(NamedTuple):
    """What a picture's file is known by without being opened: where nothing of it is another, nor is the content.

    Attributes:
        size: Bytes of the picture, or of the file that it lies in.
        time: Of the last change of the content, in nanoseconds; 0 where it is not known.
        mark: Of the file itself, as ``mark_of`` gives it, with what else decides the content; 0 where there is none.
    """

    size: int
    time: int
    mark: int


class Contents(Protocol):
    """Where the pictures of a source lie; rows are counted from 0."""

    def read(self, row: int) -> bytes | np.ndarray:
        """Returns the bytes of a picture file, or its pixels; raises PictureError."""

    def stat(self, row: int) -> Stat:
        """Returns size, time and mark; raises PictureError."""

    def take(self, rows: np.ndarray) -> Contents:
        """Returns the contents of ``rows`` only, in that order."""


@dataclass(frozen=True, eq=False)
class FileContents:
    """Pictures that are files of their own.

    Attributes:
        root: Folder that the paths are relative to.
        paths: As the file system spells them, with ``/`` between folders; absolute ones are kept.
    """

    root: str
    paths: Names

    def read(self, row: int) -> bytes:
        """Returns the bytes of the file; raises PictureError where there are none to be had."""
        return read_file(Path(self.root, self.paths[row]))

    def stat(self, row: int) -> Stat:
        """Returns size, time and mark of the file; raises PictureError."""
        return stat_file(Path(self.root, self.paths[row]))

    def take(self, rows: np.ndarray) -> FileContents:
        """Returns the files of ``rows`` only."""
        return FileContents(self.root, self.paths.take(rows))

    def missing(self) -> list[str]:
        """Returns the paths where no file is."""
        return [path for path in self.paths if not is_there(Path(self.root, path))]


def numbers_among(classes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Returns int32 (classes + 1,): for each class its place among ``wanted``, -1 where it is not there.

    The last is -1 too: what it finds for the label -1, of no class.
    """
    place = {name: number for number, name in enumerate(wanted)}
    return np.array([*(place.get(name, -1) for name in classes), -1], np.int32)


def are_reordered(classes: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether ``wanted`` are the same names as ``classes`` in another order."""
    return tuple(wanted) != tuple(classes) and sorted(wanted) == sorted(classes)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures with their labels, as the user laid them out; nothing is decoded yet.

    Attributes:
        where: The path that was asked for.
        layout: How it was read: "class folders", "labels file metadata.csv", ...
        names: Unique and safe to print; relative to ``where`` with ``/``, or ``x_train[17]``.
        labels: int32 (n,), index into ``classes``; -1 where a picture has no label.
        classes: NFC. Sorted naturally ("2" before "10") unless the source itself orders them.
        parts: int8 (n,), index into PART_NAMES; 0 where the user made no split.
        groups: int64 (n,), pictures of one number must stay together; None without ``group_by``.
        skipped: Files and folders passed over on purpose, folders with a ``/`` at the end.
        notes: What else a person should know about the reading.
        contents: Where bytes or pixels come from, row for row.
    """

    where: str
    layout: Note
    names: Sequence[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    parts: np.ndarray
    groups: np.ndarray | None
    skipped: tuple[str, ...]
    notes: tuple[Note, ...]
    contents: Contents = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> bytes | np.ndarray:
        """Returns the bytes of a file or the pixels of an array element, undecoded.

        Raises:
            PictureError: The file is missing, too large, or cannot be opened.
        """
        return self.contents.read(index)

    def stat(self, index: int) -> Stat:
        """Returns size, time and mark: unchanged numbers mean unchanged content.

        For an element of an array file time and mark are those of the file; for arrays in memory they are 0,
        which promises nothing.

        Raises:
            PictureError: The file is missing.
        """
        return self.contents.stat(index)

    def select(self, indices: np.ndarray) -> Pictures:
        """Returns the pictures at ``indices`` only, in that order; classes and notes stay.

        Args:
            indices: Integers (k,) in [0, n), or a boolean mask (n,).
        """
        rows = np.flatnonzero(indices) if indices.dtype == bool else np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            names=Names(self.names[int(row)] for row in rows),
            labels=self.labels[rows],
            parts=self.parts[rows],
            groups=None if self.groups is None else self.groups[rows],
            contents=self.contents.take(rows),
        )

    def ordered_as(self, wanted: Sequence[str]) -> Pictures:
        """Returns the same pictures with their classes in the order ``wanted``; as they are if the names are others."""
        if not are_reordered(self.classes, wanted):
            return self
        return replace(self, labels=numbers_among(self.classes, wanted)[self.labels], classes=tuple(wanted))


def is_there(path: Path) -> bool:
    """Returns whether a file or folder is there; one whose name is longer than the disk takes is not."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises an OSError for such names


def read_file(path: Path) -> bytes:
    """Returns the bytes of one regular file within the limit of size; raises PictureError.

    Never waits: what has become a pipe since it was listed is refused, and of what grows no more is read than was
    there at the beginning.
    """
    _check_length(stat_file(path)[0])
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            before = os.fstat(file.fileno())
            _check_kind(path, before.st_mode)
            _check_length(before.st_size)
            content = file.read(before.st_size + 1) or b""
            after = os.fstat(file.fileno())
    except OSError as error:
        raise PictureError(_reason(error)) from None
    if not (len(content) == before.st_size == after.st_size and before.st_mtime_ns == after.st_mtime_ns):
        raise PictureError("the file was changed while it was read: try again when nothing writes to it any more")
    return content


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_length(num_bytes: int) -> None:
    if num_bytes > MAX_FILE_BYTES:
        raise PictureError(f"the file has {num_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read")


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise PictureError(_of_folder(path))
    if not stat.S_ISREG(mode):
        raise PictureError("it is not a regular file")


def _of_folder(path: Path) -> str:
    """Why a folder gives no picture: none was to be had from it, or it is closed."""
    try:
        os.scandir(path).close()
    except OSError as error:
        return f"the folder may not be opened: {(error.strerror or 'unknown reason').lower()}"
    return "it is a folder, not a file"


def stat_file(path: Path) -> Stat:
    """Returns size, time and mark of a regular file; raises PictureError."""
    try:
        facts = path.stat()
    except OSError as error:
        raise PictureError(_reason(error)) from None
    except ValueError:
        raise PictureError("the name holds a zero byte") from None
    _check_kind(path, facts.st_mode)
    return Stat(facts.st_size, facts.st_mtime_ns, mark_of(facts))


def mark_of(facts: os.stat_result) -> int:
    """Returns a number, not 0, that another file under the same name does not have, and a changed one does not keep.

    Size and time do not tell files apart: uncompressed pictures are of one size, those unpacked together may be of one
    time, and renaming keeps both. The number of the file on its disk tells which it is; the time at which anything of
    it last changed (on Windows: at which it was made) is set by the system alone.
    """
    return mark_by(facts.st_ino, facts.st_ctime_ns)


def mark_by(*what: object) -> int:
    """Returns a number, not 0, that no other objects give."""
    text = " ".join(map(str, what))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True) or 1


def printable(name: str) -> str:
    r"""Returns ``name`` with bytes that are not UTF-8 and control characters written as ``\xNN``."""
    if name.isprintable():
        return name
    text = _of_bytes(name) if _has_surrogate(name) else name
    return "".join(
        _escape(letter) if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text
    )


def printable_names(paths: Names) -> Names:
    """Returns the paths as unique names that are safe to print; the same object where nothing changes."""
    if all(path.isprintable() for path in paths):
        return paths
    seen: set[str] = set()
    names = []
    for path in paths:
        name, count = printable(path), 1
        while name in seen:
            count += 1
            name = f"{printable(path)} ({count})"
        seen.add(name)
        names.append(name)
    return Names(names)


def shortened(text: str) -> str:
    """Returns a text to be quoted, printable; of one of more than 80 letters, a whole picture say, both ends."""
    return printable(text if len(text) <= _MOST_QUOTED else f"{text[:50]} ... {text[-25:]}")


def few(items: Iterable[str], limit: int = 5) -> str:
    """Returns the first names, printable and separated by commas, with "..." where more follow."""
    shown = [printable(item) for _, item in zip(range(limit + 1), items, strict=False)]
    return ", ".join([*shown[:limit], "..."] if len(shown) > limit else shown)


def _of_bytes(name: str) -> str:
    """The name with the bytes that its surrogates stand for; those that stand for none are escaped as they are."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return name


def _has_surrogate(name: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "file is missing"
    if isinstance(error, PermissionError):
        return "no permission to read the file"
    return f"the file cannot be opened: {(error.strerror or 'unknown reason').lower()}"
