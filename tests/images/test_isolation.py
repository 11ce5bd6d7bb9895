from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import encode, photo
from whyconv.errors import PictureError, WhyconvError
from whyconv.images import isolation
from whyconv.images.decode import decode
from whyconv.images.isolation import decode_apart, end_workers, read_header_apart
from whyconv.images.raster import read_raster

_WHITE = (255, 255, 255)
_WEBP = encode(photo(40, 50), "WEBP", lossless=True)


def _run(script: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "default", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _ico_that_lies(side: int) -> bytes:
    """An icon that claims 16 x 16 pixels and holds a PNG of side x side, transparent and tiny as a file."""
    picture = encode(Image.new("RGBA", (side, side)), "PNG", compress_level=1)
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(picture), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + picture


@pytest.mark.parametrize("format_name", ["gif", "webp", "tiff", "bmp", "ppm"])
def test_pixels_and_facts_come_back_as_they_were(format_name):
    content = encode(photo(41, 53), format_name)
    apart, here = decode_apart(content, format_name, _WHITE), read_raster(content, format_name, _WHITE)
    assert np.array_equal(apart.pixels, here.pixels)
    assert apart.facts == here.facts
    assert read_header_apart(content, format_name).width == 53


def test_one_worker_is_kept():
    end_workers()
    decode(_WEBP)
    (first,) = isolation._pool.idle
    decode(_WEBP)
    assert isolation._pool.idle == [first]
    assert first.process.poll() is None


def test_a_hang_is_ended_and_the_next_picture_is_read():
    slow = encode(np.tile(photo(500, 500), (6, 6, 1)), "TIFF", compression="tiff_lzw")
    decode(_WEBP)
    started = time.monotonic()
    with pytest.raises(PictureError, match=r"takes too long: this TIFF was not decoded in 0\.02 seconds"):
        decode_apart(slow, "tiff", _WHITE, seconds=0.02)
    assert time.monotonic() - started < 1
    assert decode(_WEBP).pixels.shape == (40, 50, 3)
    assert decode(slow).pixels.shape == (3000, 3000, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_a_file_that_wants_more_memory_than_it_claims_is_refused():
    content = _ico_that_lies(3000)
    with pytest.raises(PictureError, match="more memory than its size allows"):
        decode_apart(content, "ico", _WHITE, spare_bytes=16 << 20)
    assert decode(_WEBP).pixels.shape == (40, 50, 3)
    assert decode(content).pixels.shape == (3000, 3000, 3)


def test_a_worker_ended_from_outside_costs_no_picture():
    decode(_WEBP)
    for worker in isolation._pool.idle:
        worker.process.kill()
        worker.process.wait()
    assert decode(_WEBP).pixels.shape == (40, 50, 3)


def test_a_file_that_kills_its_decoder_is_refused(monkeypatch):
    end_workers()
    crash = "import os; from whyconv.images import worker; worker.read_raster = lambda *a, **k: os.abort(); serve()"
    with monkeypatch.context() as patch:
        patch.setattr(isolation, "_PROGRAM", isolation._PROGRAM.replace("serve()", crash))
        with pytest.raises(PictureError, match="the decoder of WebP crashes on it"):
            decode(_WEBP)
    assert decode(_WEBP).pixels.shape == (40, 50, 3)


def test_a_worker_that_cannot_start_is_no_fault_of_the_picture(monkeypatch):
    end_workers()
    with monkeypatch.context() as patch:
        patch.setattr(isolation, "_PROGRAM", "raise SystemExit(7)")
        with pytest.raises(WhyconvError, match="could not be started: it ended with code 7") as caught:
            decode(_WEBP)
        assert not isinstance(caught.value, PictureError)
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(WhyconvError, match="could not be started"):
            decode(_WEBP)


def test_many_threads_share_few_workers():
    end_workers()
    pictures = [photo(30 + i, 40, seed=i) for i in range(24)]
    contents = [encode(picture, "WEBP", lossless=True) for picture in pictures]
    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(decode, contents))
    for picture, result in zip(pictures, decoded, strict=True):
        assert np.array_equal(result.pixels, picture)
    assert 1 <= len(isolation._pool.idle) <= (os.cpu_count() or 1)
    assert threading.active_count() < 20


def test_jpeg_and_png_start_no_worker():
    script = f"""
from whyconv.images import isolation
from whyconv.images.decode import decode
for content in ({encode(photo(20, 20), "JPEG")!r}, {encode(photo(20, 20), "PNG")!r}):
    decode(content)
print(len(isolation._pool.idle))
"""
    assert _run(script).stdout == "0\n"


def test_a_script_needs_no_guard_and_leaves_nothing_behind():
    script = f"""
from whyconv.images import isolation
from whyconv.images.decode import decode
print(decode({_WEBP!r}).pixels.shape, isolation._pool.idle[0].process.pid)
"""
    done = _run(script)
    assert done.stderr == ""
    shape, pid = done.stdout.rsplit(" ", 1)
    assert shape == "(40, 50, 3)"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_worker_ends_when_its_parent_is_killed():
    script = f"""
import os, signal
from whyconv.images import isolation
from whyconv.images.decode import decode
decode({_WEBP!r})
print(isolation._pool.idle[0].process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    pid = int(_run(script).stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _is_running(pid):
        time.sleep(0.02)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # Where nobody reaps orphans, a dead one stays as a zombie.
    return not status.exists() or status.read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_its_own():
    script = f"""
import os, sys
from whyconv.images import isolation
from whyconv.images.decode import decode
content = {_WEBP!r}
first = decode(content).pixels
parents = isolation._pool.idle[0].process.pid
child = os.fork()
same = all((decode(content).pixels == first).all() for _ in range(20))
own = isolation._pool.idle[0].process.pid
if child == 0:
    sys.exit(0 if same and own != parents else 1)
print(os.waitpid(child, 0)[1], same, own == parents)
"""
    done = _run(script)
    assert (done.stdout, done.stderr) == ("0 True True\n", "")


def test_the_current_folder_cannot_shadow_what_the_worker_imports(tmp_path):
    (tmp_path / "struct.py").write_text("raise SystemExit('shadowed')", encoding="utf-8")
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')", encoding="utf-8")
    (tmp_path / "script.py").write_text("", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            f"from whyconv.images.decode import decode; print(decode({_WEBP!r}).facts.format)",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("webp\n", "")


def test_ctrl_c_leaves_the_pool_usable(monkeypatch):
    """An interrupt while a worker is busy ends that worker: its answer would be taken for the next one's."""
    end_workers()
    decode(_WEBP)
    busy = isolation._pool.idle[0]

    def interrupted(stream):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(isolation, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            decode(_WEBP)
    assert busy.process.poll() is not None
    assert decode(encode(photo(7, 9), "BMP")).pixels.shape == (7, 9, 3)


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_does_not_reach_the_worker():
    decode(_WEBP)
    worker = isolation._pool.idle[0]
    os.kill(worker.process.pid, signal.SIGINT)
    time.sleep(0.05)
    decode(_WEBP)
    assert isolation._pool.idle[0] is worker
