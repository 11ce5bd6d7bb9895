"""The printed address with a token, followed in a browser from a page of another site."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from http_server import serving


@contextmanager
def page_of_another_site(body: str) -> Iterator[str]:
    """Serves one page by the name localhost, which is another site than 127.0.0.1; gives its address."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://localhost:{found.server_address[1]}/"
        found.shutdown()


def test_the_printed_address_opens_from_a_link_on_another_site_and_the_site_itself_gets_nothing(
    browser: Any, model: Path
) -> None:
    with serving(model, "--token", "aaa") as server:
        address = f"http://127.0.0.1:{server.port}"
        body = (
            f"<a href='{server.ready['url']}'>the recognizer</a>"
            f"<form method=post action='{address}/v1/predict' enctype='text/plain'><button>send</button></form>"
        )
        with page_of_another_site(body) as site:
            context = browser.new_context()
            page = context.new_page()
            page.goto(site)
            page.click("a")
            page.wait_for_selector("html[data-ready]")
            page.reload()
            page.wait_for_selector("html[data-ready]")
            page.goto(site)
            with page.expect_event("requestfailed"):
                page.evaluate("url => { new Image().src = url; }", f"{address}/v1/recognizer")
            with page.expect_response(f"{address}/v1/predict") as sent:
                page.click("button")
            assert sent.value.status == 403
            told = server.ask("/metrics", authorization="Bearer aaa").body.decode()
            assert 'whyconv_requests_total{route="other",status="403"} 2' in told
            context.close()


def test_two_servers_of_one_machine_are_open_beside_each_other(browser: Any, model: Path) -> None:
    with serving(model, "--token", "aaa") as one, serving(model, "--token", "bbb") as two:
        context = browser.new_context()
        for server in (one, two, one, two):
            page = context.new_page()
            page.goto(server.ready["url"].partition("?")[0] if len(context.pages) > 2 else server.ready["url"])
            page.wait_for_selector("html[data-ready]")
        context.close()
