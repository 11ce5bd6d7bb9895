"""The served page in a real browser: a server of its own, and a page that must stay quiet."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from http_server import serving

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
TABS = ("recognize", "sharing", "sparsity", "invariance", "steps", "table", "square")
_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
_WATCH = """document.addEventListener('securitypolicyviolation',
    event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));"""
# The middle of every cell of a canvas, as rows of [red, green, blue].
_CELLS = """(canvas, [rows, columns]) => {
    const context = canvas.getContext('2d');
    const at = (row, column) => context.getImageData(
        Math.floor((column + 0.5) * canvas.width / columns), Math.floor((row + 0.5) * canvas.height / rows), 1, 1);
    return Array.from({length: rows}, (_, row) =>
        Array.from({length: columns}, (_, column) => [...at(row, column).data.slice(0, 3)]));
}"""

# A picture is there: until then it has no name.
_NAMED = "() => !document.querySelector('figure.seen figcaption').textContent.startsWith(':')"
PATIENCE = 20.0  # seconds, for what comes at once on a machine that has nothing else to do

Open = Callable[..., Any]


@contextmanager
def browsing(*switches: str) -> Iterator[Any]:
    """A headless Chromium with a camera that shows a test picture; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on this machine: apt-get install chromium")
    sync_api.expect.set_options(timeout=1000 * PATIENCE)
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *_CAMERA, *switches])
        yield found
        found.close()


@contextmanager
def serving_page(model: Path) -> Iterator[str]:
    """Runs ``whyconv serve`` in a process of its own; gives the page's address."""
    with serving(model) as server:
        yield server.ready["url"].rstrip("/")


@contextmanager
def quiet_pages(browser: Any, address: str, allowed: Mapping[str, int]) -> Iterator[Open]:
    """A function that opens the page; in the end nothing was said, and no request went elsewhere.

    Args:
        browser: Of Playwright.
        address: Of the server.
        allowed: Part of a message -> how often it may come: for what a test provokes.

    The function's ``routes`` are answers given in place of the server's, or what hears Playwright's route; ``has`` is
    what the server is said to have beside.
    """
    noise: list[str] = []
    contexts = []

    def load(
        tab: str = "recognize",
        language: str = "en",
        viewport: Mapping[str, int] = DESK,
        routes: Mapping[str, str | Callable[[Any], None]] | None = None,
        has: Mapping[str, bool] | None = None,
        **options: Any,
    ) -> Any:
        context = browser.new_context(viewport=viewport, permissions=["camera"], **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.add_init_script(_WATCH)
        page.on("console", lambda one: noise.append(f"console: {one.text}") if one.type == "error" else None)
        page.on("pageerror", lambda error: noise.append(f"error: {error}"))
        page.on("request", lambda one: None if one.url.startswith(f"{address}/") else noise.append(one.url))
        for pattern, answer in (routes or {}).items():
            page.route(pattern, partial(_answer, answer) if isinstance(answer, str) else answer)
        if has:
            page.route("**/v1/recognizer", partial(_with_more, has))
        page.goto(f"{address}/?lang={language}#{tab}")
        page.wait_for_selector("html[data-ready]")
        page.wait_for_selector("figcaption:has-text('8 × 8')")
        page.wait_for_function(_NAMED)
        return page

    yield load
    for context in contexts:
        context.close()
    for part, number in allowed.items():
        heard = [message for message in noise if part in message]
        assert len(heard) <= number, str(heard)
        noise = [message for message in noise if part not in message]
    assert noise == [], str(noise)


def _answer(body: str, route: Any) -> None:
    route.fulfill(body=body, content_type="application/json")


def _with_more(has: Mapping[str, bool], route: Any) -> None:
    """The server's own answer, and more that it is said to have."""
    told = route.fetch().json()
    route.fulfill(json=told | {"has": told["has"] | has})


class Held:
    """Requests that are kept waiting until they are released.

    Args:
        page: Of Playwright.
        pattern: Of their addresses.
    """

    def __init__(self, page: Any, pattern: str) -> None:
        self._page, self._pattern = page, pattern
        self._routes: list[Any] = []
        self._holds = True
        page.route(pattern, self._hold)

    def _hold(self, route: Any) -> None:
        if self._holds:
            self._routes.append(route)
        else:
            route.continue_()

    def wait(self) -> None:
        """Waits until one is held."""
        deadline = time.monotonic() + PATIENCE
        while not self._routes and time.monotonic() < deadline:
            self._page.wait_for_timeout(10)
        assert self._routes, f"no request {self._pattern}"

    def rest(self) -> None:
        """Holds no more than it has."""
        self._holds = False

    def release(self) -> None:
        """Lets all go."""
        self.rest()
        for route in self._routes:
            route.continue_()


def comes(read: Callable[[], object], expected: object) -> None:
    """Waits until what is read is what is expected; fails with both where it does not come."""
    deadline = time.monotonic() + PATIENCE
    while read() != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert read() == expected


def cells_of(canvas: Any, rows: int, columns: int) -> Any:
    """The color of every cell of a canvas: nested lists (rows, columns, 3)."""
    return canvas.evaluate(_CELLS, [rows, columns])


def took(page: Any, name: str, act: Callable[[], object]) -> float:
    """Milliseconds from a wish to what is seen, as the page itself measured them; printed, as machines differ."""
    page.evaluate("name => performance.clearMeasures(`whyconv:${name}`)", name)
    act()
    page.wait_for_function("name => performance.getEntriesByName(`whyconv:${name}`).length > 0", arg=name)
    milliseconds = float(page.evaluate("name => performance.getEntriesByName(`whyconv:${name}`).at(-1).duration", name))
    sys.stdout.write(f"{name}: {milliseconds:.1f} ms\n")
    return milliseconds
