"""What the documents point to is there, and the table of imports in docs/design.md is the one that is enforced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import house_plan
import house_rules

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PARTS = {module.part for module in house_rules.modules(ROOT / "src" / "whyconv")} - {"", "__main__"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_tests_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)]
    tests = [ROOT / name for name in re.findall(r"`(tests/[\w/]+\.py)`", text)]
    assert [str(path) for path in links + tests if not path.exists()] == []


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
