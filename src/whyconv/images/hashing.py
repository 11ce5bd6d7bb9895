"""A 64-bit fingerprint of how a picture looks, and the pairs whose fingerprints are close."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

THUMBNAIL_SIDE = 32
_LOW = 8
_CHUNK = 4096


def look_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """Hashes each thumbnail by the signs of its lowest frequencies ("pHash").

    The two-dimensional cosine transform is taken, the 8 x 8 lowest frequencies are kept, and bit k (row
    by row, first bit highest) says whether frequency k lies above their median. Brightness, contrast,
    size and compression move few bits.

    Args:
        thumbnails: uint8 (n, 32, 32), gray levels.

    Returns:
        uint64 (n,), one hash each. The number of bits in which two differ is 0 for the same look and
        about 32 for unrelated pictures.

    References:
        The cosine transform: N. Ahmed, T. Natarajan, K. R. Rao, "Discrete cosine transform", IEEE Trans.
        Computers C-23 (1974). The hash: N. Krawetz, "Looks Like It" (2011).
    """
    waves = _cosines()
    hashes = np.zeros(len(thumbnails), np.uint64)
    for start in range(0, len(thumbnails), _CHUNK):
        block = thumbnails[start : start + _CHUNK].astype(np.float64)
        low = (waves @ block @ waves.T).reshape(len(block), _LOW * _LOW)
        bits = low > np.median(low, axis=1, keepdims=True)
        hashes[start : start + len(block)] = np.packbits(bits, axis=1).view(">u8")[:, 0]
    return hashes


def close_pairs(
    hashes: np.ndarray, others: np.ndarray, max_distance: int, *, block: int = 2048, enough: int = 1024
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Compares every hash of one list with every hash of another, a block at a time.

    Every pair is looked at (so none is missed, as tables of partial hashes would), yet the memory taken
    is that of one block: a few MB, however long the lists are.

    Args:
        hashes: uint64 (n,).
        others: uint64 (m,).
        max_distance: Largest number of differing bits, 0 to 64.
        block: How many of ``others`` are compared at once.
        enough: How many pairs are gathered before they are handed on.

    Yields:
        Positions in ``hashes`` and in ``others``, int64 (pairs,) each, of the pairs that are close; at least
        ``enough``, but the last time.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, len(others), block):
        some = others[start : start + block]
        distances = np.bitwise_count(hashes[:, None] ^ some)
        # numpy finds the few that are close several times faster along one axis than along two.
        left, right = np.divmod(np.flatnonzero(distances <= max_distance), len(some))
        found.append((left, right + start))
        if sum(len(left) for left, _ in found) >= enough:
            yield _joined(found)
            found = []
    if any(len(left) for left, _ in found):
        yield _joined(found)


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    lefts, rights = zip(*parts, strict=True)
    return np.concatenate(lefts), np.concatenate(rights)


def _cosines() -> np.ndarray:
    """Returns the 8 lowest waves of the type-II cosine transform, float64 (8, 32)."""
    positions = np.arange(THUMBNAIL_SIDE) + 0.5
    return np.cos(np.pi / THUMBNAIL_SIDE * np.outer(np.arange(_LOW), positions))
