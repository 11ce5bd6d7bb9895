"""The gain split evenly: parts that add up, the value of two players found by hand, intervals paired by draw."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from small_square import SMALL, small_pictures
from whyconv.results import CORNERS, PLACES, Corner
from whyconv.results.atlas import EvenSplit
from whyconv.study import even_split, even_splits, measure_square
from whyconv.study.split import split_gain

ACCURACIES = st.lists(st.tuples(*[st.integers(0, 1000)] * 4), min_size=2, max_size=6)
# Corners by who has come: locality, sharing.
COALITIONS: dict[frozenset[str], Corner] = {
    frozenset(): "dense",
    frozenset({"locality"}): "local",
    frozenset({"sharing"}): "shared_global",
    frozenset({"locality", "sharing"}): "convolution",
}


def by_corner(rows: list[tuple[int, ...]]) -> dict[Corner, list[float]]:
    return {corner: [row[column] / 1000 for row in rows] for column, corner in enumerate(CORNERS)}


def shapley(values: dict[Corner, Fraction], player: str) -> Fraction:
    """What a player adds on arriving, averaged over the orders of arriving: the definition."""
    added = []
    for order in permutations(("locality", "sharing")):
        before = frozenset(order[: order.index(player)])
        added.append(values[COALITIONS[before | {player}]] - values[COALITIONS[before]])
    return sum(added, Fraction(0)) / len(added)


@given(rows=ACCURACIES)
def test_the_parts_add_up_to_the_gain_and_are_the_value_by_its_definition(rows: list[tuple[int, ...]]) -> None:
    split = even_split(by_corner(rows), "still")
    assert split.locality.value + split.sharing.value == pytest.approx(split.gain.value, abs=1e-12)
    for player, found in (("locality", split.locality), ("sharing", split.sharing)):
        draws = [
            shapley({corner: Fraction(row[column], 1000) for column, corner in enumerate(CORNERS)}, player)
            for row in rows
        ]
        assert found.value == pytest.approx(float(sum(draws) / len(draws)), abs=1e-12)
        assert (found.n, found.over) == (len(rows), "draws")


def test_both_orders_count_alike() -> None:
    rows = by_corner([(500, 530, 700, 810), (480, 560, 690, 790), (510, 540, 720, 800)])
    orders, split = split_gain(rows, "moved", 100), even_split(rows, "moved")
    assert split.locality.value == pytest.approx((orders.locality_first.value + orders.locality_second.value) / 2)
    assert split.sharing.value == pytest.approx((orders.sharing_first.value + orders.sharing_second.value) / 2)
    assert split.gain == orders.gain
    first_order_alone = orders.locality_first.value
    assert abs(split.locality.value - first_order_alone) > 0.01


def test_the_interval_is_that_of_the_draws_own_parts() -> None:
    split = even_split(by_corner([(500, 530, 700, 810), (480, 560, 690, 790), (510, 540, 720, 800)]), "still")
    own = [(0.030 + 0.110) / 2, (0.080 + 0.100) / 2, (0.030 + 0.080) / 2]
    # Student's t at 0.975 with 2 degrees of freedom, from a table.
    half = 4.302653 * stdev(own) / 3**0.5
    assert (split.locality.low, split.locality.high) == pytest.approx((fmean(own) - half, fmean(own) + half), abs=1e-6)


def test_a_square_gives_both_places_at_its_largest_size() -> None:
    square = measure_square(small_pictures(), SMALL.model_copy(update={"steps": 3}))
    found: list[EvenSplit] = even_splits(square)
    assert [one.place for one in found] == list(PLACES)
    for one in found:
        assert one.gain == square.split(one.place).gain
        assert one.locality.value + one.sharing.value == pytest.approx(one.gain.value, abs=1e-12)
