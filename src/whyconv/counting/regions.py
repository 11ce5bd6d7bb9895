"""The pixels behind every place of a value: a union of products of sets along the axes.

A window that slides keeps a product a product. Where branches meet, the union of two products is none in general (a
1 x 3 and a 3 x 1 window make a cross), so both are kept, unless one lies within the other at every place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whyconv.counting.axis import Axis
from whyconv.counting.bits import Rows, as_array, everything, gather, is_within, own_pixels, union

Product = tuple[Rows, ...]
# More are joined into the one product that holds them, and the answer is called a bound.
MOST_PRODUCTS = 64


@dataclass(frozen=True)
class Regions:
    """For each place (u, v, ...) the pixels in the union over products of ``rows_0[u] x rows_1[v] x ...``.

    Attributes:
        products: Each with one set of rows for each spatial axis; none where nothing depends on the picture.
        lengths: Of the picture along each axis.
        is_bound: Whether pixels may be among them that the place does not depend on.
    """

    products: tuple[Product, ...]
    lengths: tuple[int, ...]
    is_bound: bool = False

    @staticmethod
    def of_picture(lengths: tuple[int, ...]) -> Regions:
        """Returns those of the picture itself."""
        return Regions((tuple(own_pixels(length) for length in lengths),), lengths)

    @property
    def places(self) -> tuple[int, ...]:
        """Places along each axis; () where nothing depends on the picture."""
        return tuple(len(rows) for rows in self.products[0]) if self.products else ()

    def behind(self, axes: tuple[Axis, ...], *, is_transposed: bool) -> Regions:
        """Returns the regions of the outputs of a window that slides over the places."""
        moved = []
        for product in self.products:
            made: dict[tuple[int, Axis], Rows] = {}  # of a square picture both axes are the same
            for rows, axis in zip(product, axes, strict=True):
                if (key := (id(rows), axis)) not in made:
                    made[key] = gather(rows, axis, is_transposed=is_transposed)
            moved.append(tuple(made[id(rows), axis] for rows, axis in zip(product, axes, strict=True)))
        return self._with(moved)

    def repeated(self, places: tuple[int, ...]) -> Regions:
        """Returns the regions where an axis with one place is used at many."""
        products = (
            tuple(rows * size if len(rows) == 1 else rows for rows, size in zip(product, places, strict=True))
            for product in self.products
        )
        return self._with(products)

    def collapsed(self, *, is_bound: bool = False) -> Regions:
        """Returns the one region of an output that depends on every place."""
        products = (tuple((everything(rows),) for rows in product) for product in self.products)
        return Regions(_pruned(products), self.lengths, self.is_bound or is_bound)

    def joined(self, other: Regions) -> Regions:
        """Returns the union at each place."""
        products = _pruned((*self.products, *other.products))
        is_bound = self.is_bound or other.is_bound
        if len(products) > MOST_PRODUCTS:
            axes = range(len(self.lengths))
            widest = tuple(_union_of([product[axis] for product in products]) for axis in axes)
            return Regions((widest,), self.lengths, is_bound=True)
        return Regions(products, self.lengths, is_bound)

    def _with(self, products: Iterable[Product]) -> Regions:
        return Regions(_pruned(products), self.lengths, self.is_bound)

    def mask(self, place: tuple[int, ...]) -> NDArray[np.bool_]:
        """Returns the region of one place as an array of the picture's spatial shape."""
        found = np.zeros(self.lengths, dtype=bool)
        for product in self.products:
            sets = [as_array(rows[at], length) for rows, at, length in zip(product, place, self.lengths, strict=True)]
            found |= np.logical_and.reduce(np.ix_(*sets))
        return found

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The number of pixels in the region of each place, in an array of as many axes."""
        return _sizes(self.products)

    def num_bytes(self) -> int:
        """About the memory that the sets take."""
        return sum(
            len(rows) * (length // 8 + 36)
            for product in self.products
            for rows, length in zip(product, self.lengths, strict=True)
        )


def _pruned(products: Iterable[Product]) -> tuple[Product, ...]:
    """The same union with fewer products: none empty or within another, joined where one axis alone differs."""
    kept: list[Product] = []
    for product in products:
        if all(any(rows) for rows in product):
            kept = _added(kept, product)
    return tuple(kept)


def _added(kept: list[Product], product: Product) -> list[Product]:
    for place, other in enumerate(kept):
        differing = [axis for axis, rows in enumerate(product) if rows is not other[axis] and rows != other[axis]]
        if len(differing) <= 1:
            joined = tuple(union(*pair) if axis in differing else pair[0] for axis, pair in _pairs(product, other))
            return _added(kept[:place] + kept[place + 1 :], joined) if differing else kept
    if any(_lies_within(product, other) for other in kept):
        return kept
    return [*(other for other in kept if not _lies_within(other, product)), product]


def _pairs(one: Product, other: Product) -> Iterable[tuple[int, tuple[Rows, Rows]]]:
    return enumerate(zip(one, other, strict=True))


def _lies_within(one: Product, other: Product) -> bool:
    return all(is_within(*pair) for _, pair in _pairs(one, other))


def _union_of(rows: list[Rows]) -> Rows:
    joined = rows[0]
    for more in rows[1:]:
        joined = union(joined, more)
    return joined


def _sizes(products: tuple[Product, ...]) -> NDArray[np.int64]:
    """Pixels in the union at each place: along the first axis, those in the same products are counted at once."""
    first = [product[0] for product in products]
    if not products or len(products[0]) == 1:
        return np.array([bits.bit_count() for bits in _union_of(first)] if first else [], dtype=np.int64)
    rest: dict[tuple[int, ...], NDArray[np.int64]] = {}
    sizes = []
    for row in zip(*first, strict=True):
        total: NDArray[np.int64] | int = 0
        for members, count in _parted(row).items():
            if members not in rest:
                rest[members] = _sizes(tuple(products[member][1:] for member in members))
            total = total + count * rest[members]
        sizes.append(total if isinstance(total, np.ndarray) else np.zeros([len(r) for r in products[0][1:]], np.int64))
    return np.stack(sizes)


def _parted(sets: tuple[int, ...]) -> dict[tuple[int, ...], int]:
    """How many pixels lie in exactly these of the sets, for every choice that occurs; those in none left out."""
    parts: dict[tuple[int, ...], int] = {(): everything(sets)}
    for member, bits in enumerate(sets):
        split: dict[tuple[int, ...], int] = {}
        for members, pixels in parts.items():
            if inside := pixels & bits:
                split[*members, member] = inside
            if outside := pixels & ~bits:
                split[members] = outside
        parts = split
    return {members: pixels.bit_count() for members, pixels in parts.items()}
