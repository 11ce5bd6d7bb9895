"""The served page can be used by keyboard, by screen reader, on a phone, in two languages, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from page_driver import DESK, PHONE, TABS, Open, quiet_pages, serving_page

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

# What reaches out of the window, but for what lies in a box that scrolls.
OUTSIDE = """() => [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.scroll, .skip') && e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => e.tagName + '.' + e.className)"""


def settle(page: Any, tab: str) -> None:
    """Waits until the view has drawn what it asked for."""
    signs = {
        "recognize": ".ranked li",
        "sharing": ".detectors button",
        "sparsity": "dl.numbers dd",
        "invariance": ".ranked li",
        "steps": ".taps",
        "table": ".identity",
        "square": "table",
    }
    page.wait_for_selector(f"#panel-{tab} {signs[tab]}")


def open_tab(open_page: Open, tab: str, language: str = "en", **options: Any) -> Any:
    page = open_page(tab, language, **options)
    settle(page, tab)
    return page


def violations(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("ko", "dark")])
def test_axe_finds_nothing_in_any_view(open_page: Open, language: str, scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page = open_tab(open_page, TABS[0], language, color_scheme=scheme)
    page.locator("details summary").first.click()
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        settle(page, tab)
        if tab == "square":
            page.locator("#panel-square button").nth(2).click()
        assert violations(page) == [], tab


@pytest.mark.slow
@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("ko", "light")])
def test_axe_finds_nothing_in_the_other_pairs(open_page: Open, language: str, scheme: str) -> None:
    test_axe_finds_nothing_in_any_view(open_page, language, scheme)


def test_axe_finds_a_planted_fault(open_page: Open) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page = open_tab(open_page, "table")
    page.evaluate("document.querySelector('#panel-table input').closest('label').querySelector('span').remove()")
    page.evaluate("document.querySelector('.about').style.color = '#bbb'")
    found = " ".join(violations(page))
    assert "label:" in found
    assert "color-contrast:" in found


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.slow), "ko"])
def test_nothing_reaches_out_of_a_phone(open_page: Open, language: str) -> None:
    page = open_tab(open_page, TABS[0], language, viewport=PHONE, has_touch=True)
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        settle(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], tab
        assert page.evaluate(OUTSIDE) == [], tab


def test_all_of_it_can_be_done_by_keyboard(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_tab(open_page, "recognize")
    focused = "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "tab-recognize"
    for key, tab in (("ArrowRight", "sharing"), ("ArrowRight", "sparsity"), ("End", "square"), ("Home", "recognize")):
        page.keyboard.press(key)
        assert page.evaluate(focused) == f"tab-{tab}"
        expect(page.locator(f"#panel-{tab}")).to_be_visible()
        expect(page.locator("[role=tabpanel]:visible")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    settle(page, "sharing")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.ariaLabel ?? '')"))
    assert [name.split()[0] for name in reached[:6]] == ["SELECT", "INPUT", "BUTTON", "BUTTON", "INPUT", "INPUT"]
    assert reached[6].startswith("CANVAS Map")
    assert reached[7] == "BUTTON detector 0"


def test_what_has_the_focus_can_be_seen(open_page: Open) -> None:
    page = open_tab(open_page, "sharing")
    page.locator("#tab-sharing").focus()
    for _ in range(9):
        page.keyboard.press("Tab")
        assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2


def test_the_language_changes_and_nothing_else(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_tab(open_page, "sparsity")
    page.locator(".examples button").nth(4).click()
    expect(page.locator("figure.seen figcaption")).to_contain_text("training picture 5")
    page.locator("#panel-sparsity select").select_option("conv2d_1")
    picture = page.locator("figure.seen canvas").evaluate("canvas => canvas.toDataURL()")
    page.locator("#language").select_option("ko")
    expect(page.locator("h2").first).to_have_text("이미지")
    expect(page.locator("#tab-sparsity")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel-sparsity select")).to_have_value("conv2d_1")
    assert page.locator("html").get_attribute("lang") == "ko"
    assert page.locator("figure.seen canvas").evaluate("canvas => canvas.toDataURL()") == picture
    page.reload()
    expect(page.locator("#panel-sparsity h2")).to_have_text("Sparsity of connections")  # the address says en


def test_a_browser_that_keeps_nothing_speaks_its_own_language_and_another_on_request(
    open_page: Open, page_address: str
) -> None:
    from playwright.sync_api import expect

    page = open_page("table", locale="ko-KR")
    refuse = "{get() { throw new DOMException('The operation is insecure.', 'SecurityError'); }}"
    page.add_init_script(f"Object.defineProperty(window, 'localStorage', {refuse})")
    page.goto(f"{page_address}/#table")  # the address says no language
    page.reload()
    expect(page.locator("#panel-table h2")).to_have_text("층 하나의 비용")
    page.wait_for_selector("html[data-ready]")
    page.locator("#language").select_option("en")
    expect(page.locator("#panel-table h2")).to_have_text("What a layer costs")


def test_korean_is_spelled_as_in_the_lecture(open_page: Open) -> None:
    page = open_tab(open_page, "table", "ko")
    tabs = page.get_by_role("tab").all_inner_texts()
    assert {"변수 공유", "희소 연결", "이동 불변성"} <= set(tabs)


def test_a_lone_file_is_named_as_what_it_is(browser: Any, page_run: Path) -> None:
    from playwright.sync_api import expect

    with serving_page(page_run / "model.onnx") as address, quiet_pages(browser, address, {}) as load:
        page = load(viewport=DESK)
        expect(page.locator("#source")).to_contain_text("no thumbnails.npy")
        page.get_by_text("Draw one").click()
        page.get_by_role("button", name="Use this drawing").click()
        expect(page.locator("p.first bdi")).not_to_be_empty()
        for tab in ("sharing", "sparsity", "invariance", "steps"):
            page.locator(f"#tab-{tab}").click()
            expect(page.locator(f"#panel-{tab}")).to_contain_text("why.onnx")
        page.locator("#tab-square").click()
        expect(page.locator("#panel-square")).to_contain_text("whyconv why RUN")
        page.locator("#tab-table").click()
        settle(page, "table")
