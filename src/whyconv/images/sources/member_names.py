"""Names of members of archives: what is refused, and how letters were written that are not said to be UTF-8."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from whyconv.errors import DataError
from whyconv.images.sources.listing import printable

MOST_MEMBERS = 500_000
_LONGEST_NAME = 4_096
# What a zip file is read as by the standard library where it does not say UTF-8; it loses nothing.
_AS_READ = "cp437"
_LETTERS = {
    # By encoding, the letters that names written in it are made of, and how large a part of them at least: the codes
    # of one language are mostly readable as another's, but then as rare letters.
    "cp949": ("euc_kr", "\uac00-\ud7a3", 0.9),
    "cp932": ("shift_jis", "\u3040-\u30ff", 0.25),
    "gb18030": ("gb2312", "\u4e00-\u9fff", 0.9),
}


def refusal(path: Path, name: str, what: str) -> DataError:
    """Returns the error for an archive with a member that is refused."""
    return DataError(f"{printable(path.name)} is refused: its member '{printable(name[:200])}' {what}.")


def too_many(path: Path) -> DataError:
    """Returns the error for an archive with too many members."""
    return DataError(
        f"{printable(path.name)} is refused: it has more than {MOST_MEMBERS:,} members. Unpack it, or make several."
    )


def refuse_twice(path: Path, names: Sequence[str]) -> None:
    """Refuses an archive in which one name is there twice: which of the two it means, no reader can know."""
    seen = set[str]()
    for name in names:
        if name in seen:
            raise refusal(path, name, "is there twice")
        seen.add(name)


def safe_name(path: Path, name: str) -> str:
    """Returns a member's name with ``/`` between folders and without ``.``; raises DataError where it leads out."""
    slashed = name.replace("\\", "/")
    if not name or len(name) > _LONGEST_NAME or "\0" in name:
        raise refusal(path, name, f"has no name of 1 to {_LONGEST_NAME:,} letters")
    if slashed.startswith("/") or re.match(r"[A-Za-z]:", slashed):
        raise refusal(path, name, "names a place on the whole disk")
    pieces = [piece for piece in slashed.split("/") if piece not in ("", ".")]
    if ".." in pieces:
        raise refusal(path, name, "leads out of the archive")
    return "/".join(pieces)


def decode_names(names: Sequence[tuple[str, bool]]) -> list[str]:
    """Returns names as they were meant: UTF-8, else Korean, Japanese or Chinese as old programs wrote it.

    Args:
        names: Each as ``zipfile`` gives it, and whether the archive says that it is UTF-8.
    """
    raw = [name.encode(_AS_READ) for name, is_known in names if not is_known]
    encoding = next((each for each in ("utf-8", *_LETTERS) if _is_written_in(b"".join(raw), each)), _AS_READ)
    return [name if is_known else name.encode(_AS_READ).decode(encoding) for name, is_known in names]


def _is_written_in(names: bytes, encoding: str) -> bool:
    try:
        letters = [letter for letter in names.decode(encoding) if not letter.isascii()]
    except UnicodeDecodeError:
        return False
    if encoding == "utf-8" or not letters:
        return True
    common, script, least = _LETTERS[encoding]
    known = [letter for letter in letters if re.match(f"[{script}]", letter) and _has_code(letter, common)]
    return len(known) >= least * len(letters)


def _has_code(letter: str, encoding: str) -> bool:
    """Whether a letter is one of an encoding of two bytes a letter, not put together out of several."""
    try:
        return len(letter.encode(encoding)) == 2
    except UnicodeEncodeError:
        return False
