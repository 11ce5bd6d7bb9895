"""The page of evidence in a real browser: quiet, and as wide as a phone; skipped where there is no browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tiny_model import SIDE, write_model
from whyconv.evidence import explain
from whyconv.report.evidence import write_evidence_page

OUTSIDE = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !(e instanceof SVGElement))
    .map(e => e.tagName)"""


@pytest.mark.parametrize(("language", "kind"), [("en", "class activation"), ("ko", "occlusion")])
def test_the_page_is_quiet_and_fits_a_phone(language: str, kind: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on this machine: apt-get install chromium")
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    found = explain(write_model(tmp_path / "model.onnx"), pixels, kind=kind)
    write_evidence_page(tmp_path / "page.html", found, language)
    noise: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 380, "height": 800})
        page.on("console", lambda message: noise.append(message.text))
        page.on("request", lambda request: noise.append(request.url) if request.url[:5] != "data:" else None)
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate(OUTSIDE) == []
        assert page.locator("svg image").count() == 4  # the picture twice, the map and its scale
        assert page.locator("html").get_attribute("lang") == language
        browser.close()
    assert noise == [(tmp_path / "page.html").as_uri()]
