"""How fast the JPEGs of a source could be decoded at best: the limit that reading them is compared with."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from whyconv.errors import PictureError
from whyconv.images.decode import read_header
from whyconv.images.formats import Header
from whyconv.images.jpeg import Covers, choose_factor, decode_jpeg
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources.listing import Pictures
from whyconv.images.threads import map_in_order

_MOST_SAMPLED, _LEAST_FRACTION, _ROUNDS = 500, 0.9, 3
_MOST_BYTES = 100_000_000


@dataclass(frozen=True)
class DecodeLimit:
    """What bare decoding takes.

    Attributes:
        seconds_per_picture: Best of a few rounds, with all threads.
        num_sampled: JPEGs decoded in a round.
    """

    seconds_per_picture: float
    num_sampled: int


def decode_limit(pictures: Pictures, policy: PicturePolicy, *, num_threads: int) -> DecodeLimit | None:
    """Decodes a sample that lies in memory, and does nothing else with it.

    At the fraction of their size that ``policy`` asks for, as ``prepare`` does. Memory: the files of the sample, at
    most 500, and none more once there are 100 MB.

    Args:
        pictures: Where they are.
        policy: Says side, channels and fit.
        num_threads: That decode side by side.

    Returns:
        None where fewer than nine in ten of the sample are plain JPEGs.
    """
    sample, num_seen, num_bytes = [], 0, 0
    # In random order: classes lie one after the other, and the bytes may end the sample early.
    for row in np.random.default_rng(0).permutation(len(pictures))[:_MOST_SAMPLED].tolist():
        if num_bytes >= _MOST_BYTES:
            break
        num_seen += 1
        if (found := _plain_jpeg(pictures, row)) is not None:
            sample.append(found)
            num_bytes += len(found[0])
    if not sample or len(sample) < _LEAST_FRACTION * num_seen:
        return None
    covers: Covers = "longer" if policy.fit == "letterbox" else "shorter"

    def bare(found: tuple[bytes, Header]) -> None:
        content, header = found
        factor = choose_factor(header.width, header.height, policy.side, covers)
        decode_jpeg(content, header, factor, is_gray=policy.channels == 1 or header.mode == "L")

    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in map_in_order(bare, sample, num_threads):
            pass
        seconds.append(time.perf_counter() - began)
    return DecodeLimit(min(seconds) / len(sample), len(sample))


def _plain_jpeg(pictures: Pictures, row: int) -> tuple[bytes, Header] | None:
    """Content and header of a picture that can be decoded; None of another one."""
    with suppress(PictureError):
        content = pictures.read(row)
        if not isinstance(content, bytes):
            return None
        header = read_header(content)
        if header.is_plain_jpeg:
            decode_jpeg(content, header, 1, is_gray=False)
            return content, header
    return None
