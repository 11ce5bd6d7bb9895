"""What the documents point to is there, and the table of imports in docs/design.md is the one that is enforced."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import house_plan
import house_rules
from whyconv.settings import TrainSettings
from whyconv.training.recipe import Facts, training_plan

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PARTS = {module.part for module in house_rules.modules(ROOT / "src" / "whyconv")} - {"", "__main__"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_tests_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)]
    tests = [ROOT / name for name in re.findall(r"`(tests/[\w/]+\.py)`", text)]
    assert [str(path) for path in links + tests if not path.exists()] == []


def cells(row: str) -> list[str]:
    """Returns the cells of a row of a table; ``\\|`` is no border between two."""
    return re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))


def broken_tables(text: str) -> list[str]:
    """Returns the header of every table below which no row of dashes has as many cells."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    broken = []
    for table in re.findall(r"(?:^\|.*\n)+", prose + "\n", flags=re.MULTILINE):
        header, *rest = map(cells, table.splitlines())
        dashes = [cell for cell in rest[0] if re.fullmatch(r" *:?-+:? *", cell)] if rest else []
        if not (len(dashes) == len(header) == len(rest[0] if rest else [])):
            broken.append(table.splitlines()[0])
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_table_is_one(page: Path) -> None:
    assert broken_tables(page.read_text(encoding="utf-8")) == []


def test_a_broken_table_is_noticed() -> None:
    assert broken_tables("| a | b \\| c |\n| --- | :-: |\n| 1 | 2 |\n") == []
    for dashes in ("| --- |\n", "| --- | --- | --- |\n", "| 1 | 2 |\n", ""):
        assert broken_tables(f"text\n\n| a | b |\n{dashes}\ntext\n") == ["| a | b |"]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in index and page.stem != "index"] == []


def rows(text: str) -> dict[str, set[str]]:
    """Returns part -> what the table says that it may import."""
    table = text.partition("## Who may import whom")[2].partition("\n## ")[0]
    found = {}
    for first, second in re.findall(r"^\| (`.+?) \| (.+) \|$", table, flags=re.MULTILINE):
        for part in re.findall(r"`(\w+)`", first):
            found[part] = set() if second.startswith("nothing") else set(re.findall(r"`(\w+)`", second))
    return found


def test_the_table_of_imports_is_the_one_enforced() -> None:
    told = rows((ROOT / "docs" / "design.md").read_text(encoding="utf-8"))
    told.pop("cli")
    enforced = {
        part: {other.partition(".")[0] for other in house_plan.MAY_IMPORT[part]} & PARTS
        for part in PARTS - {"cli", *house_plan.GROUND_FLOOR}
    }
    assert told == enforced


def test_the_least_cost_in_the_measures_is_that_of_the_recipe() -> None:
    passage = (
        (ROOT / "docs" / "measures.md").read_text(encoding="utf-8").partition("## Cost J")[2].partition("\n## ")[0]
    )
    asked = [{"network": "swift"}, {"network": "plain"}, {"network": "resnet18"}]
    for settings in asked:
        share = training_plan(TrainSettings(pictures="", **settings), Facts((50,) * 10, 28, 1)).label_smoothing
        truth = np.full(10, share / 10)
        truth[3] += 1 - share
        assert f"s is {share:g}" in passage or f"and {share:g} with other" in passage
        assert f"{-(truth * np.log(truth)).sum():.3f}" in passage
