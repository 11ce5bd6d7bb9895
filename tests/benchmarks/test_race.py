"""The whole race with a tool that answers without learning: what is recorded, run again, and left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import race
from racing import running, tools
from racing.cells import Row, is_cell, read_rows
from racing.pictures import ready
from racing.tools import Tool, chosen_tools


class Track:
    """Runs the race in ``tmp_path``, and knows what it left."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.results, self.place, self.notes = folder / "race.jsonl", folder / "place", folder / "notes"

    def race(self, *words: str) -> int:
        usual = ["--data", f"pets:{self.folder / 'raw'}", "--minutes", "1", "--seeds", "0,1", "--tools", "fake"]
        places = ["--results", str(self.results), "--place", str(self.place)]
        self.monkeypatch.setattr(sys, "argv", ["race.py", *usual, *places, *words])
        return race.main()

    @property
    def cells(self) -> list[Row]:
        return [row for row in read_rows(self.results) if is_cell(row)]

    @property
    def starts(self) -> list[int]:
        return [int(line) for line in self.notes.read_text().splitlines()] if self.notes.exists() else []

    @property
    def scratch(self) -> list[Path]:
        return list(self.place.glob("scratch-*"))


@pytest.fixture
def track(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_tool: Path, class_folders: Callable[..., Path]
) -> Track:
    class_folders(num=10)
    found = Track(tmp_path, monkeypatch)
    for name, does in (("fake", "answer"), ("broken", "fail"), ("slow", "hang")):
        settings = {"does": does, "notes": str(found.notes)}
        fake = Tool(
            name, "", script=str(fake_tool), mode="documented", usual=lambda pictures, settings=settings: settings
        )
        monkeypatch.setitem(tools.TOOLS, name, fake)
    anchor = tmp_path / "peers" / "anchor.py"
    anchor.parent.mkdir()
    anchor.write_text('import time; time.sleep(0.1); print("{}")')
    monkeypatch.setattr(running, "PEERS", anchor.parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        monkeypatch.setattr(found, f"handler_{number}", before, raising=False)
    yield found
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, getattr(found, f"handler_{number}"))


def test_a_finished_cell_is_recorded_and_not_run_again(track: Track) -> None:
    assert track.race() == 0
    assert [row["seed"] for row in track.cells] == [0, 1]
    assert [(row["right"], row["n"]) for row in track.cells] == [(3, 4), (2, 4)], "seed + 1 answers are wrong"
    assert [row["accuracy"] for row in track.cells] == [0.75, 0.5]
    assert len(track.starts) == 2
    assert track.race() == 0
    assert len(track.starts) == 2
    assert track.race("--seeds", "1,2") == 0
    assert [row["seed"] for row in track.cells] == [0, 1, 2]
    assert track.scratch == []


def test_a_record_says_what_is_needed_to_compare_it(track: Track) -> None:
    track.race("--seeds", "0")
    (row,) = track.cells
    assert row["seconds"] > 0.02
    assert row["training_seconds"] == 0.5
    assert row["versions"] == {"fake": "1"}
    assert row["machine"]["cores"] >= 1
    assert row["anchor_ratio"] == 1.0
    assert row["load_before"] >= 0
    assert row["date"].startswith("20")


def test_the_anchor_is_timed_before_and_after_cells_and_only_then(track: Track) -> None:
    track.race()
    kinds = [row["kind"] for row in read_rows(track.results)]
    assert kinds == ["anchor", "cell", "cell", "anchor"]
    track.race()
    assert len(read_rows(track.results)) == 4
    second = read_rows(track.results)[-1]
    first = read_rows(track.results)[0]
    assert second["ratio"] == pytest.approx(second["seconds"] / first["seconds"], rel=0.2)


def test_a_failing_tool_leaves_no_record_and_stops_no_other(track: Track, capsys: pytest.CaptureFixture[str]) -> None:
    assert track.race("--tools", "broken,fake", "--seeds", "0") == 1
    assert [row["tool"] for row in track.cells] == ["fake"]
    assert "it went wrong" in capsys.readouterr().err
    assert track.scratch == []


