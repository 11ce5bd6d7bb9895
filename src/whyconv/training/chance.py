"""What chance alone would show: right answers, bin by bin, of recognizers whose probabilities are all true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_SIMULATIONS = 1000
# Pictures that are simulated one by one; of more, neighbors in probability are simulated together.
_MOST_CELLS = 6000
_DRAWN_AT_ONCE = 2_000_000
# Copies of groups that are wrong in one simulation, on average: up to so many are drawn, of more sums are normal.
_MOST_WRONG = 20_000
# Groups that are drawn all the same, the largest ones: what the others add up to is nearly normal without these.
_MOST_LARGE = 200
_ROWS = 65_536

Floats = NDArray[np.float64]


def simulated_rights(sure: Floats, starts: NDArray[np.int_], groups: NDArray[np.int64] | None) -> Floats:
    """Right answers in each bin, of 1,000 recognizers whose probabilities are true, always with the same seed.

    Args:
        sure: Probabilities of the first answers (n,), ascending.
        starts: Of the bins (bins,).
        groups: Pictures with equal numbers (n,) are answered alike: of one number in [0, 1) for all of them, those
            whose probability is above it are right; None: all are independent.

    Returns:
        (1,000, bins).
    """
    draws, n, num_bins = np.random.default_rng(0), len(sure), len(starts)
    bins = np.repeat(np.arange(num_bins), np.diff(starts, append=n))
    if groups is None:
        return _rights_alone(sure, bins, num_bins, draws)
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    together = sizes[numbers] > 1
    alone = _rights_alone(sure[~together], bins[~together], num_bins, draws)
    if not together.any():
        return alone
    copies = _Copies.of(sure[together], bins[together], numbers[together], num_bins)
    if copies.num_wrong <= _MOST_WRONG:
        return alone + copies.drawn(draws)
    is_large = np.zeros(len(copies.sizes), bool)
    is_large[np.argsort(-copies.sizes, kind="stable")[:_MOST_LARGE]] = True
    return alone + copies.some(is_large).searched(draws) + copies.some(~is_large).normal(draws)


def _rights_alone(sure: Floats, bins: NDArray[np.int_], num_bins: int, draws: np.random.Generator) -> Floats:
    """Of pictures that are independent; neighbors in probability are drawn at once where there are many."""
    n, starts, rights = len(sure), np.flatnonzero(np.diff(bins, prepend=-1)), np.zeros((NUM_SIMULATIONS, num_bins))
    cells = np.union1d(starts, np.linspace(0, n, min(n, _MOST_CELLS), endpoint=False).round().astype(int))
    counts = np.diff(cells, append=n)
    means = np.minimum(np.add.reduceat(sure, cells) / counts, 1.0) if n else sure
    firsts = np.flatnonzero(np.diff(bins[cells], prepend=-1))
    for some in _pieces(len(cells)):
        found = draws.binomial(counts, means, (some.stop - some.start, len(cells)))
        rights[some, bins[starts]] = np.add.reduceat(found, firsts, axis=1)
    return rights


def _pieces(num_drawn: int) -> Iterator[slice]:
    """Yields which simulations are drawn together, where each draws so many numbers; none where that is 0."""
    at_once = max(1, _DRAWN_AT_ONCE // max(1, num_drawn))
    for begin in range(0, NUM_SIMULATIONS, at_once) if num_drawn else ():
        yield slice(begin, min(begin + at_once, NUM_SIMULATIONS))


def _hits(num_trials: int, chance: float, draws: np.random.Generator) -> NDArray[np.int_]:
    """Which of many trials hit, each by the same chance: drawn are the steps from one to the next."""
    found, last, expected = [], -1, num_trials * chance
    while last < num_trials:
        steps = draws.geometric(chance, int(expected + 6 * expected**0.5) + 10)
        found.append(last + steps.cumsum())
        last = int(found[-1][-1])
    hits = np.concatenate(found)
    return hits[hits < num_trials]


@dataclass(frozen=True, eq=False)
class _Copies:
    """Pictures that are answered alike, group after group, in each the surest first.

    Attributes:
        sure: Probabilities of the first answers (n,).
        bins: Theirs (n,).
        starts: Of the groups (groups,).
        num_bins: There are.
    """

    sure: Floats
    bins: NDArray[np.int_]
    starts: NDArray[np.int_]
    num_bins: int

    @classmethod
    def of(cls, sure: Floats, bins: NDArray[np.int_], groups: NDArray[np.int_], num_bins: int) -> _Copies:
        """Puts pictures in order by their groups (n,)."""
        order = np.lexsort((-sure, groups))
        return cls(sure[order], bins[order], np.flatnonzero(np.diff(groups[order], prepend=-1)), num_bins)

    @property
    def sizes(self) -> NDArray[np.int_]:
        """Of the groups (groups,)."""
        return np.diff(self.starts, append=len(self.sure))

    @property
    def doubts(self) -> Floats:
        """How probable it is that not all of a group are right (groups,)."""
        return 1 - self.sure[self.starts + self.sizes - 1]

    @property
    def num_wrong(self) -> float:
        """At most so many are wrong, on average."""
        return float(self.doubts @ self.sizes)

    def some(self, wanted: NDArray[np.bool_]) -> _Copies:
        """Those of some groups (groups,)."""
        rows, sizes = np.repeat(wanted, self.sizes), self.sizes[wanted]
        return _Copies(self.sure[rows], self.bins[rows], np.cumsum(sizes) - sizes, self.num_bins)

    def drawn(self, draws: np.random.Generator) -> Floats:
        """One number for each group; those in which all are right are passed over and never drawn."""
        rights = np.tile(np.bincount(self.bins, minlength=self.num_bins).astype(np.float64), (NUM_SIMULATIONS, 1))
        doubts, sizes = self.doubts, self.sizes
        orders = np.floor(-np.log2(np.maximum(doubts, np.finfo(float).tiny)))
        for order in np.unique(orders[doubts > 0]).tolist():
            groups, at_most = np.flatnonzero((orders == order) & (doubts > 0)), 0.5**order
            for some in _pieces(int(at_most * sizes[groups].sum()) + 1):
                hits = _hits(len(groups) * (some.stop - some.start), at_most, draws)
                hits = hits[at_most * draws.random(len(hits)) < doubts[groups[hits % len(groups)]]]
                rights[some] -= self._wrong(groups[hits % len(groups)], hits // len(groups), some, draws)
        return rights

    def _wrong(
        self, groups: NDArray[np.int_], simulations: NDArray[np.int_], some: slice, draws: np.random.Generator
    ) -> NDArray[np.int_]:
        """Wrong answers (simulations, bins) where these groups are not right throughout."""
        sizes, ends = self.sizes[groups], np.cumsum(self.sizes[groups])
        rows = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[groups] - (ends - sizes), sizes)
        numbers = 1 - self.doubts[groups] * (1 - draws.random(len(groups)))
        is_wrong = self.sure[rows] <= np.repeat(numbers, sizes)
        places = (np.repeat(simulations, sizes) * self.num_bins + self.bins[rows])[is_wrong]
        shape = some.stop - some.start, self.num_bins
        return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)

    def searched(self, draws: np.random.Generator) -> Floats:
        """One number for each of a few groups, however large: how many lie above it is looked up bin by bin."""
        groups = np.repeat(np.arange(len(self.starts)), self.sizes)
        order = np.lexsort((self.sure, self.bins, groups))
        runs = groups * self.num_bins + self.bins[order]
        firsts = np.flatnonzero(np.diff(runs, prepend=-1))
        ends, sums = np.append(firsts[1:], len(runs)), np.eye(self.num_bins)[self.bins[order][firsts]]
        # Each run has a stretch of numbers of its own.
        offsets = 2 * np.arange(len(firsts))
        values = self.sure[order] + np.repeat(offsets, ends - firsts)
        rights = np.zeros((NUM_SIMULATIONS, self.num_bins))
        for some in _pieces(len(firsts)):
            numbers = draws.random((some.stop - some.start, len(self.starts)))[:, groups[firsts]]
            rights[some] = (ends - np.searchsorted(values, numbers + offsets, side="right")) @ sums
        return rights

    def normal(self, draws: np.random.Generator) -> Floats:
        """Sums with the means and covariances that one number for each group makes, from a normal distribution."""
        means, covariances = self.moments()
        lengths, axes = np.linalg.eigh(covariances)
        # The symmetric root: other machines turn the axes otherwise.
        root = (axes * np.sqrt(np.maximum(lengths, 0))) @ axes.T
        return np.asarray(means + draws.standard_normal((NUM_SIMULATIONS, self.num_bins)) @ root)

    def moments(self) -> tuple[Floats, Floats]:
        """Means (bins,) and covariances (bins, bins) of the right answers."""
        means, squares = np.zeros(self.num_bins), np.zeros((self.num_bins, self.num_bins))
        edges = np.append(self.starts, len(self.sure))
        cuts = np.unique(np.append(np.searchsorted(edges, np.arange(0, len(self.sure), _ROWS)), len(self.starts)))
        for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            rows, starts = slice(edges[first], edges[last]), self.starts[first:last] - edges[first]
            sizes, sure = self.sizes[first:last], self.sure[rows]
            shown = np.eye(self.num_bins)[self.bins[rows]]
            expected = np.add.reduceat(shown * sure[:, None], starts)
            # The surest k of a group are right, and no other, with the probability that lies between it and the next.
            counts = shown.cumsum(axis=0)
            counts -= np.repeat((counts - shown)[starts], sizes, axis=0)
            following = np.append(sure[1:], 0.0)
            following[starts + sizes - 1] = 0
            means += expected.sum(axis=0)
            squares += (counts * (sure - following)[:, None]).T @ counts - expected.T @ expected
        return means, squares
