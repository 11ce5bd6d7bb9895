"""Pictures that show the same thing: exact copies, near copies, mirror images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whyconv.images.cache import read_arrays, write_arrays
from whyconv.images.closeness import MAX_HASH_DISTANCE, confirm, correlated
from whyconv.images.closeups import Closeups
from whyconv.images.hashing import close_pairs, look_hashes
from whyconv.images.likeness import detail_of
from whyconv.images.sources.listing import Pictures
from whyconv.images.survey import Survey

# Raised whenever other pictures would be found: what an older version found is then looked for anew.
_VERSION = "2"

# Smaller pictures have too few pixels for "nearly the same" to mean "the same": two handwritten sevens are.
MIN_NEAR_SIDE = 32
# Gray levels of detail beyond smooth shading, below which there is nothing to compare but the exact pixels.
_MIN_DETAIL = 2.0
_BLOCK, _JOINED_AT_ONCE = 256, 2048
_ENOUGH = 512  # pairs

_Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which of n pictures show the same thing.

    Attributes:
        group: int64 (n,): index of the picture that stands for the group; its own where it is alone.
        is_exact: bool (n,): whether every pixel is that of the picture that stands for the group.
        mirrored: int64 (m, 2): pairs that are mirror images of each other, not grouped for it.
    """

    group: np.ndarray
    is_exact: np.ndarray
    mirrored: np.ndarray

    def members(self) -> Iterator[np.ndarray]:
        """Yields each group of two or more: the picture that stands for it first, then the others in order."""
        order = np.argsort(self.group, kind="stable")
        starts = np.flatnonzero(np.diff(self.group[order])) + 1
        for part in np.split(order, starts):
            if len(part) > 1:
                leader = self.group[part[0]]
                yield np.concatenate([[leader], part[part != leader]])


def find(survey: Survey, pictures: Pictures, *, num_threads: int | None = None) -> Duplicates:
    """Finds copies among the pictures that can be read.

    Exact copies have the same upright pixels, whatever the file. Near copies (compressed again, resized,
    slightly cropped, other brightness or contrast) have close hashes and fit each other once aligned. Every
    copy fits the one picture that stands for its group, the largest; copies of copies are not chained on.
    What is found depends on the contents only, not on their order or names.

    Args:
        survey: Of these pictures.
        pictures: Suspects are looked at again, at 64 x 64.
        num_threads: Number of threads that decode; None means one for each core.
    """
    path, key = _path(survey), _key(survey)
    found = _recall(path, key) if path else None
    if found is None:
        found = _find(survey, Closeups(pictures, num_threads))
        if path:
            _keep(path, key, pictures.where, found)
    return found


def _find(survey: Survey, closeups: Closeups) -> Duplicates:
    exact = _exact_groups(survey)
    order = _candidates(survey, exact)
    thumbnails = survey.thumbnails
    hashes = look_hashes(thumbnails[order])
    near = _join_to_leaders(thumbnails, closeups, order, hashes)
    leaders = np.flatnonzero(near[order] == order)
    mirrored = _mirror_pairs(thumbnails, closeups, order[leaders], hashes[leaders])
    group = near[exact]
    same = (survey.pixel_digests == survey.pixel_digests[group]).all(1)
    return Duplicates(group, (group == np.arange(len(group))) | (same & survey.readable), mirrored)


def _exact_groups(survey: Survey) -> np.ndarray:
    """Returns for each picture the first one with the same pixels, int64 (n,)."""
    first = np.arange(len(survey), dtype=np.int64)
    readable = np.flatnonzero(survey.readable)
    if len(readable):
        digests = np.ascontiguousarray(survey.pixel_digests[readable]).view("V16")[:, 0]
        _, firsts, inverse = np.unique(digests, return_index=True, return_inverse=True)
        first[readable] = readable[firsts[inverse]]
    return first


def _candidates(survey: Survey, exact: np.ndarray) -> np.ndarray:
    """Returns the pictures worth comparing, the largest first, equal sizes by content; int64 (m,)."""
    large = np.minimum(survey.widths, survey.heights) >= MIN_NEAR_SIDE
    alone = np.flatnonzero(survey.readable & large & (exact == np.arange(len(survey))))
    detail = [detail_of(survey.thumbnails[part][:, None].astype(np.float32)) for part in _blocks(alone)]
    alone = alone[np.concatenate(detail) >= _MIN_DETAIL] if detail else alone
    num_pixels = survey.widths[alone].astype(np.int64) * survey.heights[alone]
    digests = np.ascontiguousarray(survey.pixel_digests[alone]).view(">u8")
    return alone[np.lexsort((digests[:, 0], -num_pixels))]


