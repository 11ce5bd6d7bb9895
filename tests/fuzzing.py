"""Ranges of mutants, each decoded twice in processes of their own, and what is wrong with the outcome.

    python fuzzing.py FOLDER [FILES] [--seed 1] [--first 0] [--last 1000000] [--workers 1]

FILES as for ``fuzzed_decoding.py``: ``made``, or a folder of pictures to damage. Pieces whose verdict lies in FOLDER
are not run again: what was stopped goes on, and other processes or machines may take other ranges.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

PIECE = 5000
MOST_SECONDS = 5.5  # a decoder is ended after 5, which takes a moment
MOST_BYTES = 300_000_000  # beyond what the size of the picture explains

_HERE = Path(__file__).parent


def fuzz(folder: Path, source: str, seed: int, first: int, last: int, workers: int = 1) -> Iterator[dict[str, Any]]:
    """Yields the verdict of every piece, in order; each piece keeps two processes busy."""
    starts = range(first, last, PIECE)
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda start: _piece(folder, source, seed, start, min(start + PIECE, last)), starts)


def _piece(folder: Path, source: str, seed: int, first: int, last: int) -> dict[str, Any]:
    where = folder / f"{Path(source).name}-{seed}-{first}-{last}"
    verdict = where / "verdict.json"
    if not verdict.exists():
        where.mkdir(parents=True, exist_ok=True)
        words = [source, str(seed), str(first), str(last)]
        processes = [
            _start(where / "forwards", words),
            _start(where / "backwards", [*words, "--backwards"], MALLOC_PERTURB_="165"),
        ]
        found = _judge(where, [_end(process) for process in processes])
        verdict.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(verdict.read_text(encoding="utf-8"))


def _start(folder: Path, words: list[str], **variables: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    paths = [str(_HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, "-W", "default", str(_HERE / "fuzzed_decoding.py"), str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    out, err = process.communicate()
    return process.returncode, out + err


def _judge(where: Path, ends: list[tuple[int, str]]) -> dict[str, Any]:
    wrong: list[str] = []
    for name, (code, printed) in zip(("forwards", "backwards"), ends, strict=True):
        if code:
            at = (where / name / "at").read_text().strip()
            wrong.append(f"{name}: ended with code {code} at mutant {at}: {printed[-2000:]}")
        elif printed:
            wrong.append(f"{name}: printed {printed[:500]!r}")
    if any(code for code, _ in ends):
        return {"wrong": wrong}
    report, other = (json.loads((where / name / "report.json").read_text()) for name in ("forwards", "backwards"))
    wrong += [f"mutant {one['number']}: {one['error']} {one['file']}" for one in report["failures"] + other["failures"]]
    wrong += [f"mutant {n} took {seconds} s" for seconds, n in report["slowest"] if seconds > MOST_SECONDS]
    wrong += [f"mutant {n} took {num:,} bytes" for num, n in report["largest"] if num > MOST_BYTES]
    wrong += [f"mutant {n} comes out otherwise the second time" for n in _unequal(where)]
    return {**report, "wrong": wrong}


def _unequal(where: Path) -> list[int]:
    """Mutants with another outcome in other memory; where time or memory ended the decoding, it need not be equal."""
    ours, others = (np.load(where / name / "outcomes.npy") for name in ("forwards", "backwards"))
    return np.flatnonzero((ours != others) & ~ours["is_cut_off"] & ~others["is_cut_off"]).tolist()


def summary(verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """All pieces as one; of the reasons, how many mutants ended with each."""
    reasons: Counter[str] = Counter()
    for one in verdicts:
        reasons.update(one.get("reasons", {}))
    return {
        "num": sum(one.get("num", 0) for one in verdicts),
        "num_read": sum(one.get("num_read", 0) for one in verdicts),
        "most_seconds": max((seconds for one in verdicts for seconds, _ in one.get("slowest", [])), default=0),
        "most_bytes": max((num for one in verdicts for num, _ in one.get("largest", [])), default=0),
        "wrong": [text for one in verdicts for text in one["wrong"]],
        "reasons": dict(reasons.most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", nargs="?", default="made")
    for name, default in (("--seed", 1), ("--first", 0), ("--last", 1_000_000), ("--workers", 1)):
        parser.add_argument(name, type=int, default=default)
    asked = parser.parse_args()
    found = summary(list(fuzz(asked.folder, asked.files, asked.seed, asked.first, asked.last, asked.workers)))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
