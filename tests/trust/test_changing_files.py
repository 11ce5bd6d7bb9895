"""Files that change, grow, vanish or become something else: between looking and training, and while they are read."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from odd_folders import good
from scenes import png, scene
from tiny_model import write_model
from whyconv.errors import DataError, PictureError
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import listing
from whyconv.images.sources.listing import MAX_FILE_BYTES, read_file
from whyconv.inspection import inspect
from whyconv.recognizer import open_recognizer
from whyconv.settings import TrainSettings
from whyconv.training.pictures import Division, Part, divide, load_parts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes, and limits of Linux")

POLICY = PicturePolicy(side=8, channels=3)
HUNG_SECONDS = 60


@pytest.fixture(autouse=True)
def ended_when_hung() -> Iterator[None]:
    def hung(*_: object) -> None:
        raise KeyboardInterrupt(f"hung for {HUNG_SECONDS} s")  # as an error it could be taken for one of the file

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HUNG_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def looked_at(folder: Path, store: Path) -> Division:
    settings = TrainSettings.of({"pictures": str(folder)}, where="test")
    return divide(inspect(folder, store=store), settings, seed=0, notify=lambda _: None)


def loaded(division: Division, store: Path) -> tuple[Part, ...]:
    return load_parts(division, POLICY, store=store, notify=lambda _: None)


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another picture": (lambda path: path.write_bytes(png(scene(999, 20, 16))), "another picture"),
    "gone": (Path.unlink, "file is missing"),
    "empty": (lambda path: path.write_bytes(b""), "empty file"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:60]), "cut short"),
    "a pipe": (become_pipe, "it is not a regular file"),
    "a folder": (become_folder, "it is a folder"),
    "a link to nothing": (become_link_to_nothing, "file is missing"),
    "a terabyte": (lambda path: os.truncate(path, 1 << 40), "the file has 1,099,511,627,776 bytes"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_since_it_was_looked_at_is_not_trained_on(change: str, tmp_path: Path) -> None:
    """Not as a blank picture, and not as another one under the old label."""
    folder, store = good(tmp_path / "set"), tmp_path / "store"
    division = looked_at(folder, store)
    make, reason = CHANGES[change]
    make(folder / "cat" / "2.png")
    with pytest.raises(DataError, match=rf"1 of 12 pictures in .*set are not what they were .*cat/2\.png \({reason}"):
        loaded(division, store)


def test_what_was_touched_or_will_not_be_used_is_no_change(tmp_path: Path) -> None:
    folder, store = good(tmp_path / "set"), tmp_path / "store"
    (folder / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    division = looked_at(folder, store)
    os.utime(folder / "cat" / "2.png", ns=(5, 5))
    (folder / "cat" / "broken.png").write_bytes(png(scene(5)))
    (folder / "dog" / "late.png").write_bytes(png(scene(6)))
    parts = loaded(division, store)
    assert sum(map(len, parts)) == 12
    assert all(picture.any() for part in parts for picture in np.asarray(part.data.pixels[:]))


def test_pixels_kept_from_an_earlier_look_are_compared_too(tmp_path: Path) -> None:
    """The store of an earlier training, the survey of another time: what differs is seen whichever is older."""
    folder, store = good(tmp_path / "set"), tmp_path / "store"
    loaded(looked_at(folder, store), store)
    (folder / "dog" / "1.png").write_bytes(png(scene(888, 20, 16)))
    division = looked_at(folder, store)
    assert sum(map(len, loaded(division, store))) == 12
    (folder / "dog" / "1.png").write_bytes(png(scene(101, 20, 16)))
    with pytest.raises(DataError, match="dog/1"):
        loaded(division, store)


def growing(path: Path, stopped: threading.Event) -> None:
    with path.open("ab", buffering=0) as file:
        while not stopped.is_set():
            file.write(bytes(1 << 16))
            if file.tell() > 64 << 20:
                file.truncate(1 << 20)


def replacing(path: Path, stopped: threading.Event) -> None:
    """Picture, pipe, nothing, folder, cut short: in a circle."""
    picture, generator = png(scene(1, 64, 64)), random.Random(0)
    forms: tuple[Callable[[], object], ...] = (
        lambda: path.write_bytes(picture),
        lambda: os.mkfifo(path),
        lambda: None,
        path.mkdir,
        lambda: path.write_bytes(picture[: generator.randrange(len(picture))]),
    )
    while not stopped.is_set():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        generator.choice(forms)()
        time.sleep(generator.random() / 2000)


@pytest.mark.parametrize("damage", [growing, replacing])
def test_a_file_that_changes_while_it_is_read_is_whole_or_refused(damage: Callable, tmp_path: Path) -> None:
    path, stopped = tmp_path / "cat.png", threading.Event()
    whole = png(scene(1, 64, 64))
    path.write_bytes(whole)
    thread = threading.Thread(target=damage, args=(path, stopped))
    thread.start()
    reasons, num_read, end = set(), 0, time.monotonic() + 2
    try:
        while time.monotonic() < end:
            try:
                content = read_file(path)
            except PictureError as error:
                reasons.add(str(error).split(":")[0])
                continue
            num_read += 1
            assert len(content) <= MAX_FILE_BYTES
            # A file that is written anew may be met cut short, but never as a mixture.
            assert whole.startswith(content) or damage is growing
    finally:
        stopped.set()
        thread.join()
    if damage is growing:
        assert "the file was changed while it was read" in reasons
    else:
        assert {"file is missing", "it is not a regular file", "it is a folder, not a file"} <= reasons
        assert num_read


def test_what_became_a_pipe_after_it_was_asked_for_is_no_file(tmp_path: Path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "cat.png")
    monkeypatch.setattr(listing, "stat_file", lambda path: (100, 0))
    with pytest.raises(PictureError, match="it is not a regular file"):
        read_file(tmp_path / "cat.png")


def test_no_verb_hangs_or_breaks_while_its_folder_is_changed(tmp_path: Path) -> None:
    """Looking, preparing and predicting, again and again, beside a thread that replaces every file in turn."""
    folder, stopped = good(tmp_path / "set"), threading.Event()
    recognizer = open_recognizer(write_model(tmp_path / "model.onnx"))

    def disturb() -> None:
        generator, paths = random.Random(1), sorted(folder.glob("*/*.png"))
        changes = [make for make, _ in CHANGES.values()]
        while not stopped.is_set():
            path = generator.choice(paths)
            try:
                generator.choice(changes)(path)
                time.sleep(0.001)
            except OSError:
                pass
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            path.write_bytes(png(scene(paths.index(path), 20, 16)))

    thread, messages = threading.Thread(target=disturb), list[str]()
    thread.start()
    ends, end, rounds = {"prepared": 0, "refused": 0, "rows": 0, "errors": 0}, time.monotonic() + 4, 0
    try:
        while time.monotonic() < end:
            rounds += 1
            try:
                loaded(looked_at(folder, tmp_path / f"store {rounds}"), tmp_path / f"store {rounds}")
                ends["prepared"] += 1
            except DataError as error:
                ends["refused"] += 1
                messages.append(str(error))
            for row in recognizer.predict(folder):
                ends["errors" if row.error else "rows"] += 1
    finally:
        stopped.set()
        thread.join()
    assert all(ends.values()), ends
    assert all(str(folder) in message or "classes" in message for message in messages), messages


def test_what_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "log.png").symlink_to("/proc/kmsg")
    (tmp_path / "zeros.png").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("log.png", "zeros.png", "pipe.csv"):
        with pytest.raises(PictureError):
            read_file(tmp_path / name)
    command = [sys.executable, "-m", "whyconv", "check", str(tmp_path / "pipe.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3
    assert "neither a folder nor a regular file" in " ".join(done.stderr.split())
