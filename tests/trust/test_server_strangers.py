"""A web page that a person visits cannot use the server on the same machine, whatever it calls itself."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from http_server import Server, serving
from page_driver import browsing
from raw_requests import taken_apart
from tiny_model import write_model

# What stands in Host, and what the server says to that; {port} is its own.
HOSTS = {
    "localhost:{port}": 200,
    "127.0.0.1:{port}": 200,
    "LocalHost:{port}": 200,
    "localhost.:{port}": 200,
    "127.0.0.1.:{port}": 200,
    "127.1.2.3:{port}": 200,
    "[::1]:{port}": 200,
    "[0:0:0:0:0:0:0:1]:{port}": 200,
    "[::ffff:127.0.0.1]:{port}": 421,
    "[::]:{port}": 421,
    "[::1%25lo]:{port}": 200,
    "::1:{port}": 421,
    "[127.0.0.1]:{port}": 421,
    "localhost": 421,
    "127.0.0.1": 421,
    "localhost:80": 421,
    "localhost:1": 421,
    "localhost:": 421,
    "localhost:0{port}": 421,
    "localhost:+{port}": 421,
    "localhost:{port}0": 421,
    "localhost:" + "1" * 5000: 421,
    "localhost:{port}:{port}": 421,
    "localhost:{port}/": 421,
    "user@localhost:{port}": 421,
    "evil.example:{port}": 421,
    "evil.example": 421,
    "localhost.evil.example:{port}": 421,
    "127.0.0.1.nip.io:{port}": 421,
    "7f000001.rebind.example:{port}": 421,
    "0.0.0.0:{port}": 421,
    "192.168.0.1:{port}": 421,
    "10.0.0.1:{port}": 421,
    "169.254.169.254:{port}": 421,
    "2130706433:{port}": 421,
    "0x7f000001:{port}": 421,
    "0177.0.0.1:{port}": 421,
    "127.1:{port}": 421,
    "localhost\t:{port}": 421,
    "xn--localhost-:{port}": 421,
    "": 421,
    ":{port}": 421,
}
# What a browser adds for a page that asks, with the server called localhost.
PAGES: dict[tuple[str, ...], int] = {
    (): 200,
    ("Origin: http://localhost:{port}",): 200,
    ("Origin: https://localhost:{port}",): 200,
    ("Origin: HTTP://LOCALHOST:{port}",): 200,
    ("Origin: null",): 403,
    ("Origin:",): 403,
    ("Origin: http://localhost",): 403,
    ("Origin: http://localhost:1",): 403,
    ("Origin: http://127.0.0.1:{port}",): 403,
    ("Origin: http://[::1]:{port}",): 403,
    ("Origin: http://localhost.:{port}",): 403,
    ("Origin: http://evil.example",): 403,
    ("Origin: http://evil.example:{port}",): 403,
    ("Origin: http://localhost:{port}.evil.example",): 403,
    ("Origin: http://localhost:{port}/",): 403,
    ("Origin: http://localhost:{port} http://evil.example",): 403,
    ("Origin: http://localhost:{port}", "Origin: http://evil.example"): 403,
    ("Origin: file://",): 403,
    ("Origin: chrome-extension://abcdefghijklmnop",): 403,
    ("Sec-Fetch-Site: same-origin",): 200,
    ("Sec-Fetch-Site: none",): 200,
    ("Sec-Fetch-Site: same-site",): 403,
    ("Sec-Fetch-Site: cross-site",): 403,
    ("Sec-Fetch-Site: CROSS-SITE",): 403,
    ("Origin: http://localhost:{port}", "Sec-Fetch-Site: cross-site"): 403,
    ("Host: evil.example",): 400,
    ("X-Forwarded-Host: evil.example",): 200,
    ("Forwarded: host=evil.example",): 200,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(write_model(tmp_path_factory.mktemp("model") / "colors.onnx")) as found:
        yield found


def status(server: Server, host: str, *lines: str) -> int:
    head = ("GET /v1/count HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", "")
    asked = "\r\n".join(head).replace("{port}", str(server.port))
    replies, rest = taken_apart(server.say(asked.encode("latin-1")))
    assert len(replies) == 1
    assert rest == b""
    assert not [name for name in replies[0].headers if name.startswith("access-control-")]
    return replies[0].status


def test_seventy_ways_to_ask_are_told_apart(server: Server) -> None:
    assert len(HOSTS) + len(PAGES) >= 70
    assert {host[:60]: status(server, host) for host in HOSTS} == {host[:60]: code for host, code in HOSTS.items()}
    assert {lines: status(server, "localhost:{port}", *lines) for lines in PAGES} == PAGES


# --- and what a real browser makes of it

EVIL = """<!doctype html><title>other</title>
<form id=f method=post enctype=text/plain action="{server}/v1/predict"><input name=a value=b></form>
<form id=g method=post enctype=multipart/form-data action="{server}/v1/predict"><input name=image value=b></form>
<img src="{server}/v1/recognizer"><script src="{server}/v1/recognizer"></script>
<link rel=stylesheet href="{server}/page/style.css"><iframe src="{server}/"></iframe>"""
ASK = """async (server) => {
    const ways = [
        () => fetch(`${server}/v1/recognizer`),
        () => fetch(`${server}/v1/recognizer`, {mode: 'no-cors'}),
        () => fetch(`${server}/v1/predict`, {method: 'POST', body: 'x'}),
        () => fetch(`${server}/v1/predict`, {method: 'POST', body: 'x', mode: 'no-cors'}),
        () => fetch(`${server}/v1/predict`, {method: 'POST', body: 'x', headers: {'Content-Type': 'image/png'}}),
        () => new Promise((resolve, reject) => { const s = new WebSocket(server.replace('http', 'ws'));
            s.onopen = resolve; s.onerror = reject; }),
        () => new Promise((resolve, reject) => { const s = new EventSource(`${server}/v1/recognizer`);
            s.onopen = resolve; s.onerror = reject; }),
    ];
    const texts = [];
    for (const way of ways) texts.push(await way().then(answer => answer.text(), () => 'refused'));
    return [texts, navigator.sendBeacon(`${server}/v1/predict`, 'x')];
}"""


class OtherPage(http.server.BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def other_page(server: Server) -> Iterator[str]:
    """A page that another server on this machine serves."""
    page = type("Page", (OtherPage,), {"body": EVIL.format(server=f"http://localhost:{server.port}").encode()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), page) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://localhost:{found.server_port}/"
        found.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing("--host-resolver-rules=MAP rebinding.example 127.0.0.1") as found:
        yield found


def counted(server: Server) -> dict[str, int]:
    """How many requests for what the server knows were answered well, by route."""
    lines = server.ask("/metrics").body.decode().splitlines()
    good = [line for line in lines if line.startswith('whyconv_requests_total{route="/v1/') and 'status="2' in line]
    return {line.split('"')[1]: int(line.split()[-1]) for line in good}


def test_a_page_of_another_server_gets_nothing(server: Server, browser: Any, other_page: str) -> None:
    before, page = counted(server), browser.new_page()
    page.goto(other_page)
    texts, _ = page.evaluate(ASK, f"http://localhost:{server.port}")
    assert texts == ["refused"] * 7
    for form in ("f", "g"):
        page.goto(other_page)
        with page.expect_navigation():
            page.evaluate(f"document.getElementById('{form}').submit()")
        assert "A page of another site sent this request" in page.content()
    assert counted(server) == before
    page.close()


def test_another_name_made_to_lead_here_gets_nothing(server: Server, browser: Any) -> None:
    before, page = counted(server), browser.new_page()
    answer = page.goto(f"http://rebinding.example:{server.port}/")
    assert answer.status == 421
    assert page.evaluate("fetch('/v1/recognizer').then(answer => answer.status)") == 421
    assert counted(server) == before
    page.close()


def test_the_own_page_is_answered(server: Server, browser: Any) -> None:
    before, page = counted(server), browser.new_page()
    page.goto(f"http://localhost:{server.port}/")
    page.wait_for_selector("html[data-ready]")
    assert counted(server)["/v1/recognizer"] > before.get("/v1/recognizer", 0)
    page.close()
