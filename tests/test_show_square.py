"""The control square as lines: at most 80 columns, exact and estimated apart, and the loser is named."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from made_up_why import SQUARE, corners, made_up_square, made_up_why, with_matched, without_targets
from whyconv.report.why_square import claims_block, controls_block, curves_block, square_block
from whyconv.results import CORNERS, PLACES, Place
from whyconv.results.claims import matched_words
from whyconv.results.numbers import in_percent
from whyconv.show.square import brief_square_lines, square_lines
from whyconv.show.why import detail_lines, why_lines
from whyconv.study.controls import UNMOVED
from whyconv.texts import say


@pytest.mark.parametrize("language", ["en", "ko"])
def test_it_fits_a_terminal(language: str) -> None:
    lines = square_lines(SQUARE, language)
    assert [line for line in lines if cell_len(line) > 80] == []
    assert len(lines) < 125
    brief = brief_square_lines(SQUARE, language)
    assert max(map(cell_len, brief)) <= 80
    assert len(brief) < 40
    assert set(brief) <= set(lines)


def test_the_loser_is_named_and_the_winner() -> None:
    text = " ".join(" ".join(square_lines(SQUARE, "en")).split())
    assert "As they are, the convolution loses 25.0 ± 1.2 points" in text
    assert "Moved, the convolution gains 20.0 ± 1.2 points" in text
    assert "wherever a picture lies" in text
    equal = made_up_square({"still": corners(0.7, 0.7), "moved": corners(0.7, 0.7)})
    text = " ".join(" ".join(square_lines(equal, "en")).split())
    assert "As they are, no difference" in text
    assert "wherever a picture lies" not in text
    only_loses = made_up_square({"still": corners(0.95, 0.7), "moved": corners(0.7, 0.7)})
    assert "wherever a picture lies" not in " ".join(" ".join(square_lines(only_loses, "en")).split())


def test_both_orders_and_the_controls_stand_there() -> None:
    lines = square_lines(SQUARE, "en")
    text = "\n".join(lines)
    assert "locality first -5.0 ± 0.2, then sharing -20.0 ± 1.0" in text
    assert "sharing first -15.0 ± 0.5, then locality -10.0 ± 0.7" in text
    assert "interaction -5.0 ± 0.5" in text
    assert text.count("= 0 exactly") == 2 * sum(map(len, UNMOVED.values()))
    assert any(line.split()[:3] == ["random", "signs", "="] for line in lines)
    assert "12 of 40 trainings chose the least" in " ".join(text.split()) or "trainings chose the least" in text
    assert "3 draws" in text
    assert "moving shows what only the shared corners have, invariance to shifts." in " ".join(text.split())
    assert "12,345 test pictures" in " ".join(text.split())


def test_who_has_not_learned_is_named_wherever_a_winner_is() -> None:
    unlearned = "Not yet learned to 99 % of its own pictures: dense, moved, 73.1 % in 25 steps."
    why = made_up_why()
    for lines in (square_lines(SQUARE, "en"), brief_square_lines(SQUARE, "en"), why_lines(why, "en")):
        assert unlearned in " ".join(" ".join(lines).split())
    assert any(unlearned in str(note).replace("\xa0", " ") for note in claims_block(why, "en").notes)
    text = " ".join(" ".join(square_lines(SQUARE, "en")).split())
    assert "all stopped after the same 25 steps: dense 94.0 (89-99)" in text
    quick = SQUARE.model_copy(
        update={
            "scores": [
                one.model_copy(update={"train_accuracy": one.train_accuracy.model_copy(update={"value": 1.0})})
                for one in SQUARE.scores
            ]
        }
    )
    assert "Not yet learned" not in "".join(square_lines(quick, "en"))


def test_what_curves_say_stands_there() -> None:
    text = " ".join(" ".join(square_lines(SQUARE, "en")).split())
    for words in (
        "> 12,000",
        "<= 50",
        "1,234 (1,100-1,401)",
        "dense / convolution unknown 0.31 (0.2-0.41)",
        "unknown > 4.1",
        "dense 0.41 (0.35-0.52)",
        "all have 90 % in training, as they are, n = 12,000: dense +20.0",
        "Paired by draw: dense - convolution +15.0 ± 6.1, dense - local +15.0 ± 6.1",
        "convolution > 250 (2/3)",
        "local 35 (26-49)",
    ):
        assert words in text, words


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_table_of_dense_networks_names_the_matching(language: str) -> None:
    lines = square_lines(with_matched(SQUARE), language)
    assert [line for line in lines if cell_len(line) > 80] == []
    text = "\n".join(lines)
    names = ("same units", "same parameters", "same multiply-adds") if language == "en" else ("같은 곱셈-덧셈 수",)
    assert all(name in text for name in names)
    assert text.count("13,000,000") == 4
    assert text.count("+0.0 ± 0.0") >= 4
    assert "-10.0 ± 0.0" in text
    why = made_up_why().model_copy(update={"square": with_matched(SQUARE)})
    claimed = " ".join(" ".join(why_lines(why, language)).split())
    assert say("why_same_parameters", language, **matched_words(why.square)) in claimed
    assert "12,345,678 against 12,345,678) has 11 hidden units" in claimed or language == "ko"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_claims_fit_one_screen(language: str) -> None:
    lines = why_lines(made_up_why(), language)
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) < 60


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_screen_has_the_accuracies_of_the_corners(language: str) -> None:
    whole = {"value": 1.0, "low": 1.0, "high": 1.0}
    easy = [one.model_copy(update={"accuracy": one.accuracy.model_copy(update=whole)}) for one in SQUARE.scores]
    for square in (SQUARE, SQUARE.model_copy(update={"scores": easy})):
        lines = why_lines(made_up_why().model_copy(update={"square": square}), language)
        assert max(map(cell_len, lines)) <= 80
        at = next(at for at, line in enumerate(lines) if "12,000" in line)
        assert ("same units" if language == "en" else "같은 유닛 수") in lines[at]
        assert all(say(f"square_corner_{corner}", language) in lines[at + 1] for corner in CORNERS)
        for place, line in zip(PLACES, lines[at + 2 : at + 4], strict=True):
            name, *found = re.split("  +", line.strip())
            assert name == say(f"why_row_{place}", language)
            assert found == [in_percent(square.score(corner, place).accuracy) for corner in CORNERS]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_table_with_a_dense_corner_says_which_dense_network_it_is(language: str) -> None:
    dense = "(dense: same units" if language == "en" else "(완전 연결: 같은 유닛 수"
    paragraphs = "\n".join(square_lines(SQUARE, language)).split("\n\n")
    tables = [part for part in paragraphs if f"{say('square_corner_dense', language)}  " in part]
    assert len(tables) == 1 + 2 + 2 + 2
    assert [part for part in tables if dense not in " ".join(part.split())] == []
    blocks = (square_block(SQUARE, language), controls_block(SQUARE, language), curves_block(SQUARE, language))
    told = [figure.title for figure in blocks[0].figures]
    told += [table.title for block in blocks for table in block.tables]
    told.append(" ".join(blocks[2].about))
    assert len(told) == 2 + 3 + 2 + 1
    assert [one for one in told if dense not in one] == []


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("lacking", [("still",), ("moved",), ("still", "moved")])
def test_the_claims_say_where_there_is_no_target(lacking: tuple[Place, ...], language: str) -> None:
    why = made_up_why()
    square = without_targets(why.square, lacking)
    lines = why_lines(why.model_copy(update={"square": square}), language)
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) < 60
    text = " ".join(" ".join(lines).split())
    assert ("no target" if language == "en" else "목표 없음") in text
    assert ("for 85 %: 0.31" in text) == (lacking == ("moved",) and language == "en")
    assert ("> 4.1" in text) == (lacking == ("still",))
    assert max(map(cell_len, square_lines(square, language))) <= 80


def test_each_claim_has_its_word() -> None:
    text = " ".join(" ".join(why_lines(made_up_why(), "en")).split())
    assert "12,329,294 / 144 = 85,620.1 = 10.1 by locality x 8,459.6 by sharing" in text
    assert "-> holds for any picture: counted" in text
    assert (
        "with sharing -10.0 ± 0.7; moved around +40.0 ± 0.2, with sharing -10.0 ± 0.7 -> depends on the order" in text
    )
    assert "as they are -20.0 ± 1.0, without locality -15.0 ± 0.5; moved around -20.0 ± 1.0" in text
    assert "for 85 %: 0.31 (0.2-0.41); moved around, for 85 %: > 4.1 -> holds where pictures move" in text
    assert "as they are +15.0 ± 6.1 (dense +20.0 ± 0.0, convolution +5.0 ± 0.0)" in text
    assert "moved around +15.0 ± 20.3 (dense +20.0 ± 0.0, convolution +5.0 ± 0.0) -> holds for pictures as" in text
    assert "kappa" in text
    assert "not measurable, fewer than 20 originals" in text
    assert "no test-time views" in " ".join(" ".join(detail_lines(made_up_why(), "en")).split())
    assert "random labels" in text
    assert "consistency" in repr(made_up_why())
