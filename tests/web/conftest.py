"""Servers that tests share; none of them is changed by being asked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from http_server import Server, serving
from mirrored_model import write_run
from tiny_model import COLORS, write_model


@pytest.fixture(scope="session")
def colors() -> dict[str, bytes]:
    """A PNG of each color."""
    found = {}
    for name, color in COLORS.items():
        buffer = io.BytesIO()
        Image.fromarray(np.full((9, 7, 3), color, np.uint8)).save(buffer, "PNG")
        found[name] = buffer.getvalue()
    return found


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "colors.onnx")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "two-1")


@pytest.fixture(scope="session")
def server(model: Path) -> Iterator[Server]:
    with serving(model) as found:
        yield found


@pytest.fixture(scope="session")
def run_server(run: Path) -> Iterator[Server]:
    with serving(run) as found:
        yield found


@pytest.fixture(scope="session")
def page_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that the page shows; read-only."""
    from served_run import write_served_run

    return write_served_run(tmp_path_factory.mktemp("served") / "bars-1")


@pytest.fixture(scope="session")
def page_address(page_run: Path) -> Iterator[str]:
    with serving(page_run) as found:
        yield found.ready["url"].rstrip("/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Not for the session: while it is open, nothing else in this process can run an event loop.
    from page_driver import browsing

    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def allowed() -> dict[str, int]:
    """Lines that a test expects in the console of the browser, by a part of them: how many."""
    return {}


@pytest.fixture
def open_page(browser: Any, page_address: str, allowed: dict[str, int]) -> Iterator[Any]:
    """Opens the served page; afterwards nothing else than what is allowed stands in the console."""
    from page_driver import quiet_pages

    allowed.clear()
    with quiet_pages(browser, page_address, allowed) as found:
        yield found


@pytest.fixture(scope="module")
def expect(browser: Any) -> Any:
    from playwright.sync_api import expect

    return expect
