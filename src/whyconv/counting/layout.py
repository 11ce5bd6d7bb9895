"""What each axis of an array stands for while a network turns arrays about: pictures, channels, places, taps.

Networks move the places of a map into rows of tokens, into windows, into one long vector of features, and back.
A layout keeps, for every axis of an array, the factors it is made of, outermost first; so that after any number of
reshapes it is known which number lies at which place of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple


class Factor(NamedTuple):
    """A part of an axis.

    Attributes:
        role: "n" pictures, "c" channels, "x0", "x1", ... places along a spatial axis, "k0", "k1", ... taps of a
            window along it.
        size: How many.
        step: Of places: the distance between neighbors, in places of the whole axis.
    """

    role: str
    size: int
    step: int = 1


Dim = tuple[Factor, ...]
Layout = tuple[Dim, ...]


def picture_layout(shape: Sequence[int], first_place: int = 2) -> Layout:
    """The layout (n, c, places...) of an array as convolutions take it.

    Args:
        shape: Of the array.
        first_place: The first spatial axis; axes between the pictures and it are channels.
    """
    names = ["n", *["c"] * (first_place - 1), *(f"x{axis}" for axis in range(len(shape) - first_place))]
    return tuple((Factor(role, size),) for role, size in zip(names, shape, strict=False))


def guessed_layout(shape: Sequence[int], first: Dim) -> Layout:
    """The layout of an array of which nobody knows more: as convolutions take it, or features where it has no places.

    Args:
        shape: Of the array.
        first: What its first axis was made of, or that of the array it came from. Only so many of its entries are
            pictures; what else was moved there is channels, that lie in pieces side by side.
    """
    rest = (picture_layout if len(shape) > 2 else feature_layout)(shape)[1:]
    return (_pieces(shape[0], first), *rest) if shape else ()


def _pieces(size: int, first: Dim) -> Dim:
    roles = merged(Factor("n" if factor.role == "n" else "c", factor.size) for factor in first)
    if math.prod(factor.size for factor in roles) == size:
        return roles or (Factor("n", 1),)
    pictures = math.prod(factor.size for factor in roles if factor.role == "n")
    if size % pictures:
        return (Factor("n", size),)
    return merged((Factor("n", pictures), Factor("c", size // pictures))) or (Factor("n", 1),)


def num_pieces(layout: Layout) -> int:
    """How many pieces of one picture lie side by side along the first axis, each of which is computed alike."""
    return math.prod(factor.size for factor in layout[0] if factor.role != "n") if layout else 1


def feature_layout(shape: Sequence[int]) -> Layout:
    """The layout of an array without places: pictures, then channels."""
    return picture_layout(shape, max(len(shape), 1))


def is_place(factor: Factor) -> bool:
    """Whether a factor counts places."""
    return factor.role[0] == "x"


def spots(dim: Dim) -> Iterator[Factor]:
    """The factors of an axis that are places of a map.

    Places inside of channels, as in a map that was flattened, or in patches of which every pixel became a channel, are
    channels themselves.
    """
    for factor in dim:
        if factor.role[0] in "ck" and factor.size > 1:
            return
        if is_place(factor):
            yield factor


def merged(factors: Iterable[Factor]) -> Dim:
    """Neighboring factors that continue each other as one; those of size 1 are left out where others are."""
    kept: list[Factor] = []
    for factor in factors:
        if factor.size == 1:
            continue
        last = kept[-1] if kept else None
        if last and last.role == factor.role and (factor.role[0] in "nc" or last.step == factor.size * factor.step):
            kept[-1] = Factor(factor.role, last.size * factor.size, factor.step)
        else:
            kept.append(factor)
    return tuple(kept)


def permute(layout: Layout, order: Sequence[int]) -> Layout:
    """The layout after the axes changed places."""
    return tuple(layout[axis] for axis in order)


def reshape(layout: Layout, shape: Sequence[int]) -> Layout | None:
    """The layout after a reshape to ``shape``; None where a factor would have to be cut unevenly."""
    if tuple(shape) == tuple(math.prod(factor.size for factor in dim) for dim in layout):
        return layout
    rest = [factor for dim in layout for factor in dim if factor.size > 1][::-1]
    found = [_take(rest, size) for size in shape]
    return None if rest or None in found else tuple(dim for dim in found if dim is not None)


def _take(rest: list[Factor], size: int) -> Dim | None:
    """Takes factors that make ``size`` off the end of ``rest``; the last of them may be cut in two."""
    dim: list[Factor] = []
    missing = size
    while missing > 1:
        if not rest:
            return None
        factor = rest.pop()
        if missing % factor.size == 0:
            dim.append(factor)
            missing //= factor.size
        elif factor.size % missing == 0:
            inner = factor.size // missing
            dim.append(Factor(factor.role, missing, factor.step * inner if is_place(factor) else 1))
            rest.append(Factor(factor.role, inner, factor.step))
            missing = 1
        else:
            return None
    return merged(dim)


def broadcast(layouts: Sequence[Layout]) -> Layout:
    """The layout of numbers computed one by one from arrays of these layouts, the last axes aligned."""
    depth = max(len(layout) for layout in layouts)
    full = [((),) * (depth - len(layout)) + layout for layout in layouts]
    return tuple(max(dims, key=_weight) for dims in zip(*full, strict=True))


def disagree(layouts: Sequence[Layout]) -> bool:
    """Whether arrays whose last axes are aligned have other places at the same index, as a map and itself turned."""
    depth = max(len(layout) for layout in layouts)
    full = [((),) * (depth - len(layout)) + layout for layout in layouts]
    along = ({tuple(_counted(dim)) for dim in dims} - {()} for dims in zip(*full, strict=True))
    if any(len(roles) > 1 for roles in along):
        return True
    where = [_where(layout) for layout in full]
    return any(one[role].isdisjoint(other[role]) for one in where for other in where for role in one.keys() & other)


def _counted(dim: Dim) -> Iterator[str]:
    return (factor.role for factor in dim if is_place(factor) and factor.size > 1)


def _where(layout: Layout) -> dict[str, set[int]]:
    """The axes on which each role lies."""
    found: dict[str, set[int]] = {}
    for axis, dim in enumerate(layout):
        for role in _counted(dim):
            found.setdefault(role, set()).add(axis)
    return found


def is_in_order(dims: Iterable[Dim]) -> bool:
    """Whether axes are nothing but places, and in the picture's order: neither turned nor shuffled."""
    factors = [factor for dim in dims for factor in dim if factor.size > 1]
    roles = [factor.role for factor in factors]
    return all(map(is_place, factors)) and all(one < other for one, other in pairwise(roles))


def place_roles(dims: Iterable[Dim]) -> set[str]:
    """The spatial axes of which there is more than one place."""
    return {role for dim in dims for role in _counted(dim)}


def _weight(dim: Dim) -> tuple[int, bool]:
    return math.prod(factor.size for factor in dim), bool(dim)


def places(layout: Layout) -> dict[str, int]:
    """How many places there are along each spatial axis that is no part of the channels, in the axes' order."""
    found: dict[str, int] = {}
    for dim in layout:
        for factor in spots(dim):
            found[factor.role] = found.get(factor.role, 1) * factor.size
    return dict(sorted(found.items()))


def canonical_shape(layout: Layout) -> tuple[int, ...]:
    """The shape (1, c, places...) that an array would have as a map of one picture."""
    sizes = places(layout)
    total = math.prod(factor.size for dim in layout for factor in dim)
    return (1, total // max(num_pictures(layout) * math.prod(sizes.values()), 1), *sizes.values())


def num_pictures(layout: Layout) -> int:
    """How many pictures, or views of one, lie side by side in an array."""
    return math.prod(factor.size for dim in layout for factor in dim if factor.role == "n")
