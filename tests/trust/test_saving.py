"""A state of a training that was saved is never lost: killed at every system call of a save, by bits, by full disks."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tiny_training import bars, tiny_plan
from whyconv import files
from whyconv.errors import ModelFileError, StorageError
from whyconv.results import Note
from whyconv.training import loop
from whyconv.training.checkpoint import load_state, load_weights, save_state, save_weights
from whyconv.training.history import read_history
from whyconv.training.loop import train_network
from whyconv.training.optimizers import build_optimizer
from whyconv.training.rotation import forget_older, load_newest, state_path, states
from whyconv.training.start import start_network

TRAIN, VALIDATION = bars(64), bars(32, seed=1)
SAVER = Path(__file__).parents[1] / "saving_process.py"
CALLS = ("openat", "write", "fsync", "rename", "unlink", "chmod", "close", "getdents64")


def optimizer_of(network: torch.nn.Module) -> torch.optim.Optimizer:
    return build_optimizer("adam", network, learning_rate=0.01, momentum=0.9, weight_decay=0.0)


def save(path: Path, step: int = 0) -> Path:
    """The state of a tiny training that has made one step, so that the optimizer has one too."""
    network = start_network(tiny_plan())
    optimizer = optimizer_of(network)
    network(torch.ones(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    save_state(path, {"network": network.state_dict()}, optimizer, {"step": step})
    return path


OPTIMIZER = optimizer_of(start_network(tiny_plan()))


def load(path: Path) -> int:
    return int(load_state(path, OPTIMIZER)[1]["step"])


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of whole states that say which step they are of."""
    place = tmp_path_factory.mktemp("contents")
    return [save(place / f"{step}.safetensors", step) for step in range(8)]


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not on this machine: apt-get install strace")
    tried = subprocess.run([found, "-qq", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace is not allowed here: {tried.stderr.strip()}")
    return found


def with_states(folder: Path, contents: list[Path]) -> Path:
    """A folder with these states, of steps 0, 1, ..."""
    folder.mkdir()
    for step, content in enumerate(contents):
        shutil.copy(content, state_path(folder, step))
    return folder


def saving(folder: Path, contents: list[Path], first: int) -> list[str]:
    return [sys.executable, str(SAVER), str(folder), str(first), *map(str, contents)]


def calls_of_saving(strace: str, command: list[str], trace: Path) -> tuple[Counter[str], Counter[str]]:
    """How often each system call was made before the first save, and in all."""
    subprocess.run(
        [strace, "-qq", "-e", f"trace={','.join(CALLS)},access,faccessat2", "-o", str(trace), *command], check=True
    )
    before, total, has_begun = Counter[str](), Counter[str](), False
    for line in trace.read_text(errors="replace").splitlines():
        if match := re.match(r"(\w+)\(", line):
            has_begun |= '"begin"' in line
            total[match[1]] += 1
            before[match[1]] += not has_begun
    assert has_begun
    return before, total


@pytest.mark.parametrize("num_there", [0, 1, 3])
def test_killed_at_every_system_call_of_a_save_the_newest_state_is_whole(
    strace: str, contents: list[Path], tmp_path: Path, num_there: int
) -> None:
    """The first save, the second, and the one after which the oldest of three is removed."""

    new = [contents[num_there]]
    before, total = calls_of_saving(
        strace, saving(with_states(tmp_path / "counted", contents[:num_there]), new, num_there), tmp_path / "trace"
    )
    points = [(name, at) for name in CALLS for at in range(before[name] + 1, total[name] + 1)]
    assert {"openat", "write", "fsync", "rename"} <= {name for name, _ in points}
    assert ("unlink" in {name for name, _ in points}) == (num_there == 3)
    num_killed, seen = 0, set()
    for name, at in points:
        folder = with_states(tmp_path / f"{name}-{at}", contents[:num_there])
        inject = ["-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={at}"]
        done = subprocess.run(
            [strace, "-qq", "-o", os.devnull, *inject, *saving(folder, new, num_there)],
            check=False,
            capture_output=True,
        )
        num_killed += done.returncode != 0
        if not states(folder):
            assert num_there == 0, (name, at)
            continue
        path, step = load_newest(folder, load, pytest.fail)
        assert state_path(folder, step) == path
        assert step in ({0} if not num_there else {num_there - 1, num_there}), (name, at)
        seen.add(step)
        files.remove_parts(folder)
        assert {each.suffix for each in folder.iterdir()} == {".safetensors"}
    assert num_killed == len(points), f"{len(points) - num_killed} kills came too late"
    assert num_there in seen  # else nothing was saved before any kill


@pytest.mark.parametrize("reason", ["ENOSPC", "EIO"])
def test_an_error_of_any_system_call_of_a_save_is_told_and_loses_nothing(
    strace: str, contents: list[Path], tmp_path: Path, reason: str
) -> None:
    before, total = calls_of_saving(
        strace, saving(with_states(tmp_path / "counted", contents[:3]), [contents[3]], 3), tmp_path / "trace"
    )
    calls = [
        (call, at) for call in ("openat", "write", "fsync", "rename", "unlink") for at in range(1, total[call] + 1)
    ]
    for name, at in [(call, at) for call, at in calls if at > before[call]]:
        folder = with_states(tmp_path / f"{name}-{at}", contents[:3])
        inject = ["-o", os.devnull, "-e", f"trace={name}", "-e", f"inject={name}:error={reason}:when={at}"]
        command = [strace, "-qq", *inject, *saving(folder, [contents[3]], 3)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        path, step = load_newest(folder, load, pytest.fail)
        if done.returncode:
            assert done.stderr.startswith(str(folder)), (name, at, done.stderr)
            assert " cannot be written: " in done.stderr
            assert step in {2, 3}, (
                name,
                at,
            )  # 3: it was in place, and only the folder could not be brought to the disk
        else:
            assert step == 3, (name, at)
        assert {each.suffix for each in path.parent.iterdir()} == {".safetensors"}, (name, at)


def test_a_disk_of_any_size_keeps_what_was_saved_and_says_what_it_lacks(contents: list[Path], tmp_path: Path) -> None:
    """Real small disks, from one that holds nothing to one that holds four states, in steps of a page."""
    unshare = shutil.which("unshare")
    allowed = (
        unshare
        and not subprocess.run(
            [unshare, "-m", "mount", "-t", "tmpfs", "none", str(tmp_path)], check=False, capture_output=True
        ).returncode
    )
    if not unshare or not allowed:
        pytest.skip("no disk can be mounted here")
    size, kept_by_size = contents[0].stat().st_size, {}
    for pages in range(1, 4 * size // 4096 + 8, 3):
        script = (
            'mount -t tmpfs -o size=$1k none "$2"; shift; folder=$1; shift; '
            '"$@"; code=$?; cp -r "$folder" "$folder.after"; exit $code'
        )
        folder = tmp_path / f"{pages}"
        folder.mkdir()
        command = [
            unshare,
            "-m",
            "sh",
            "-c",
            script,
            "sh",
            str(4 * pages),
            str(folder),
            *saving(folder, contents[:6], 0),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        after = Path(f"{folder}.after")
        kept_by_size[pages] = len(states(after))
        assert not list(after.glob(".*"))
        if done.returncode:
            told = re.search(
                r"(\S+) cannot be written: No space left .* It needs ([\d,]+) bytes, ([\d,]+) bytes", done.stderr
            )
            assert told is not None, done.stderr
            assert told[1].startswith(str(folder))
            needed, free = (int(number.replace(",", "")) for number in told.groups()[1:])
            assert free < needed == size
        assert bool(done.returncode) == (kept_by_size[pages] < 3 or load_newest(after, load, pytest.fail)[1] < 5)
        if states(after):
            load_newest(after, load, pytest.fail)
    assert set(kept_by_size.values()) == {0, 1, 2, 3}


def test_every_flipped_bit_of_a_state_is_noticed(contents: list[Path], tmp_path: Path) -> None:
    content, path, generator = contents[3].read_bytes(), tmp_path / "flipped", random.Random(0)
    for _ in range(1000):
        at, bit = generator.randrange(len(content)), generator.randrange(8)
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        path.write_bytes(flipped)
        with pytest.raises(ModelFileError):
            load(path)


@pytest.mark.parametrize("change", ["shape", "type", "progress", "missing"])
def test_a_state_that_was_written_anew_with_the_old_digests_is_noticed(
    contents: list[Path], tmp_path: Path, change: str
) -> None:
    with safe_open(contents[3], framework="pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    name = next(name for name, value in tensors.items() if value.ndim == 2)
    match change:
        case "shape":
            tensors[name] = tensors[name].reshape(-1)
        case "type":
            tensors[name] = tensors[name].view(torch.int32)
        case "progress":
            metadata["progress"] = metadata["progress"].replace("3", "4")
        case "missing":
            del tensors[name]
    save_file(tensors, tmp_path / "anew", metadata)
    with pytest.raises(ModelFileError, match=r"is damaged: .* is not what was written"):
        load(tmp_path / "anew")


def test_every_flipped_bit_of_the_weights_is_noticed(tmp_path: Path) -> None:
    network, path, generator = start_network(tiny_plan()), tmp_path / "model.safetensors", random.Random(1)
    save_weights(path, network, {"made by": "a test"})
    content = path.read_bytes()
    load_weights(path, network)
    for _ in range(300):
        at, bit = generator.randrange(len(content)), generator.randrange(8)
        flipped = bytearray(content)
        flipped[at] ^= 1 << bit
        path.write_bytes(flipped)
        with pytest.raises(ModelFileError):
            load_weights(path, network)


def test_a_state_that_ends_too_early_is_noticed(contents: list[Path], tmp_path: Path) -> None:
    content = contents[3].read_bytes()
    for end in range(0, len(content), 1024):
        (tmp_path / "short").write_bytes(content[:end])
        with pytest.raises(ModelFileError):
            load(tmp_path / "short")


def test_the_one_before_a_damaged_state_is_used_and_it_is_said(contents: list[Path], tmp_path: Path) -> None:
    told: list[Note] = []
    for step in range(3):
        shutil.copy(contents[step], state_path(tmp_path, step))
    os.truncate(state_path(tmp_path, 2), 900)
    assert load_newest(tmp_path, load, told.append) == (state_path(tmp_path, 1), 1)
    assert [note.key for note in told] == ["run_state_damaged"]
    assert told[0].values["path"] == f"{state_path(tmp_path, 2)}.damaged"
    assert [path.name for path in states(tmp_path)] == ["step-000000001.safetensors", "step-000000000.safetensors"]
    for step in range(2):
        os.truncate(state_path(tmp_path, step), 900)
    with pytest.raises(ModelFileError, match=r"None of the 2 states .* can be used"):
        load_newest(tmp_path, load, told.append)
    assert len(states(tmp_path)) == 2  # nothing is put aside where nothing is left


def test_three_states_are_kept(contents: list[Path], tmp_path: Path) -> None:
    for step in (9, 10, 11, 100):
        shutil.copy(contents[0], state_path(tmp_path, step))
    (tmp_path / "lock").touch()
    forget_older(tmp_path)
    assert [path.name for path in states(tmp_path)] == [f"step-{step:09}.safetensors" for step in (100, 11, 10)]


@pytest.mark.parametrize("takes_states", [False, True])
def test_a_full_disk_costs_a_state_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes_states: bool
) -> None:
    """The disk is full for two epochs in the middle, for the history, or for that and states; then there is room."""
    plan, told, epoch = tiny_plan(epochs=6), [], [0]
    real_write, real_line = files.write_bytes, files.append_line

    def heard(event: object) -> None:
        if isinstance(event, Note):
            told.append(event)
        else:
            num_written = len(read_history(tmp_path / "metrics.jsonl")[1])
            most = state_path(tmp_path / "checkpoints", 4 * num_written)
            assert all(state <= most for state in states(most.parent))  # none is ahead of its history
            epoch[0] += 1

    def is_full() -> bool:
        return epoch[0] in {2, 3}

    def write_bytes(path: Path, data: bytes) -> None:
        if is_full() and not takes_states:
            raise StorageError(f"{path} cannot be written: No space left on device.")
        real_write(path, data)

    def append_line(path: Path, line: str) -> None:
        if is_full():
            raise StorageError(f"{path} cannot be written: No space left on device.")
        real_line(path, line)

    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(files, "write_bytes", write_bytes)
    monkeypatch.setattr(files, "append_line", append_line)
    torch.set_num_threads(1)
    outcome = train_network(start_network(plan), TRAIN, VALIDATION, plan, folder=tmp_path, notify=heard)
    assert (outcome.num_epochs, outcome.reason) == (6, "planned")
    assert Counter(note.key for note in told) == {"run_history_waits": 2, "run_state_not_saved": 2 - takes_states}
    assert [record.epoch for record in read_history(tmp_path / "metrics.jsonl")[1]] == [1, 2, 3, 4, 5, 6]
    assert len(read_history(tmp_path / "metrics.jsonl")[0]) == 24
