"""Views of the served page for networks without maps and through windows; and one view that fails, alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from page_checks import close_to, example, shares, value_of
from page_driver import TABS, Open, comes, quiet_pages, serving_page
from served_run import SIDE, WINDOW, write_flat_run, write_windowed_run
from whyconv.texts import sentences

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

FIRST_WINDOW = {"en": "the first of 9 windows of the picture, top left", "ko": "창 9개 중 왼쪽 위 첫 번째 창"}


def test_a_moved_picture_is_answered_where_no_map_has_rows(browser: Any, tmp_path: Path, expect: Any) -> None:
    run, pixels = write_flat_run(tmp_path / "flat-1"), example(1)
    with serving_page(run) as address, quiet_pages(browser, address, {}) as load:
        page = load("invariance")
        panel = page.locator("#panel-invariance")
        expect(panel).to_contain_text("a layer whose maps have rows")
        panel.get_by_role("application").focus()
        page.keyboard.press("ArrowRight")
        expect(panel.locator("output")).to_have_text("moved by 0 down, 1 right")
        lists = panel.locator(".answers .ranked")
        comes(lambda: shares(lists.nth(0)), close_to(run, pixels))
        comes(lambda: shares(lists.nth(1)), close_to(run, np.roll(pixels, 1, 1)))
        expect(page.get_by_role("tab")).to_have_count(len(TABS))
        for tab in TABS:
            page.locator(f"#tab-{tab}").click()
            expect(page.locator(f"#panel-{tab}")).not_to_be_empty()
        expect(page.get_by_role("alert")).to_be_empty()


def test_a_view_that_fails_takes_no_other_away(open_page: Open, expect: Any) -> None:
    told = {key: one["en"] for key, one in sentences().items() if key.startswith("page_") and key != "page_steps"}
    page = open_page("steps", routes={"**/v1/texts*": json.dumps(told)})
    expect(page.get_by_role("alert")).to_have_text("There is no sentence page_steps")
    expect(page.get_by_role("tab")).to_have_count(len(TABS))
    page.locator("#tab-table").click()
    expect(page.locator("#panel-table .identity")).to_be_visible()


def test_maps_of_the_first_window_are_said_to_be_that(browser: Any, tmp_path: Path, expect: Any) -> None:
    run, pixels = write_windowed_run(tmp_path / "windowed-1"), example(1)
    still = value_of(run, pixels, "conv2d")
    seen = np.zeros((SIDE, SIDE), bool)
    for y, x in np.ndindex(SIDE, SIDE):
        changed = pixels.copy()
        changed[y, x] = 255 - changed[y, x]
        seen[y, x] = not np.array_equal(value_of(run, changed, "conv2d"), still)
    assert seen[:WINDOW, :WINDOW].all()
    assert seen.sum() == WINDOW**2
    with serving_page(run) as address, quiet_pages(browser, address, {}) as load:
        for language, words in FIRST_WINDOW.items():
            page = load("sharing", language)
            expect(page.locator("#panel-sharing figcaption", has_text=words)).to_have_count(1)
            for tab in ("sharing", "sparsity", "invariance", "steps"):
                page.locator(f"#tab-{tab}").click()
                expect(page.locator(f"#panel-{tab} p.about", has_text=f"{WINDOW} × {WINDOW}")).to_be_visible()
        told = page.evaluate("fetch('/v1/recognizer').then(answer => answer.json())")
    # Along each axis: at one border, in the middle, at the other.
    assert told["window"] == {"side": WINDOW, "number": len({0, (SIDE - WINDOW) // 2, SIDE - WINDOW}) ** 2}


def test_maps_of_the_whole_picture_are_said_to_be_that(open_page: Open, expect: Any) -> None:
    page = open_page("sharing")
    expect(page.locator("#panel-sharing figcaption", has_text="Its map over the whole picture")).to_have_count(1)
    expect(page.locator("#panel-sharing", has_text="windows")).to_have_count(0)