def is_running(process: int) -> bool:
    """Whether there is such a process that has not ended; one that has ended may wait to be fetched by its parent."""
    try:
        os.kill(process, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_cell_leaves_nothing_and_its_command_ends(track: Track, number: int) -> None:
    def interrupt() -> None:
        while not track.starts:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    assert track.race("--tools", "slow", "--seeds", "0") == 130
    assert track.cells == []
    assert track.scratch == []
    end = time.monotonic() + 10
    while is_running(track.starts[0]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(track.starts[0])


def test_a_dry_run_lists_what_is_missing_and_runs_nothing(track: Track, capsys: pytest.CaptureFixture[str]) -> None:
    track.race("--seeds", "0")
    capsys.readouterr()
    assert track.race("--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(track.starts) == 1
    assert "fake pets 1 min seed 1" in lines[0]
    assert lines[-1].endswith("1 cells, anchors apart")


def test_what_was_measured_is_shown(track: Track, capsys: pytest.CaptureFixture[str]) -> None:
    track.race()
    capsys.readouterr()
    assert track.race("--table") == 0
    shown = capsys.readouterr().out
    assert "**pets, 1 minutes** (4 test pictures)" in shown
    assert "| `fake` [does=answer" in shown
    assert "62.50 (" in shown


def test_a_command_that_takes_too_long_is_stopped(track: Track) -> None:
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(running.CellFailedError, match="took too long"):
        running.run(words, os.environ, track.folder, limit=0.2)


def test_seconds_and_memory_are_those_of_the_whole_command(track: Track) -> None:
    words = [sys.executable, "-c", "import time; x = bytearray(80_000_000); time.sleep(1); print('end')"]
    done = running.run(words, os.environ, track.folder)
    assert done.output == "end\n"
    assert 1 < done.seconds < 60
    if sys.platform.startswith("linux"):
        assert 76 < done.allocated_megabytes < 200
        assert done.allocated_megabytes < done.resident_megabytes < 300
    assert done.cpu_seconds < done.seconds


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("cat/a.png", "cat"), ("dog/b.png", "cat")], (1, 2)),
        ([("cat/a.png", "cat")], (1, 2)),
        ([("cat/a.png", "cat"), ("cat/a.png", "cat")], "2 answers for 1 pictures"),
        ([("cat/z.png", "cat")], "not in the test part"),
    ],
)
def test_answers_are_scored_over_all_test_pictures(
    rows: list[tuple[str, str]], expected: object, tmp_path: Path
) -> None:
    class Listed:
        classes = ("cat", "dog")

        def listing(self, part: str) -> list[tuple[str, int]]:
            assert part == "test"
            return [("cat/a.png", 0), ("dog/b.png", 1)]

    running.write_answers(tmp_path / "answers.csv", rows)
    if isinstance(expected, str):
        with pytest.raises(running.CellFailedError, match=expected):
            running.score(tmp_path / "answers.csv", Listed())
    else:
        assert running.score(tmp_path / "answers.csv", Listed()) == expected
    with pytest.raises(running.CellFailedError, match="no answers"):
        running.score(tmp_path / "absent.csv", Listed())


def test_a_name_without_its_mode_stands_for_all_modes() -> None:
    assert [tool.name for tool in chosen_tools("fastai,keras.fair")] == [
        *("fastai.documented", "fastai.fair", "keras.fair")
    ]
    with pytest.raises(ValueError, match=r"no tool 'fastia'.*fastai.fair"):
        chosen_tools("fastia")


@pytest.mark.slow
def test_whyconv_itself_races(track: Track) -> None:
    assert track.race("--tools", "whyconv", "--minutes", "0.3", "--seeds", "0") == 0
    (row,) = track.cells
    assert row["n"] == 4
    assert row["told"]["own_n"] <= 4
    assert row["told"]["own_accuracy"] in (0, 0.25, 0.5, 0.75, 1, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert 0 < row["training_seconds"] < row["seconds"]
    assert row["versions"]["commit"]
    assert track.scratch == []


def test_whyconv_is_told_the_minutes_and_to_start_from_scratch(
    tmp_path: Path, class_folders: Callable[..., Path]
) -> None:
    pictures = ready(tmp_path / "sets", "pets", 0, class_folders(num=10))
    cell = race.Cell("whyconv", "pets", 3, 1, "--network plain")
    job = tools.Job(tools.TOOLS["whyconv"], cell, pictures, {})
    words = tools.command(job, place=tmp_path, scratch=tmp_path / "scratch", began=0)
    asked = words[words.index("train") + 1 :]
    assert asked[0] == str(pictures.files)
    assert asked[1:6] == ["--minutes", "3", "--seed", "1", "--json"]
    assert asked[-2:] == ["--network", "plain"]
    assert {word for word in asked if word.startswith("--")} == {
        *("--minutes", "--seed", "--json", "--start", "--store", "--out", "--network")
    }
