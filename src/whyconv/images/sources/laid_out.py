"""Files of an archive that have to lie on disk to be read: tables, and arrays that are mapped; copied to the cache."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from whyconv import files
from whyconv.errors import DataError, StorageError
from whyconv.images.sources.archives import DAMAGE, Members
from whyconv.images.sources.kept import Budget, Kept
from whyconv.images.sources.listing import printable
from whyconv.images.sources.member_names import refusal


def lay_out(members: Members, wanted: Sequence[str], kept: Kept) -> Path:
    """Copies members of an archive into a folder in the cache, unless they are there; returns the folder.

    Args:
        members: Of the archive; their names are safe.
        wanted: Names of those to be copied.
        kept: Where to.

    Raises:
        DataError: A member is damaged, two would be one file on some disks, or they come to too much.
        StorageError: The disk does not take them.
    """
    _refuse_alike(kept.archive, wanted)
    place = {name: row for row, name in enumerate(members.names)}
    changed = kept.archive.stat().st_mtime_ns
    missing = [name for name in wanted if not (kept.files / name).is_file()]
    if missing:
        with kept.filling() as budget:
            for name in missing:
                _copy(members, place[name], kept.files / name, budget)
                # A copy that is made anew is no newer than the archive: nothing else has to be.
                os.utime(kept.files / name, ns=(changed, changed))
    return kept.files


def _copy(members: Members, row: int, path: Path, budget: Budget) -> None:
    size, found = int(members.sizes[row]), 0
    name, archive = printable(members.names[row]), printable(members.path.name)
    try:
        with files.writing(path, size) as file:
            for block in members.blocks(row):
                budget.spend(len(block))
                found += len(block)
                file.write(block)
            if found != size:
                raise EOFError(f"it has {found:,} bytes, and the archive says {size:,}")
    except StorageError:
        raise
    except (*DAMAGE, KeyError, OSError) as error:
        raise DataError(f"{name} in {archive} cannot be unpacked: {error}. Is the archive complete?") from None


def _refuse_alike(archive: Path, names: Sequence[str]) -> None:
    """Refuses names that are one file where capital letters or ways to write accents are not told apart."""
    seen = set[str]()
    for name in names:
        alike = unicodedata.normalize("NFC", name).casefold()
        if alike in seen:
            raise refusal(archive, name, "is there twice, but for capital letters or accents")
        seen.add(alike)
