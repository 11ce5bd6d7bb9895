"""Processes that all want to write to one run folder at the same moment, forked by one that has little loaded.

    python racing_writers.py FOLDER RACES SEED

In each race 2 to 20 processes start at once. One line of JSON for each: "once", where every process tries once and who
holds the lock keeps it until all have tried; and "in turn", where each tries until it has held the lock and then
finishes the run, which removes the lock with its folder.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whyconv.errors import WhyconvError
from whyconv.training.run_folder import sole_trainer


def start(count: int, child: Callable[[int], str]) -> tuple[list[int], int]:
    """Forks processes that begin at the same moment; returns them, and where what they say can be read."""
    gate, opener = os.pipe()
    ear, mouth = os.pipe()
    children = []
    for number in range(count):
        if (process := os.fork()) == 0:
            os.close(opener)
            os.read(gate, 1)  # until the last who could write has closed it
            code = 1
            try:
                os.write(mouth, (child(number) + "\n").encode())
                code = 0
            finally:
                os._exit(code)
        children.append(process)
    os.close(opener)
    os.close(gate)
    os.close(mouth)
    return children, ear


def heard(ear: int) -> list[str]:
    with os.fdopen(ear) as file:
        return file.read().splitlines()


def race_once(folder: Path, count: int) -> dict[str, Any]:
    """Every process tries once; the holder is killed in the end, and the next one takes over."""
    tried = folder / "tried"
    tried.mkdir(parents=True)

    def child(number: int) -> str:
        try:
            with sole_trainer(folder):
                (tried / f"{number}").touch()
                while len(list(tried.iterdir())) < count:
                    time.sleep(0.005)
                (folder / "held").write_text(str(os.getpid()))
                time.sleep(60)
                return "never"
        except WhyconvError as error:
            (tried / f"{number}").touch()
            return str(error)

    children, ear = start(count, child)
    while not (folder / "held").exists() or not (folder / "held").read_text():
        time.sleep(0.005)
    holder = int((folder / "held").read_text())
    os.kill(holder, signal.SIGKILL)
    told = heard(ear)
    codes = [os.waitpid(process, 0)[1] for process in children]
    with sole_trainer(folder):
        taken_over = True
    return {"kind": "once", "count": count, "holder": holder, "told": told, "codes": codes, "taken_over": taken_over}


def race_in_turn(folder: Path, count: int) -> dict[str, Any]:
    """Every process holds the lock once; two at a time would meet at a file that only one can make."""
    folder.mkdir()

    def child(number: int) -> str:
        while True:
            try:
                with sole_trainer(folder):
                    marker = os.open(folder / "alone", os.O_CREAT | os.O_EXCL)
                    time.sleep(0.002)
                    os.close(marker)
                    (folder / "alone").unlink()
                    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
                return "held"
            except WhyconvError:
                time.sleep(0.001)

    children, ear = start(count, child)
    told = heard(ear)
    return {"kind": "in turn", "count": count, "told": told, "codes": [os.waitpid(each, 0)[1] for each in children]}


def main() -> None:
    place, races, generator = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    for number in range(races):
        count = generator.randint(2, 20)
        for row in (race_once(place / f"once-{number}", count), race_in_turn(place / f"turn-{number}", count)):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()  # before the next fork copies what is not written yet


if __name__ == "__main__":
    main()
