"""The order in which pictures of shards are visited: random, the same every time, and known without reading any.

A full shuffle would jump from picture to picture through all shards. Here a pass is shuffled in two steps, each of
which reads a little in one place: first the blocks, runs of neighboring pictures; then, window by window, all pictures
of the blocks that come next. A window is what is held in memory.

For several processes the sequence is cut into lanes, each with windows of its own, from which every batch takes as
many pictures. A process that has some of the rows of a batch reads the lanes they come from and no others; what a batch
holds does not depend on how many processes there are.

References:
    Xu and others, *Stochastic gradient descent without full data shuffle: with applications to in-database machine
    learning and deep learning systems* (2024), arXiv 2206.05830: blocks first, then tuples in a buffer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_FEWEST_LANES, _MOST_LANES = 8, 64
_BLOCKS, _WINDOW = 11, 12


@dataclass(frozen=True, eq=False)
class Blocks:
    """Runs of neighboring pictures.

    Attributes:
        shard: int32 (k,), which shard.
        first: int64 (k,), first entry of the shard that may be in it.
        last: int64 (k,), the entry behind it.
        count: int64 (k,), how many of these are visited.
    """

    shard: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    count: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shard)


@dataclass(frozen=True, eq=False)
class Order:
    """Passes over all blocks, as pure functions of the seed.

    Attributes:
        count: int64 (k,), pictures of each block.
        seed: Of all that is random here.
        batch: Pictures of a step.
        window_steps: Steps that a window is enough for.
    """

    count: NDArray[np.int64]
    seed: int
    batch: int
    window_steps: int

    @property
    def steps(self) -> int:
        """Of a pass; what is left of the pictures is another few in every pass."""
        return int(self.count.sum()) // self.batch

    @property
    def lanes(self) -> int:
        """A power of two from 8 to 64, so that a lane's window goes over two blocks or more; at most one a picture.

        The more there are, the fewer pictures of a batch come from one block, and the more processes share them evenly.
        """
        mean = max(1.0, float(self.count.mean()))
        fitting = self.window_steps * self.batch / (2 * mean)
        wanted = 1 << max(0, int(math.log2(max(1.0, fitting))))
        return min(self.batch, max(_FEWEST_LANES, min(_MOST_LANES, wanted)))

    @property
    def windows(self) -> int:
        """Of a pass; the last may be shorter."""
        return -(-self.steps // self.window_steps)

    def window(self, number: int, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which pictures some rows of the batches of a window are.

        Args:
            number: Of the window, from 0, through all passes.
            rows: Of every batch: those of one process.

        Returns:
            Block of each picture, and its number among those of the block: both (steps, rows).
        """
        number_of_pass, window = divmod(number, self.windows)
        generator = _generator(self.seed, number_of_pass, _BLOCKS)
        order = generator.permutation(len(self.count))
        ends = np.cumsum(self.count[order])
        # Where in the first block it begins: without it a picture would come to some places of a batch only.
        turn = int(generator.integers(ends[-1]))
        steps = min(self.window_steps, self.steps - window * self.window_steps)
        lanes = self.lanes
        bounds = [self.batch * lane // lanes for lane in range(lanes + 1)]
        found = []
        for lane, (start, end) in enumerate(pairwise(bounds)):
            if end <= rows.start or start >= rows.stop:
                continue
            width = end - start
            first = self.steps * start + window * self.window_steps * width
            drawn = _generator(self.seed, number_of_pass, _WINDOW, lane, window).permutation(steps * width)
            own = slice(max(0, rows.start - start), min(width, rows.stop - start))
            found.append((first + drawn).reshape(steps, width)[:, own])
        places = (np.concatenate(found, axis=1) + turn) % ends[-1]
        at = np.searchsorted(ends, places, side="right")
        return order[at], places - (ends[at] - self.count[order][at])


def _generator(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
