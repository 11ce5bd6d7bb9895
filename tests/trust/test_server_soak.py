"""A server that works for long is at the end what it was in the beginning: as quick, as small, with as much open."""

from __future__ import annotations

import io
import random
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from http_server import FORM, Server, form, head, serving
from mirrored_model import write_run
from server_process import descriptors, memory

CALLERS = 4
PAUSE = 0.02  # seconds between two requests of a caller: a load that the machine carries with ease
BAD_FRACTION = 0.01
MAX_BODY = 400_000  # bytes; 26 times as many are held at once, so what is never let go is soon too much


def pictures() -> list[bytes]:
    found = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
        content = io.BytesIO()
        Image.effect_noise((64, 48), 60).convert("RGB").save(content, kind)
        found.append(content.getvalue())
    return found


class Load:
    """Callers who ask for a while; of every hundred requests one is bad.

    Attributes:
        answers: Seconds since the beginning, and that one answer took.
        wrong: What was not as planned.
    """

    def __init__(self, server: Server, seconds: float) -> None:
        self.server, self.contents = server, pictures()
        self.begun = time.monotonic()
        self.end = self.begun + seconds
        self.answers: list[tuple[float, float]] = []
        self.num_bad = 0
        self.wrong: list[object] = []

    def run(self) -> None:
        threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, number: int) -> None:
        draw = random.Random(number)
        while time.monotonic() < self.end:
            started = time.monotonic()
            try:
                if draw.random() < BAD_FRACTION:
                    self.num_bad += 1
                    self._bad(draw)
                else:
                    self._good(draw)
                    self.answers.append((started - self.begun, time.monotonic() - started))
            except Exception as error:  # noqa: BLE001 - told in the end
                self.wrong.append(error)
            time.sleep(PAUSE)

    def _good(self, draw: random.Random) -> None:
        content, route = draw.choice(self.contents), draw.choice(("predict", "predict", "prepared", "maps?layer=first"))
        reply = self.server.ask(f"/v1/{route}", content, content_type="image/png")
        if reply.status != 200:
            self.wrong.append((route, reply))

    def _bad(self, draw: random.Random) -> None:
        content = draw.choice(self.contents)
        body, kind, expected = draw.choice(
            (
                (content[: len(content) // 2], "image/png", (200, 422)),  # some formats take what there is
                (b"\0" * 300_000, "image/png", (422,)),
                (form(content)[:-9], FORM, (422,)),
                (content, "text/plain", (415,)),
                (b"", "", ()),
            )
        )
        if not expected:
            with self.server.connect() as connection:
                connection.sendall(head(length=MAX_BODY) + content)
            return
        reply = self.server.ask("/v1/predict", body, content_type=kind)
        if reply.status not in expected:
            self.wrong.append(reply)


def soak(run: Path, seconds: float, most_drift: float) -> None:
    """Asks for so long, and compares the second quarter of the time with the last."""
    with serving(run, "--max-body", MAX_BODY) as server:
        Load(server, 5).run()  # what is made at the first request of each kind is there
        load, sizes, files = Load(server, seconds), [], []

        def watch() -> None:
            while time.monotonic() < load.end:
                sizes.append(memory(server.process.pid))
                files.append(descriptors(server.process.pid))
                time.sleep(0.25)

        watcher = threading.Thread(target=watch)
        watcher.start()
        load.run()
        watcher.join()
    assert load.wrong == []
    assert load.num_bad > 0
    when, took = np.array(load.answers).T
    early, late = took[when < seconds / 2], took[when >= seconds / 2]
    before, after = np.array_split(np.array(sizes), 4)[1], np.array_split(np.array(sizes), 4)[3]
    p99 = [1000 * float(np.quantile(part, 0.99)) for part in (early, late)]
    sys.stdout.write(
        f"{len(took):,} answers, {load.num_bad} bad requests; "
        f"memory {before.mean() / 1e6:.1f} -> {after.mean() / 1e6:.1f} MB; "
        f"descriptors {min(files)}-{max(files)}; p99 {p99[0]:.1f} -> {p99[1]:.1f} ms\n"
    )
    assert after.mean() < 1.05 * before.mean()
    assert np.median(files[-20:]) <= np.median(files[:20]) + 3  # thousands of answers lie between
    assert p99[1] < most_drift * max(p99[0], 20)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "two-1")


def test_half_a_minute_changes_nothing(run: Path) -> None:
    soak(run, 30, most_drift=3)  # other work on the machine moves a p99 of seconds


@pytest.mark.long
def test_ten_minutes_change_nothing(run: Path) -> None:
    soak(run, 600, most_drift=1.5)
