from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from made_up_run import BARE, KOREAN, content
from whyconv.report import ReportContent, write_card
from whyconv.report.card import card, escaped

SECTIONS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]


def headings(text: str) -> list[str]:
    return re.findall(r"^## \d\. (.*)$", text, re.M)


def test_the_nine_sections_stand_in_the_order_of_the_paper() -> None:
    assert headings(card(content())) == SECTIONS
    assert headings(card(ReportContent(run="x", summary=BARE))) == SECTIONS
    assert len(headings(card(content(KOREAN), "ko"))) == 9


def test_what_nobody_stated_is_not_made_up() -> None:
    text = card(ReportContent(run="x", summary=BARE))
    rows = [line for line in text.splitlines() if line.startswith("- **")]
    known = {"Kind", "Training", "Factors reported on"}
    for row in rows:
        label, value = row.removeprefix("- **").split("**: ")
        assert label in known or value == "not stated", row
    assert "%" not in text.split("## 7")[1]


def test_what_the_owner_states_is_said() -> None:
    text = card(content(statements={"license": "CC BY 4.0", "ethics": "No people\nare shown."}))
    assert "- **License**: CC BY 4.0" in text
    assert "No people are shown." in text
    assert "- **Contact**: not stated" in text


def test_every_class_has_both_numbers_with_interval_and_n() -> None:
    made = content()
    assert made.summary.test is not None
    rows = [line for line in card(made).splitlines() if line.startswith("| ") and "interval" in line]
    assert len(rows) == 5
    for row, score in zip(rows, made.summary.test.classes, strict=True):
        for estimate in (score.recall, score.precision):
            assert estimate is not None
            low, high = f"{100 * estimate.low:.1f}\u00a0%", f"{100 * estimate.high:.1f}\u00a0%"
            assert (
                f"{100 * estimate.value:.1f}\u00a0% (95\u00a0% interval {low} to {high}, n={estimate.n} pictures)"
                in row
            )


def test_classes_without_a_score_of_their_own_are_counted() -> None:
    made = content()
    assert made.summary.test is not None
    few = made.summary.test.model_copy(update={"classes": made.summary.test.classes[:2]})
    assert "parameters, 5 classes" in card(replace(made, summary=made.summary.model_copy(update={"test": few})))


def test_leaks_and_a_missing_test_part_are_caveats() -> None:
    caveats = card(content()).split("## 9")[1]
    assert "the scores may be too good" in caveats
    assert "no test part" not in caveats
    alone = content(summary=content().summary.model_copy(update={"test": None}))
    assert "no test part" in card(alone).split("## 9")[1]
    assert "The scores hold for" in caveats
    assert "The scores hold for" not in card(ReportContent(run="x", summary=BARE))


@pytest.mark.parametrize(
    "name", ["a|b", "<img src=x>", "**bold**", "[x](y)", "`code`", "# head", "~~gone~~", "a_b_c", "&lt;"]
)
def test_names_are_only_letters_in_markdown(name: str) -> None:
    text = escaped(name)
    assert not re.search(r"(?<!\\)[|*_`\[\]#~]", text)
    assert "<" not in text
    rows = [
        line for line in card(content((name, "other"))).splitlines() if line.startswith("| ") and "interval" in line
    ]
    assert len(rows) == 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


def test_a_name_with_a_line_end_cannot_begin_a_section() -> None:
    assert headings(card(content(("cat\n## 10. Forged", "dog")))) == SECTIONS


def test_the_card_is_written(tmp_path: Path) -> None:
    write_card(tmp_path / "MODEL_CARD.md", content(KOREAN), "ko")
    assert "## 1. 모델 정보" in (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")
