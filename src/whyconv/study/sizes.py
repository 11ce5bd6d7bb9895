"""Nested sets of training pictures: each draw's smaller sets lie in its larger ones, classes as equal as can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST = 50


def nested_order(labels: NDArray[np.int32], seed: int) -> NDArray[np.int64]:
    """An order of the pictures whose first n are a class-balanced draw, for every n.

    Pictures of each class in random order; then one of every class in turn, the classes in a random order of each
    round, until a class has none left.

    Args:
        labels: Class of every picture (n,).
        seed: Of the draw.

    Returns:
        A permutation of 0 .. n - 1.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, len(labels)])))
    shuffled = random.permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = shuffled[labels[shuffled] == label]
        turn[rows] = np.arange(len(rows))
    return np.lexsort((random.random(len(labels)), turn))


def training_sizes(num_train: int, num_classes: int, most: int) -> list[int]:
    """Numbers of training pictures: 50, doubled again and again, and all; at most ``most`` of them.

    With many classes the first is two pictures a class. Where there would be too many, the largest is kept, and of
    the others those that are farthest apart.
    """
    first = max(SMALLEST, 2 * num_classes)
    sizes = []
    while first * 1.5 < num_train:
        sizes.append(first)
        first *= 2
    if most <= 1 or not sizes:
        return [num_train]
    kept = np.unique(np.linspace(0, len(sizes), min(most, len(sizes) + 1)).round().astype(int))
    return [[*sizes, num_train][place] for place in kept]
