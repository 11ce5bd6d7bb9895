"""Simulated worlds of answers, right or wrong, and the intervals of the scores that are made of them."""

from __future__ import annotations

import numpy as np

from whyconv.training.intervals import fraction, mean_of_shares, paired, share

Random = np.random.Generator
Ends = tuple[float | None, float | None, float]


def ends(found: object, truth: float) -> Ends:
    """Lower end, upper end and truth; an end that is None is as far out as can be."""
    return getattr(found, "low"), getattr(found, "high"), truth  # noqa: B009 - estimates, bands, crossings and errors


def a_fraction(n: int, p: float, random: Random) -> Ends:
    return ends(fraction(int(random.binomial(n, p)), n), p)


def classes(count: int, n: int, least: float, most: float, random: Random) -> Ends:
    """Classes of n pictures each, whose recalls lie evenly from ``least`` to ``most``."""
    recalls = np.linspace(least, most, count)
    labels = np.repeat(np.arange(count), n)
    return ends(mean_of_shares(random.random(count * n) < recalls[labels], labels), float(recalls.mean()))


def copies(groups: int, sizes: tuple[int, ...], alike: float, p: float, random: Random) -> Ends:
    """Groups of copies: a picture is answered as its group is, or, with probability 1 - sqrt(alike), by itself."""
    number = np.repeat(np.arange(groups), random.choice(sizes, groups))
    by_group, alone = (random.random(groups) < p)[number], random.random(len(number)) < p
    values = np.where(random.random(len(number)) < alike**0.5, by_group, alone)
    return ends(share(values, number), p)


def classes_of_copies(groups: int, p: float, random: Random) -> Ends:
    """Ten classes of as many groups, of one to five copies that are all answered alike."""
    number = np.repeat(np.arange(10 * groups), random.choice((1, 1, 1, 2, 5), 10 * groups))
    return ends(mean_of_shares((random.random(10 * groups) < p)[number], number // groups, number), p)


def classes_across_groups(classes: int, groups: int, alike: float, p: float, random: Random) -> Ends:
    """Each group has pictures of every class, of odd ones few; some of its pictures stand or fall together."""
    recalls = np.clip(p + 0.1 * (-1.0) ** np.arange(classes), 0, 0.99)
    label = np.tile(np.repeat(np.arange(classes), np.where(np.arange(classes) % 2, 1, 3)), groups)
    group = np.repeat(np.arange(groups), len(label) // groups)
    together = random.random(len(label)) < alike
    answered = np.where(together, random.random(groups)[group], random.random(len(label))) < recalls[label]
    return ends(mean_of_shares(answered, label, group), float(recalls.mean()))


def kept_shares(n: int, perfect: float, random: Random) -> Ends:
    """Each picture keeps its answer under all moves, or under a share of them."""
    values = np.where(random.random(n) < perfect, 1.0, random.beta(2, 2, n))
    return ends(share(values), perfect + (1 - perfect) / 2)


def signs(n: int, better: float, worse: float, random: Random) -> Ends:
    """Pictures that the first answers rightly and the second does not, and the other way round."""
    drawn = random.choice([1.0, 0.0, -1.0], n, p=[better, 1 - better - worse, worse])
    return ends(paired(drawn), better - worse)


def thirds(n: int, random: Random) -> Ends:
    """Means over three seeds of either."""
    return ends(paired((random.binomial(3, 0.9, n) - random.binomial(3, 0.85, n)) / 3), 0.05)
