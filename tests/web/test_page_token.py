"""The printed address with a token, opened in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from http_server import serving


def test_two_servers_of_one_machine_are_open_beside_each_other(browser: Any, model: Path) -> None:
    with serving(model, "--token", "aaa") as one, serving(model, "--token", "bbb") as two:
        context = browser.new_context()
        for server in (one, two, one, two):
            page = context.new_page()
            page.goto(server.ready["url"].partition("?")[0] if len(context.pages) > 2 else server.ready["url"])
            page.wait_for_selector("html[data-ready]")
        context.close()
