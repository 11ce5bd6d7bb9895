"""The report in a real browser; skipped, with the reason, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from made_up_atlas import made_up_atlas, made_up_set
from made_up_run import FLOWERS, KOREAN, content, hostile
from made_up_why import made_up_patches, whole_why
from whyconv.report import ReportContent, atlas_section, why_section, with_why, write_report
from whyconv.report.atlas import atlas_figure

PHONE = {"width": 400, "height": 800}
DESK = {"width": 1200, "height": 900}
# Tables and matrices may be wider than a phone, inside a box that scrolls; nothing else may.
OUTSIDE = """() => [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.scroll, pre') && e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => e.tagName + '.' + e.getAttribute('class'))"""
CONTRAST = """() => {
    const channels = color => color.match(/[\\d.]+/g).map(Number);
    const light = color => channels(color).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => { for (; e; e = e.parentElement) {
        const color = getComputedStyle(e).backgroundColor;
        if (channels(color)[3] !== 0) return color;
    } };
    const texts = 'p, td, th, small, b, a, h1, h2, h3, .tag, dd, code, text.tick, text.name';
    return [...document.querySelectorAll(texts)].map(e => {
        const ink = getComputedStyle(e)[e instanceof SVGElement ? 'fill' : 'color'];
        const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), e.tagName + '.' + e.getAttribute('class')];
    }).sort((x, y) => x[0] - y[0])[0];
}"""

# What the letters look like, each in the font of the page, as pixels; a letter that no font has looks like any other.
GLYPHS = """letters => letters.map(letter => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 40;
    const ink = canvas.getContext('2d');
    ink.font = '32px ' + getComputedStyle(document.querySelector('svg text') || document.body).fontFamily;
    ink.fillText(letter, 2, 34);
    return [...ink.getImageData(0, 0, 40, 40).data].join();
})"""
# Of every figure that says something in Hangul: its letters, and how wide each text is that has some.
HANGUL = """() => [...document.querySelectorAll('svg')].map(svg => {
    const texts = [...svg.querySelectorAll('text')].filter(e => /[가-힣]/.test(e.textContent));
    return {letters: texts.flatMap(e => e.textContent.match(/[가-힣]/g)),
        widths: texts.map(e => e.getBoundingClientRect().width)};
}).filter(figure => figure.letters.length)"""

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on this machine: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_report(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a report, and afterwards finds that it was quiet: no message, no dialog, no request but for itself."""
    noise: list[str] = []
    pages = []

    def load(
        made: ReportContent, language: str = "en", viewport: dict[str, int] = DESK, section: str = "", **options: Any
    ) -> Any:
        path = tmp_path / "report.html"
        write_report(path, made, language)
        if section:
            path.write_text(with_why(path.read_text(encoding="utf-8"), section), encoding="utf-8")
        page = browser.new_page(viewport=viewport, **options)
        pages.append(page)
        page.on("console", lambda message: noise.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: noise.append(f"error: {error}"))
        page.on("dialog", lambda dialog: noise.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: noise.append(request.url) if request.url[:5] != "data:" else None)
        page.goto(path.as_uri())
        assert noise.pop(0) == path.as_uri()
        return page

    yield load
    for page in pages:
        page.close()
    assert noise == []


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize(
    ("names", "language"),
    [(FLOWERS, "en"), (KOREAN, "ko"), (tuple(f"a rather long name {i}" for i in range(25)), "en")],
)
def test_nothing_reaches_out_of_the_page(
    open_report: Open, names: tuple[str, ...], language: str, viewport: dict[str, int]
) -> None:
    page = open_report(content(names), language, viewport)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.evaluate(OUTSIDE) == []


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_hostile_names_do_nothing_and_fit(open_report: Open, viewport: dict[str, int]) -> None:
    page = open_report(hostile(), "en", viewport)
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    page.hover(".pictures li")


def test_hangul_has_its_own_glyphs(open_report: Open) -> None:
    page = open_report(content(KOREAN), "ko")
    measure = """text => { const e = document.createElement('span'); e.textContent = text;
        document.body.append(e); const width = e.getBoundingClientRect().width; e.remove(); return width; }"""
    assert page.evaluate(measure, "고양이") > 24
    assert page.locator("svg text", has_text="고양이").first.bounding_box()["width"] > 10


def test_hangul_is_drawn_in_every_figure(open_report: Open) -> None:
    atlas = atlas_figure(made_up_atlas(made_up_set("손글씨 숫자"), made_up_set("꽃")), "ko")
    page = open_report(content(KOREAN), "ko", DESK, why_section(whole_why(), "ko", made_up_patches()) + atlas)
    if page.evaluate(GLYPHS, ["고", "양"])[0] == page.evaluate(GLYPHS, ["고", "양"])[1]:
        pytest.skip("no font with Hangul is on this machine: apt-get install fonts-nanum")
    figures = page.evaluate(HANGUL)
    assert len(figures) > 8
    assert all(width > 0 for figure in figures for width in figure["widths"])
    letters = sorted({letter for figure in figures for letter in figure["letters"]})
    missing, another, *drawn = page.evaluate(GLYPHS, ["\U000ffffd", "\U000ffffc", *letters])
    assert another == missing
    assert [letter for letter, pixels in zip(letters, drawn, strict=True) if pixels == missing] == []


def test_charts_have_axes_labels_and_legends(open_report: Open) -> None:
    page = open_report(content())
    charts = page.locator("svg.chart")
    assert charts.count() == 4
    for index in range(3):
        assert charts.nth(index).get_attribute("aria-label")
        assert charts.nth(index).locator("text.name").count() == 2
        assert charts.nth(index).locator("text.tick").count() >= 6
    assert page.locator("ul.legend li").all_inner_texts()[2:6] == ["train", "validation"] * 2
    boxes = [page.locator("svg.matrix text.tick").nth(index).bounding_box() for index in range(10)]
    matrix = page.locator("svg.matrix").bounding_box()
    for box in boxes:
        assert matrix["x"] <= box["x"] + 0.5
        assert box["x"] + box["width"] <= matrix["x"] + matrix["width"] + 0.5
        assert matrix["y"] <= box["y"] + 0.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(open_report: Open, scheme: str) -> None:
    page = open_report(content(), color_scheme=scheme)
    least, where = page.evaluate(CONTRAST)
    assert least >= 4.5, where


@pytest.mark.parametrize(
    ("viewport", "language", "scheme"), [(PHONE, "ko", "light"), (DESK, "en", "dark"), (DESK, "ko", "light")]
)
def test_the_section_on_why_convolutions_fits_and_can_be_read(
    open_report: Open, viewport: dict[str, int], language: str, scheme: str
) -> None:
    section = why_section(whole_why(), language, made_up_patches())
    section += atlas_section(made_up_atlas(), made_up_set("pets-1"), language)
    page = open_report(content(), language, viewport, section, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.evaluate(OUTSIDE) == []
    least, where = page.evaluate(CONTRAST)
    assert least >= 4.5, where
    cut = """() => [...document.querySelectorAll('#why svg')].flatMap(svg => {
        const box = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(e => { const r = e.getBoundingClientRect();
            return r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 || r.bottom > box.bottom + 1;
        }).map(e => svg.getAttribute('aria-label') + ': ' + e.textContent); })"""
    assert page.evaluate(cut) == []


def test_it_prints_on_paper_whole(open_report: Open) -> None:
    page = open_report(content(tuple(f"class {i}" for i in range(40))), color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("[...document.querySelectorAll('.scroll.long')].every(e => e.scrollHeight <= e.clientHeight)")
    assert page.pdf()[:5] == b"%PDF-"