def _join_to_leaders(thumbnails: np.ndarray, closeups: Closeups, order: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Goes through the pictures in order: each joins the leader it fits best, or becomes a leader.

    A picture that has joined stands for nobody, so a group never reaches further than one step.
    """
    group = np.arange(len(thumbnails), dtype=np.int64)
    rank = np.zeros(len(thumbnails), np.int64)
    rank[order] = np.arange(len(order))
    leaders = np.zeros(0, np.int64)
    for start in range(0, len(order), _JOINED_AT_ONCE):
        block = np.arange(start, min(start + _JOINED_AT_ONCE, len(order)))
        found = _copies(thumbnails, closeups, _earlier_alike(order, hashes, leaders, block))
        for _, original, copy in sorted(found, key=lambda pair: (rank[pair[2]], pair[0])):
            if group[original] == original and group[copy] == copy:
                group[copy] = original
        leaders = np.concatenate([leaders, block[group[order[block]] == order[block]]])
    return group


def _earlier_alike(order: np.ndarray, hashes: np.ndarray, leaders: np.ndarray, block: np.ndarray) -> Iterator[_Pairs]:
    """Yields, for places ``block`` of ``order``, the pictures that look like them: leaders, or earlier in the block."""
    for rows in _blocks(block):
        earlier = np.concatenate([leaders, block[block <= rows[-1]]])
        for new, old in close_pairs(hashes[rows], hashes[earlier], MAX_HASH_DISTANCE):
            ahead = earlier[old] < rows[new]
            yield order[earlier[old[ahead]]], order[rows[new[ahead]]]


def _copies(
    thumbnails: np.ndarray, closeups: Closeups, suspected: Iterable[_Pairs], *, is_mirrored: bool = False
) -> list[tuple[float, int, int]]:
    """Returns (error, original, copy) of the pairs that are copies.

    Of all that are suspected few agree at a glance; these are gathered, for many are looked at in little more time than
    a few.
    """
    found: list[tuple[float, int, int]] = []
    for originals, suspects in _gathered(_agreeing(thumbnails, suspected, is_mirrored)):
        confirmed = confirm(thumbnails, closeups, (originals, suspects), is_mirrored=is_mirrored)
        found += [
            (error, original, copy) for original, copy, error in zip(*(a.tolist() for a in confirmed), strict=True)
        ]
    return found


def _agreeing(thumbnails: np.ndarray, suspected: Iterable[_Pairs], is_mirrored: bool) -> Iterator[_Pairs]:
    for originals, suspects in suspected:
        turned = thumbnails[originals][:, :, ::-1] if is_mirrored else thumbnails[originals]
        keep = correlated(turned, thumbnails[suspects])
        yield originals[keep], suspects[keep]


def _gathered(parts: Iterable[_Pairs]) -> Iterator[_Pairs]:
    """Joins pairs until there are enough; whatever is left comes last."""
    waiting: list[_Pairs] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part[0])
        if count >= _ENOUGH:
            yield _joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[_Pairs]) -> _Pairs:
    originals, suspects = zip(*parts, strict=True)
    return np.concatenate(originals), np.concatenate(suspects)


def _mirror_pairs(thumbnails: np.ndarray, closeups: Closeups, order: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Returns the pairs that fit once one of them is turned left to right, int64 (m, 2)."""

    def suspected() -> Iterator[_Pairs]:
        for block in _blocks(np.arange(len(order))):
            turned = look_hashes(thumbnails[order[block]][:, :, ::-1])
            # Whichever of the two is turned, they fit: each pair is looked at once.
            for left, ahead in close_pairs(turned, hashes[block[0] :], MAX_HASH_DISTANCE):
                right = ahead + block[0]
                once = block[left] < right
                yield order[block[left[once]]], order[right[once]]

    found = _copies(thumbnails, closeups, suspected(), is_mirrored=True)
    pairs = sorted((min(pair), max(pair)) for _, *pair in found)
    return np.array(pairs, np.int64).reshape(-1, 2)


def _blocks(indices: np.ndarray) -> Iterator[np.ndarray]:
    return (indices[start : start + _BLOCK] for start in range(0, len(indices), _BLOCK))


def _path(survey: Survey) -> Path | None:
    return survey.path.with_suffix(".copies.npz") if survey.path else None


def _key(survey: Survey) -> str:
    """Names what was looked at: the same pixels in the same order give the same answer."""
    hasher = hashlib.blake2b(_VERSION.encode(), digest_size=16)
    hasher.update(np.ascontiguousarray(survey.readable).data)
    hasher.update(np.ascontiguousarray(survey.pixel_digests).data)
    return hasher.hexdigest()


def _recall(path: Path, key: str) -> Duplicates | None:
    kept = read_arrays(path)
    if kept is None or "key" not in kept or str(kept["key"]) != key:
        return None
    return Duplicates(kept["group"], kept["is_exact"], kept["mirrored"])


def _keep(path: Path, key: str, where: str, found: Duplicates) -> None:
    # A cache that cannot be written was already named by the survey.
    with suppress(OSError):
        arrays = {"group": found.group, "is_exact": found.is_exact, "mirrored": found.mirrored}
        write_arrays(path, {"where": np.array(str(Path(where).resolve())), "key": np.array(key), **arrays})
