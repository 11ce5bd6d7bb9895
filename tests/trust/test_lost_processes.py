"""A process of several is killed, frozen or stopped: it is named, and the training ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shard_files import write_data
from tiny_training import bars, write_bars

COMMAND = str(Path(__file__).parents[1] / "torchrun_command.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
EPOCHS = "5"
WORDS = ["--network", "swift", "--epochs", EPOCHS, "--search", "off", "--flips", "off", "--seed", "1", "--threads", "1"]
WORDS += ["--batch", "8"]


def whyconv(
    place: Path, *words: str, processes: int = 1, restarts: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command in a folder, in so many processes; other than 1 by torchrun."""
    command = [sys.executable, COMMAND]
    if processes > 1:
        command = [*TORCHRUN, "--nproc-per-node", str(processes), "--max-restarts", str(restarts), COMMAND]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC")}
    return subprocess.run(
        [*command, *words],
        cwd=place,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lost")
    write_bars(folder / "bars", n=120)
    return folder


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> Path:
    ended = whyconv(place, "train", "bars", *WORDS, "--out", "undisturbed", processes=2)
    assert ended.returncode == 0, ended.stderr
    return place / "undisturbed" / "bars-1"


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "epoch" not in line]


def left_behind(place: Path) -> list[str]:
    """Processes whose command names the folder of the test, or that have it for their own."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == place and int(process.name) != os.getpid():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_after_a_kill_the_training_ends_with_the_same_weights(place: Path, undisturbed: Path, rank: int) -> None:
    out, began = f"killed-{rank}", time.monotonic()
    ended = whyconv(place, "train", "bars", *WORDS, "--out", out, processes=2, restarts=1, HURT=f"kill:{rank}:40")
    assert ended.returncode == 0, ended.stderr
    assert [run.name for run in (place / out).iterdir()] == ["bars-1"]
    assert digest(place / out / "bars-1") == digest(undisturbed)
    assert losses(place / out / "bars-1") == losses(undisturbed)
    assert time.monotonic() - began < 90
    assert left_behind(place) == []


@pytest.mark.slow
def test_on_shards_it_ends_with_the_same_weights_too(place: Path) -> None:
    write_data(place / "shards", bars(120), 25)
    words = ["train", "shards/bars-*.tar", *WORDS, "--size", "8"]
    whole = whyconv(place, *words, "--out", "shards-whole", processes=2)
    assert whole.returncode == 0, whole.stderr
    # 84 pictures are learned from in batches of 8: step 17 is in the middle of the second pass, and of a shard.
    killed = whyconv(place, *words, "--out", "shards-killed", processes=2, restarts=1, HURT="kill:1:17")
    assert killed.returncode == 0, killed.stderr
    assert digest(place / "shards-killed" / "bars-1") == digest(place / "shards-whole" / "bars-1")
    assert left_behind(place) == []
    # One process in place of two sees the same batches; its sums are rounded otherwise.
    alone = whyconv(place, *words, "--out", "shards-alone")
    assert alone.returncode == 0, alone.stderr
    seen = [losses(place / out / "bars-1")[:50] for out in ("shards-alone", "shards-whole")]
    assert seen[0] == pytest.approx(seen[1], rel=1e-4)


@pytest.mark.slow
def test_a_frozen_process_is_named_and_the_training_ends_with_the_same_weights(place: Path, undisturbed: Path) -> None:
    ended = whyconv(
        place,
        "train",
        "bars",
        *WORDS,
        "--out",
        "frozen",
        processes=2,
        restarts=1,
        HURT="freeze:1:40",
        PATIENCE="5",
    )
    assert ended.returncode == 0, ended.stderr
    assert f"Process 1 on {os.uname().nodename} (process " in ended.stderr
    assert "of 2 is gone or frozen, says process 0" in ended.stderr
    assert digest(place / "frozen" / "bars-1") == digest(undisturbed)
    assert left_behind(place) == []


@pytest.mark.slow
def test_one_two_and_one_process_go_on_with_each_other(place: Path) -> None:
    words = ["8" if word == EPOCHS else word for word in WORDS]
    whole = whyconv(place, "train", "bars", *words, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    first = whyconv(place, "train", "bars", *words, "--out", "parts", HURT="stop:0:20", **alone())
    assert first.returncode == 143, first.stderr
    run = place / "parts" / "bars-1"
    second = whyconv(place, "train", "--resume", str(run), processes=2, HURT="stop:0:55")
    assert second.returncode != 0
    # Asked for before step 56, seen by both while they take it, and acted on when the next one is done.
    assert "Stopped at step 57" in second.stderr
    assert "processes 1 (now 2)" in second.stderr
    third = whyconv(place, "train", "--resume", str(run))
    assert third.returncode == 0, third.stderr
    assert "processes 2 (now 1)" in third.stderr
    pairs = zip(losses(run), losses(place / "whole" / "bars-1"), strict=True)
    assert max(abs(mine - theirs) / theirs for mine, theirs in pairs) < 1e-4


@pytest.mark.slow
def test_more_processes_than_pictures_in_a_batch_are_refused(place: Path) -> None:
    ended = whyconv(place, "train", "bars", *WORDS[:-2], "--batch", "2", "--out", "refused", processes=3)
    assert ended.returncode != 0
    assert "Batches of 2 pictures cannot be divided among 3 processes" in " ".join(ended.stderr.split())


def alone() -> dict[str, str]:
    """What a launcher says of a single process, so that it may be hurt."""
    return {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
