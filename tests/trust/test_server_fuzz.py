"""Whatever is sent, the answer is planned and tells nothing, and the server writes, asks and keeps nothing."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from http_server import Reply, Server, serving
from mirrored_model import write_run
from mutated_requests import Mutations
from raw_requests import Exchange, complaints, send_all
from server_process import WATCHED, descriptors, in_work, memory
from whyconv.web.application import _GET

PLANNED = frozenset({100, 200, 304, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 431, 503})
REACHED = {200, 400, 403, 404, 405, 408, 413, 415, 421, 422, 431}  # else the requests are too tame
MOST_BYTES = 9_000_000
MOST_GROWTH = 50e6
GETS = (*(path.replace("{name}", "first") for path in _GET), "/", "/page/main.js", "/nothing")
POSTS = ("/v1/predict", "/v1/predict?top=2", "/v1/prepared", "/v1/explain", "/v1/twin", "/v1/maps?layer=first",
         "/v1/units?layer=second&filter=1&y=2&x=1", "/v1/steps?layer=first&y=1&x=1")  # fmt: skip


@pytest.fixture
def zoo(shared_data: Callable[[str], Path]) -> list[bytes]:
    paths = sorted(path for path in shared_data("zoo").iterdir() if path.stat().st_size < MOST_BYTES)
    return [path.read_bytes() for path in paths]


@pytest.fixture
def canary() -> Iterator[socket.socket]:
    """Nobody ever connects here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Server]:
    """A server in a folder of its own; in the end nothing was written there, and it said nothing but that it serves."""
    run, here = write_run(tmp_path / "runs" / "two-1"), tmp_path / "here"
    here.mkdir()
    before = everything_in(tmp_path)
    with serving(run, "--timeout", 0.5, "--max-waiting", 1000, code=WATCHED, folder=here) as server:
        yield server
    assert everything_in(tmp_path) == before
    (said,) = server.said
    assert re.sub(r"https?://\S+", "URL", said).splitlines()[1:] == said.splitlines()[1:]
    assert len(said.splitlines()) == 3, said


def everything_in(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def secrets(server: Server) -> re.Pattern[bytes]:
    """A trace, or a place on this machine."""
    places = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), server.process.args[4].rpartition("/")[0]}
    patterns = ["Traceback", 'File "', "site-packages", r"\.py\b", r"\bline \d+, in\b", *map(re.escape, places)]
    return re.compile("|".join(patterns).encode())


def assert_as_planned(exchanges: Iterable[Exchange], server: Server) -> Counter[int]:
    """Returns how often each status came."""
    counts, private = Counter[int](), secrets(server)
    for each in exchanges:
        assert not each.has_hung, each.sent[:2000]
        assert not each.rest, (each.sent[:2000], each.rest[:500])
        for reply in each.replies:
            assert list(complaints(reply, PLANNED, private)) == [], (each.sent[:2000], reply.body[:2000])
            counts[reply.status] += 1
    return counts


def assert_at_rest(server: Server) -> None:
    """Nothing is in work, and the one connection is that which asks."""
    assert in_work(server.ask("/metrics").body) == {"waiting_pictures": 0, "connections": 1}


def fuzz(server: Server, canary: int, pictures: list[bytes], num_requests: int, seed: int) -> tuple[Counter[int], int]:
    """Returns how often each status came, and by how many bytes the server has grown."""
    mutations = Mutations(seed, server.port, canary, GETS, POSTS, pictures)
    stream, warm_up = iter(mutations), num_requests // 5
    whole = [mutations.request(path, content) for content in pictures for path in POSTS[: 1 + num_requests // 10_000]]
    counts = assert_as_planned(asyncio.run(send_all(server.port, islice(stream, warm_up))), server)
    # What the largest pictures take is taken once.
    counts += assert_as_planned(asyncio.run(send_all(server.port, whole[: num_requests // 10])), server)
    before, files = memory(server.process.pid), descriptors(server.process.pid)
    rest = islice(stream, num_requests - warm_up - num_requests // 10)
    counts += assert_as_planned(asyncio.run(send_all(server.port, rest)), server)
    grown = memory(server.process.pid) - before
    sys.stdout.write(
        f"{counts.total():,} answers to {num_requests:,} requests, memory {grown / 1e6:+.1f} MB: {counts}\n"
    )
    assert descriptors(server.process.pid) <= files + 4
    assert_at_rest(server)
    return counts, grown


def test_whatever_bytes_come_the_answer_is_planned(watched: Server, canary: socket.socket, zoo: list[bytes]) -> None:
    counts, grown = fuzz(watched, canary.getsockname()[1], zoo[::3], 1_850, seed=0)
    assert counts.keys() >= REACHED
    assert grown < MOST_GROWTH


@pytest.mark.long
def test_ninety_thousand_requests_of_bytes(watched: Server, canary: socket.socket, zoo: list[bytes]) -> None:
    counts, grown = fuzz(watched, canary.getsockname()[1], zoo, 90_000, seed=1)
    assert counts.keys() >= REACHED
    assert grown < MOST_GROWTH


def ask_by_the_description(server: Server, examples: int) -> Counter[int]:
    """Requests that fit the published description, and as many that do not."""
    import hypothesis
    import schemathesis

    schema = schemathesis.openapi.from_dict(server.ask("/openapi.json").json)
    address, private, counts = f"http://localhost:{server.port}", secrets(server), Counter[int]()
    for result in schema.get_all_operations():
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @hypothesis.given(case=result.ok().as_strategy(generation_mode=mode))
            @hypothesis.settings(
                max_examples=examples, deadline=None, derandomize=True, database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            )  # fmt: skip
            def ask(case: schemathesis.Case) -> None:
                got = case.call(base_url=address)
                reply = Reply(got.status_code, {k.lower(): v[0] for k, v in got.headers.items()}, got.content)
                assert list(complaints(reply, PLANNED, private)) == [], (case.as_curl_command(), reply.body[:2000])
                counts[reply.status] += 1

            with suppress(hypothesis.errors.Unsatisfiable):  # a route without parameters cannot be asked for wrongly
                ask()
    return counts


def test_requests_by_the_description_and_against_it(watched: Server) -> None:
    counts = ask_by_the_description(watched, 7)
    sys.stdout.write(f"{counts.total()} requests: {counts}\n")
    assert counts.total() >= 150
    assert counts.keys() >= {200, 404, 422}
    assert_at_rest(watched)


@pytest.mark.long
def test_ten_thousand_requests_by_the_description(watched: Server) -> None:
    assert ask_by_the_description(watched, 600).total() >= 10_000
