"""Which pictures have changed since they were last read: by size, time and file, and by digest in doubt."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass

import numpy as np

from whyconv.errors import PictureError
from whyconv.images.sources.listing import Pictures

DIGEST_BYTES = 16

# Raised whenever our own rules make other pixels of the same content: what was kept by the older ones is made anew.
PIXEL_RULES = 3

# What decides how a file's bytes become pixels; a new version may decode differently, or more formats.
_DECODERS = ("numpy", "pillow", "simplejpeg", "pillow-heif")


@dataclass(frozen=True)
class Stats:
    """Size, time and mark of every picture.

    Attributes:
        sizes: int64 (n,), bytes; -1 where the picture is not there.
        times: int64 (n,), time of the last change in nanoseconds; 0 where it is not known.
        marks: int64 (n,), of the files they lie in, as ``mark_of`` gives them; 0 where there are none.
    """

    sizes: np.ndarray
    times: np.ndarray
    marks: np.ndarray


def stat_all(pictures: Pictures) -> Stats:
    """Asks for size, time and mark of every picture; opens none."""
    sizes = np.full(len(pictures), -1, np.int64)
    times, marks = np.zeros((2, len(pictures)), np.int64)
    for index in range(len(pictures)):
        try:
            sizes[index], times[index], marks[index] = pictures.stat(index)
        except PictureError:
            continue
    return Stats(sizes, times, marks)


def unchanged(new: Stats, old: Stats, places: np.ndarray) -> np.ndarray:
    """Tells which pictures are surely as they were: the same size, the same known time, the same file.

    Args:
        new: Of n pictures, as they are now.
        old: Of m pictures, as they were.
        places: int64 (n,), where each picture is among the m; -1 if it is not.

    Returns:
        bool (n,).
    """
    if not len(old.sizes):
        return np.zeros(len(places), bool)
    same = (old.sizes[places] == new.sizes) & (old.times[places] == new.times) & (old.marks[places] == new.marks)
    return np.asarray((places >= 0) & (new.times != 0) & (new.sizes >= 0) & same)


def content_digest(content: bytes | np.ndarray) -> np.ndarray:
    """Returns the BLAKE2b digest of a file's bytes, or of an array with its shape and type; uint8 (16,)."""
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    if isinstance(content, np.ndarray):
        hasher.update(f"{content.dtype.str}{content.shape}".encode())
        hasher.update(np.ascontiguousarray(content).data)
    else:
        hasher.update(content)
    return np.frombuffer(hasher.digest(), np.uint8)


def decoder_versions() -> str:
    """Returns the versions of what decodes, for the key of anything that is kept decoded."""
    return " ".join(f"{name}={_version(name)}" for name in _DECODERS)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
