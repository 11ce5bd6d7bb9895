"""Decodes mutants of valid files in a process of its own, and notes what became of each.

    python fuzzed_decoding.py FOLDER FILES SEED FIRST LAST [--backwards]

FILES is ``made``, or a folder of pictures to damage. Backwards, only outcomes are noted, and nothing is measured: with
another filling of fresh memory (MALLOC_PERTURB_) and other pictures before each, they must be the same.

In FOLDER: ``outcomes.npy``, one row a mutant; ``at``, the number of the mutant now decoded; ``report.json``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mutations import mutant
from valid_pictures import valid_pictures
from whyconv.errors import PictureError
from whyconv.images import isolation
from whyconv.images.decode import Decoded, decode, read_header
from whyconv.images.prepare import PicturePolicy, prepare

OUTCOME = np.dtype([("digest", "S16"), ("is_read", "?"), ("is_cut_off", "?")])
NUM_KEPT = 5
SLOW_SECONDS = 2.0
BYTES_PER_PIXEL = 32  # what a decoder is given for a picture of its size

_LARGEST_ZOO_FILE = 10_000
_CUT_OFF = re.compile(r"takes too long|more memory than its size allows")
_POLICY = PicturePolicy(side=8, channels=1)


def files_to_damage(source: str) -> list[bytes]:
    if source == "made":
        return list(valid_pictures().values())
    paths = sorted(path for path in Path(source).iterdir() if path.stat().st_size <= _LARGEST_ZOO_FILE)
    return [path.read_bytes() for path in paths]


class Watch:
    """How much memory this process and its workers took at their highest, since ``begin``."""

    def __init__(self) -> None:
        self._before: dict[int, int] = {}

    def begin(self) -> None:
        self._before = {}
        for pid in (os.getpid(), *(worker.process.pid for worker in isolation._pool.idle)):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the highest from now on
            self._before[pid] = _highest(pid)

    def growth(self) -> int:
        return sum(_highest(pid) - before for pid, before in self._before.items())


def _highest(pid: int) -> int:
    """Bytes; 0 of a process that was ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    found = re.search(r"VmHWM:\s*(\d+)", status)
    return int(found[1]) * 1024 if found else 0


class Outcome(NamedTuple):
    """What became of a file: a digest of pixels and facts or of the reason, and the reason without its numbers."""

    digest: str
    is_read: bool
    reason: str
    seconds: float


def outcome_of(content: bytes) -> Outcome:
    began = time.perf_counter()
    try:
        decoded = decode(content)
    except PictureError as error:
        seconds = time.perf_counter() - began
        digest = hashlib.blake2b(str(error).encode(), digest_size=8).hexdigest()
        return Outcome(digest, False, re.sub(r"[\d,.]+|\(it starts.*", "#", str(error)), seconds)
    seconds = time.perf_counter() - began
    _check(decoded)
    hasher = hashlib.blake2b(repr(decoded.facts).encode(), digest_size=8)
    hasher.update(np.ascontiguousarray(decoded.pixels).data)
    return Outcome(hasher.hexdigest(), True, f"read as {decoded.facts.format}", seconds)


def _check(decoded: Decoded) -> None:
    facts, pixels = decoded.facts, decoded.pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (facts.height, facts.width, facts.channels)
    assert facts.channels in (1, 3)


def look_otherwise(content: bytes, is_read: bool) -> int:
    """The way of a small picture, and the head alone: where the file is read, these are too. The pixels it claims."""
    found = [_reason(lambda: prepare(content, _POLICY)), _reason(lambda: read_header(content))]
    refusals = [reason for reason in found if reason and not _CUT_OFF.search(reason)]
    if is_read and refusals:
        raise AssertionError(f"decoded, but otherwise refused: {refusals}")
    if found[1]:
        return 0
    header = read_header(content)
    return header.width * header.height


def _reason(read: Callable[[], object]) -> str:
    try:
        read()
    except PictureError as error:
        return str(error)
    return ""


class Visit:
    """Mutants ``first`` to ``last`` - 1, and what is noted of them."""

    def __init__(self, folder: Path, files: Sequence[bytes], seed: int, first: int, last: int) -> None:
        self.folder, self.files, self.seed, self.first, self.last = folder, files, seed, first, last
        self.outcomes = np.zeros(last - first, OUTCOME)
        self.reasons: Counter[str] = Counter()
        self.failures: list[dict[str, Any]] = []
        self.slowest: list[tuple[float, int]] = []
        self.largest: list[tuple[bool, int, int]] = []
        self.at = os.open(folder / "at", os.O_CREAT | os.O_WRONLY)

    def decode_all(self, numbers: Sequence[int], watch: Watch | None) -> None:
        for number in numbers:
            os.pwrite(self.at, f"{number:<12}".encode(), 0)
            content = mutant(self.files, self.seed, number)
            try:
                self._decode_one(number, content, watch)
            except Exception as error:  # noqa: BLE001 - any but a PictureError is what is looked for
                kept = base64.b64encode(content).decode()
                self.failures.append({"number": number, "error": f"{type(error).__name__}: {error}", "file": kept})
        np.save(self.folder / "outcomes.npy", self.outcomes)

    def _decode_one(self, number: int, content: bytes, watch: Watch | None) -> None:
        if watch is not None:
            watch.begin()
        found = outcome_of(content)
        self.outcomes[number - self.first] = found.digest, found.is_read, bool(_CUT_OFF.search(found.reason))
        if watch is not None:
            growth, claimed = watch.growth(), look_otherwise(content, found.is_read)
            is_more = growth > BYTES_PER_PIXEL * claimed
            self.reasons[found.reason] += 1
            seconds = found.seconds
            if seconds > SLOW_SECONDS:  # another process may have had the cores meanwhile
                seconds = min(seconds, outcome_of(content).seconds)
            self.slowest = sorted([*self.slowest, (round(seconds, 3), number)])[-NUM_KEPT:]
            self.largest = sorted([*self.largest, (is_more, growth, number)])[-NUM_KEPT:]

    def report(self) -> dict[str, Any]:
        return {
            "num": self.last - self.first,
            "num_read": int(self.outcomes["is_read"].sum()),
            "reasons": dict(self.reasons.most_common()),
            "failures": self.failures,
            "slowest": self.slowest,
            "largest": [(growth, number) for is_more, growth, number in self.largest if is_more],
        }


def main() -> None:
    folder, source, seed, first, last = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
    is_backwards = "--backwards" in sys.argv
    folder.mkdir(parents=True, exist_ok=True)
    files = files_to_damage(source)
    for content in files[:: max(1, len(files) // 70)]:  # All that is loaded once is loaded before anything is measured.
        try:
            decode(content)
        except PictureError:
            continue
    visit = Visit(folder, files, seed, first, last)
    numbers = range(first, last)
    visit.decode_all(numbers[::-1] if is_backwards else numbers, None if is_backwards else Watch())
    (folder / "report.json").write_text(json.dumps(visit.report()), encoding="utf-8")


if __name__ == "__main__":
    main()
