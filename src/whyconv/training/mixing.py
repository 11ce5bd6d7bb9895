"""How near the order of a stream comes to a full shuffle, by the classes that meet in a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyconv.results import Estimate
from whyconv.training.intervals import mean
from whyconv.training.streamed import Stream

_FEWEST, _PASSES = 3, 32


def mixing(stream: Stream, batch: int) -> Estimate | None:
    """How much the counts of classes vary from batch to batch, where those of a full shuffle vary by 1.

    The mean over the batches of a window of the sum over classes of (n - e)^2 / e, where n is the count of a class in a
    batch and e what it is on average; divided by what is expected where a batch is drawn from all N pictures without
    replacement, (classes - 1) (N - batch) / (N - 1).

    Args:
        stream: Whose labels are looked at; no picture is.
        batch: Pictures of a step.

    Returns:
        The mean over a window of each of 32 passes, with a 95 % t interval over them; None for fewer than three
        windows or two classes.

    References:
        The mean and variance of the multivariate hypergeometric distribution.
    """
    order, counts = stream.order(batch), stream.counts()
    total, num_met = int(counts.sum()), int((counts > 0).sum())
    if order.windows < _FEWEST or num_met < 2 or total <= batch:
        return None
    # Of one pass each, for windows of the same pass share their blocks.
    numbers = [each * order.windows + each * order.windows // _PASSES for each in range(_PASSES)]
    shares = counts / total
    expected = (num_met - 1) * (total - batch) / (total - 1)
    return mean([_chi_square(_labels(stream, batch, number), shares, batch) / expected for number in numbers], "draws")


def _chi_square(labels: NDArray[np.int32], shares: NDArray[np.float64], batch: int) -> float:
    """Mean over the rows of ``labels``, which are batches."""
    met = shares > 0
    counts = np.stack([np.bincount(row, minlength=len(shares)) for row in labels])[:, met]
    return float((((counts - batch * shares[met]) ** 2) / (batch * shares[met])).sum(axis=1).mean())


def _labels(stream: Stream, batch: int, window: int) -> NDArray[np.int32]:
    """Of all pictures of a window: shape (steps, batch)."""
    blocks, places = (each.ravel() for each in stream.order(batch).window(window, slice(0, batch)))
    labels = np.zeros(len(blocks), np.int32)
    by_block = np.argsort(blocks, kind="stable")
    for rows in np.split(by_block, np.flatnonzero(np.diff(blocks[by_block])) + 1):
        shard, entries = stream.entries(int(blocks[rows[0]]), places[rows])
        first = int(entries.min())
        labels[rows] = stream.shards.labels(shard, first, int(entries.max()) + 1)[entries - first]
    return labels.reshape(-1, batch)
