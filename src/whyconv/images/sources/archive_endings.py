"""How archives are called: which are read, and what to do with those that are not."""

from __future__ import annotations

from pathlib import Path

PACKED_ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_ENDINGS = (".zip", ".tar", *PACKED_ENDINGS)
_CLOSED_ENDINGS = (
    *(".tar.zst", ".tzst", ".zst", ".tar.lz4", ".lz4", ".tar.lz", ".tar.lzma", ".tlz", ".lzma", ".tar.z", ".taz"),
    *(".7z", ".rar", ".cab", ".gz", ".bz2", ".xz"),
)


def archive_ending(name: str) -> str:
    """Returns by what ending a file is an archive that is read, ``.tar.gz`` as a whole; "" where it is none."""
    return next((ending for ending in reversed(ARCHIVE_ENDINGS) if name.lower().endswith(ending)), "")


def closed_ending(name: str) -> str:
    """Returns by what ending a file is packed in a way that is not read; "" where it is not."""
    is_read = archive_ending(name) != ""
    return next((each for each in _CLOSED_ENDINGS if name.lower().endswith(each)), "") if not is_read else ""


def stem_of(path: Path) -> str:
    """Returns the name of a file without its ending, that of an archive as a whole: ``pets`` for ``pets.tar.gz``."""
    ending = archive_ending(path.name)
    return path.name[: -len(ending)] if ending and len(path.name) > len(ending) else path.stem
