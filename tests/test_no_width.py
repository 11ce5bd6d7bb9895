"""Repetitions that all gave one number are no certainty: nobody wins by them, wherever winners are named."""

from __future__ import annotations

import re

import pytest

from made_up_atlas import made_up_atlas
from made_up_study import layer_price
from made_up_why import SQUARE
from whyconv.report.why_square import square_block
from whyconv.results import PLACES, Square
from whyconv.results.claims import claims
from whyconv.results.numbers import in_points
from whyconv.show.atlas import atlas_lines
from whyconv.show.square import square_lines
from whyconv.texts import say
from whyconv.training.intervals import mean

PARTS = ("gain", "locality_first", "locality_second", "sharing_first", "sharing_second")
NOTE = say("interval_no_width", "en")


def square_of(value: float) -> Square:
    """The made-up square where all draws gave this difference, whatever was compared."""
    found = mean([value] * 5)
    splits = [one.model_copy(update=dict.fromkeys(PARTS, found)) for one in SQUARE.splits]
    pairs = [one.model_copy(update={"difference": found}) for one in SQUARE.gap_differences]
    return SQUARE.model_copy(update={"splits": splits, "gap_differences": pairs})


def as_text(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_the_sign_of_a_difference_needs_an_interval() -> None:
    assert [mean(values).sign for values in ([0.19, 0.2, 0.21], [-0.21, -0.2, -0.19], [-0.1, 0.2, 0.1])] == [1, -1, 0]
    assert [mean([value] * 5).sign for value in (0.5, 0.0, -0.5)] == [0, 0, 0]


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_no_claim_holds_or_fails(value: float) -> None:
    words = {one.name: one.holds for one in claims(square_of(value))}
    assert {words[name] for name in ("locality", "sharing", "overfitting")} == {"unknown"}


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_no_corner_wins_in_terminal_and_report(value: float) -> None:
    square = square_of(value)
    terminal, block = as_text(square_lines(square, "en")), square_block(square, "en")
    assert NOTE in terminal
    assert NOTE in block.notes
    for place, figure in zip(PLACES, block.figures, strict=True):
        undecided = say(f"square_undecided_{place}", "en", points=in_points(square.split(place).gain))
        assert undecided in terminal
        assert figure.note == undecided
        assert set(re.findall(r'class="(?:arrow|tip) (\w+)"', str(figure.chart))) == {"open"}


@pytest.mark.parametrize("part", [*PARTS, "interaction"])
def test_one_number_without_width_is_enough_for_the_sentence(part: str) -> None:
    assert not SQUARE.some_have_no_width
    first, *others = SQUARE.splits
    splits = [first.model_copy(update={part: mean([0.1] * 5)}), *others]
    assert SQUARE.model_copy(update={"splits": splits}).some_have_no_width


def test_what_a_control_takes_is_a_number_too() -> None:
    def lost(*, is_unmoved: bool) -> Square:
        first, *others = SQUARE.losses
        update = {"points": mean([-0.1] * 5), "is_unmoved": is_unmoved}
        return SQUARE.model_copy(update={"losses": [first.model_copy(update=update), *others]})

    assert lost(is_unmoved=False).some_have_no_width
    assert not lost(is_unmoved=True).some_have_no_width  # exactly 0 by structure: that is certain


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_sharing_has_no_price(value: float) -> None:
    beyond_doubt = {"gain_over_pictures": mean([value, 0.9 * value, 1.1 * value])}
    price = layer_price("a", **beyond_doubt).model_copy(update={"gain": mean([value] * 3, "seeds")})
    assert price.verdict == "undecided"


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_no_set_of_the_atlas_has_a_winner(value: float) -> None:
    atlas = made_up_atlas()
    sets = [
        one.model_copy(
            update={"splits": [split.model_copy(update={"gain": mean([value] * 5)}) for split in one.splits]}
        )
        for one in atlas.sets
    ]
    told = as_text(atlas_lines(atlas.model_copy(update={"sets": sets}), "en"))
    assert NOTE in told
    assert NOTE not in as_text(atlas_lines(atlas, "en"))
    names = ", ".join(one.name for one in sets)
    assert told.count(as_text([say("atlas_undecided", "en", names=names)])) == len(PLACES)


@pytest.mark.parametrize("part", ["accuracy", "locality", "sharing", "gain"])
def test_one_number_of_the_atlas_without_width_is_enough_for_the_sentence(part: str) -> None:
    atlas = made_up_atlas()
    [one] = atlas.sets
    field = "scores" if part == "accuracy" else "splits"
    *others, last = getattr(one, field)
    changed = one.model_copy(update={field: [*others, last.model_copy(update={part: mean([0.5] * 5)})]})
    assert NOTE in as_text(atlas_lines(atlas.model_copy(update={"sets": [changed]}), "en"))
