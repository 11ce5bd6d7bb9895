"""Who may ask: the page of this server and programs on this machine; others with a token; pages of others never."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message

from http_server import Server, serving
from whyconv.errors import UsageError
from whyconv.web import Address, Limits, serve
from whyconv.web.guard import Access, Guard, as_hosts
from whyconv.web.metrics import Metrics
from whyconv.web.refusals import Refusal
from whyconv.web.room import Room

PORT = 8000


def status(access: Access, method: str = "POST", path: str = "/v1/predict", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {"method": method, "path": path, "query_string": b""}
    try:
        access.check(scope, Headers(named))
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:8000", True),
        ("localhost:8000", True),
        ("LOCALHOST:8000", True),
        ("localhost.:8000", True),
        ("[::1]:8000", True),
        ("127.0.0.2:8000", True),
        ("localhost", False),
        ("localhost:80", False),
        ("localhost:8001", False),
        ("localhost:", False),
        ("evil.example:8000", False),
        ("localhost.evil.example:8000", False),
        ("127.0.0.1.nip.io:8000", False),
        ("192.168.0.7:8000", False),
        ("0.0.0.0:8000", False),
        ("[::2]:8000", False),
        ("::1:8000", False),
        ("2130706433:8000", False),
        ("0x7f.1:8000", False),
        ("localhost:8000:8000", False),
        ("localhost@evil:8000", False),
        ("", False),
        (":8000", False),
    ],
)
def test_a_local_server_answers_to_local_names_alone(host: str, is_ours: bool) -> None:
    assert Access(PORT).is_ours(host) == is_ours


def test_an_open_server_answers_to_addresses_and_to_the_names_it_was_given() -> None:
    access = Access(PORT, {"box.lan"}, is_local=False)
    assert all(access.is_ours(host) for host in ("192.168.0.7:8000", "[fe80::1]:8000", "box.lan", "Box.lan:443"))
    assert not any(access.is_ours(host) for host in ("evil.example:8000", "192.168.0.7:81", "lan:8000"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"origin": "http://localhost:8000"}, 200),
        ({"origin": "https://localhost:8000"}, 200),
        ({"origin": "http://localhost:8001"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:8000.evil.example"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_pages_of_others_are_turned_away(headers: dict[str, str], expected: int) -> None:
    assert status(Access(PORT), host="localhost:8000", **headers) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        *(("https://pets.example", 200), ("https://Pets.Example:8443", 200), ("http://pets.example", 200)),
        *(("https://other.example", 403), ("https://pets.example.evil", 403), ("https://pets.example/evil", 403)),
        *(("https://pets.example@evil", 403), ("ftp://pets.example", 403), ("pets.example", 403), ("null", 403)),
        *(("http://localhost:8001", 403), ("https://", 403), ("https://pets.example:x", 403)),
    ],
)
def test_behind_another_server_that_asks_by_its_own_address_the_own_page_is_known_by_its_name(
    origin: str, expected: int
) -> None:
    access = Access(PORT, {"pets.example"})
    assert status(access, host="127.0.0.1:8000", origin=origin, sec_fetch_site="same-origin") == expected
    assert status(access, host="127.0.0.1:8000", origin=origin, sec_fetch_site="cross-site") == 403


def test_another_server_of_a_machine_is_not_this_one_though_it_has_the_same_name() -> None:
    access = Access(PORT, {"pets.example"}, is_local=False)
    assert status(access, host="pets.example:8000", origin="http://pets.example:3000") == 403
    assert status(access, host="pets.example:8000", origin="http://pets.example:8000") == 200
    # A server in front that leaves the port out of the Host that it passes on.
    assert status(access, host="pets.example", origin="https://pets.example:8443") == 200


def test_a_link_on_another_page_may_open_this_one() -> None:
    assert status(Access(PORT), "GET", "/", host="localhost:8000", sec_fetch_site="cross-site") == 200
    assert status(Access(PORT), "GET", "/v1/why", host="localhost:8000", sec_fetch_site="cross-site") == 403


def test_a_token_is_demanded_where_there_is_one() -> None:
    access = Access(PORT, is_local=False, token="secret")
    here = {"host": "10.0.0.1:8000"}
    assert status(access, **here) == 401
    assert status(access, **here, authorization="Bearer secret") == 200
    assert status(access, **here, authorization="bearer secret") == 200
    assert status(access, **here, authorization="Bearer secre") == 401
    assert status(access, **here, authorization="Basic secret") == 401
    assert status(access, **here, authorization="Bearer \xe9") == 401
    assert status(access, **here, cookie="a=b; whyconv_token_8000=secret") == 200
    assert status(access, **here, cookie="whyconv_token_8000=other") == 401
    assert status(access, **here, cookie='a[]={"b": 1}; c@d=e; whyconv_token_8000=secret') == 200  # of other servers
    assert status(access, "GET", "/livez", **here) == 200
    assert status(access, "GET", "/metrics", **here) == 401


def asked(access: Access, target: str, method: str = "GET", **headers: str) -> tuple[int, Headers]:
    """Status and headers of the answer to one request, by way of the guard to routes that answer all with 200."""
    path, _, query = target.partition("?")
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": named}
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    asyncio.run(Guard(Response(), access, Room(4, 1000), Metrics())(scope, receive, send))
    return said[0]["status"], Headers(raw=said[0]["headers"])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        *(("http://localhost:8000/livez", 200), ("HTTP://127.0.0.1:8000/livez", 200)),
        *(("http://localhost:8000?token=aaa", 303), ("http://localhost:8000/?token=aaa", 303)),
        *(("http://localhost:8000/v1/why", 401), ("http://localhost:8000/livez/", 401)),
        *(("http://evil.example/livez", 421), ("http:///livez", 421), ("ftp://localhost:8000/livez", 401)),
    ],
)
def test_an_address_in_full_is_that_of_its_path(target: str, expected: int) -> None:
    assert asked(Access(8000, token="aaa"), target, host="localhost:8000")[0] == expected


def as_jar(*answers: Headers) -> str:
    """The Cookie header of a browser that got these answers from one host: cookies know no ports (RFC 6265, 8.5)."""
    jar = dict(answer["set-cookie"].partition(";")[0].split("=", 1) for answer in answers)
    return "; ".join(f"{name}={value}" for name, value in jar.items())


def test_servers_at_two_ports_of_one_host_leave_each_other_their_cookies() -> None:
    one, two = Access(8000, token="aaa"), Access(8001, token="bbb")
    jar = as_jar(
        asked(one, "/?token=aaa", host="localhost:8000")[1], asked(two, "/?token=bbb", host="localhost:8001")[1]
    )
    assert asked(one, "/v1/why", host="localhost:8000", cookie=jar)[0] == 200
    assert asked(two, "/v1/why", host="localhost:8001", cookie=jar)[0] == 200


def test_behind_another_server_the_cookie_that_was_left_is_the_one_that_is_read() -> None:
    access = Access(8000, {"pets.example"}, token="aaa")
    status, headers = asked(access, "/?token=aaa", host="pets.example")
    assert (status, headers["location"]) == (303, "/")
    assert asked(access, "/v1/why", host="pets.example", cookie=as_jar(headers))[0] == 200


def test_the_cookie_opens_the_page_from_a_link_on_another_site_and_nothing_else_to_it() -> None:
    access, here = Access(8000, token="aaa"), {"host": "localhost:8000"}
    cookie = as_jar(asked(access, "/?token=aaa", **here, sec_fetch_site="cross-site")[1])
    elsewhere = {**here, "cookie": cookie, "sec_fetch_site": "cross-site"}
    assert asked(access, "/", **elsewhere)[0] == 200
    assert asked(access, "/v1/why", **elsewhere)[0] == 403
    assert asked(access, "/v1/predict", "POST", **elsewhere)[0] == 403
    assert asked(access, "/", "POST", **elsewhere)[0] == 403
    # Of browsers that do not say where a request comes from: their POST has an origin all the same.
    assert asked(access, "/v1/predict", "POST", **here, cookie=cookie, origin="http://wiki.example")[0] == 403


@pytest.mark.parametrize("token", ["", "a b", "a&b", "a#b", "a;b", "a%b", "\xe9", "a\r\nb"])
def test_a_token_that_would_not_come_through_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(UsageError, match="token is empty or has other signs"):
        serve(tmp_path, Address(token=token), Limits(), print)


@pytest.mark.parametrize(
    "name",
    [
        *("pets.example:8443", "https://pets.example", "pets.example/", "pets.example/pets", "*.pets.example", "", "."),
        *("a b", "me@pets.example", "fe80::1", "[fe80::1]:8000", "[pets]", "b\xfccher.example", "a..b", "-a.example\n"),
    ],
)
def test_a_name_that_no_request_could_be_for_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"--name .*[Ee]xpected .*such as pets\.example"):
        serve(tmp_path, Address(names=[name]), Limits(), print)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("pets.example", "pets.example:8443"),
        ("Pets.Example.", "pets.example"),
        ("my_box", "MY_BOX:80"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example."),
        ("10.0.0.7", "10.0.0.7"),
        ("[FE80::1]", "[fe80::1]:8000"),
    ],
)
def test_a_name_as_browsers_send_it_is_taken_and_answered_to(name: str, host: str) -> None:
    assert Access(PORT, as_hosts([name])).is_ours(host)


def test_the_checks_stand_before_every_route(server: Server) -> None:
    for path in ("/", "/v1/recognizer", "/metrics", "/livez", "/nothing"):
        assert server.ask(path, host="evil.example").status == 421
    reply = server.ask("/v1/predict", b"", content_type="image/png", origin="http://evil.example")
    assert reply.status == 403
    assert server.say(b"GET /livez HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    in_full = f"GET http://localhost:{server.port}/livez HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
    assert server.say(in_full.encode() + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_every_answer_forbids_what_the_page_does_not_need(server: Server) -> None:
    for reply in (server.ask("/"), server.ask("/v1/recognizer"), server.ask("/nothing")):
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:")
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in reply.headers


def test_any_other_address_needs_the_token_that_was_printed(model: Path, colors: dict[str, bytes]) -> None:
    with serving(model, "--host", "0.0.0.0") as server:
        token = server.ready["token"]
        assert len(token) >= 32
        # 0.0.0.0 leads nowhere from another machine; the machine's own name does, and is answered to.
        assert server.ready["url"] == f"http://{socket.gethostname()}:{server.port}/?token={token}"
        named = f"{socket.gethostname()}:{server.port}"
        assert server.ask("/livez", host=named).status == 200
        refused = server.ask("/v1/predict", colors["red"], content_type="image/png")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        bearer = {"authorization": f"Bearer {token}"}
        assert server.ask("/v1/predict", colors["red"], content_type="image/png", **bearer).status == 200
        opened = server.ask(f"/?token={token}")
        assert (opened.status, opened.headers["location"]) == (303, "/")
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert server.ask("/", cookie=cookie.partition(";")[0]).status == 200
        assert server.ask("/?token=other").status == 401
