"""A run on shards: trained, stopped and gone on with, scored, asked why, and refused where it cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from several_processes import in_processes
from shard_files import picture, write_data, write_tar
from tiny_training import bars
from whyconv.errors import DataError, StoppedError, UsageError
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources import read_pictures
from whyconv.planning import streaming
from whyconv.results import EpochRecord, Note, RunSummary
from whyconv.settings import Plan
from whyconv.training import loop, streamed
from whyconv.training.rotation import state_path, states
from whyconv.workflow import evaluate, resume, train, train_from_file

# One pass is 7 steps; an epoch 3 of them, so that epochs and passes end at different steps.
WORDS = {"epochs": 4, "batch": 16, "size": 8, "minutes": None, "flips": "off", "network": "plain"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_data(folder, bars(160), 50)
    return folder


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MOST_OF_AN_EPOCH", 48)
    monkeypatch.setattr(streamed, "_MOST_OF_A_WINDOW", 64)


def run(shards: Path, folder: Path, **words: object) -> tuple[RunSummary, list[object]]:
    events: list[object] = []
    asked = WORDS | {"out": str(folder), "store": str(folder / "cache")} | words
    return train(f"{shards}/bars-*.tar", events.append, **asked), events


def digest(summary: RunSummary) -> bytes:
    return (Path(summary.run) / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "MOST_OF_AN_EPOCH", 48)
        patch.setattr(streamed, "_MOST_OF_A_WINDOW", 64)
        return run(shards, tmp_path_factory.mktemp("whole"))[0]


def test_a_run_learns_from_shards(whole: RunSummary) -> None:
    plan = Plan.read(Path(whole.run) / "run.toml")
    assert plan.stream is not None
    assert (plan.pictures.num_train, plan.pictures.num_validation, plan.pictures.num_test) == (112, 24, 24)
    assert (plan.stream.epoch_pictures, plan.stream.window, plan.steps_per_epoch) == (48, 64, 3)
    # Four passes of 112 pictures, in epochs of 48.
    assert (plan.training.epochs, whole.num_steps) == (10, 30)
    assert whole.test is not None
    assert whole.test.accuracy.value > 0.8
    assert json.loads((Path(whole.run) / "network.json").read_text())["parts"] == {
        "train": 112,
        "validation": 24,
        "test": 24,
    }


def test_what_is_learned_from_is_told(shards: Path, tmp_path: Path) -> None:
    _, events = run(shards, tmp_path, epochs=1)
    told = {event.key: event.values for event in events if isinstance(event, Note)}
    assert told["stream_listed"]["n"] == 160
    assert told["stream_listed"]["shards"] == 4
    assert (told["stream_sample"]["train"], told["stream_sample"]["test"]) == (112, 24)
    assert "stream_order" in told
    assert [event.step for event in events if isinstance(event, EpochRecord)] == [3, 6, 9]


@pytest.mark.parametrize("step", [4, 17, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 10, 29))])
def test_a_stopped_run_goes_on_bit_for_bit_in_the_middle_of_a_shard(
    shards: Path, whole: RunSummary, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(code_after: int = step) -> object:
        calls = iter(range(1, 1000))
        return lambda: 143 if next(calls) >= code_after else 0

    with monkeypatch.context() as patch:
        take_step = loop._Session._take_step

        def stopping(session: loop._Session, *given: object) -> None:
            take_step(session, *given)  # type: ignore[arg-type]
            if session.step == step and session.folder is not None:
                session.save()
                raise StoppedError("Stopped.", exit_code=143)

        patch.setattr(loop._Session, "_take_step", stopping)
        with pytest.raises(StoppedError):
            run(shards, tmp_path)
    stopped = next(tmp_path.glob("bars-*"))
    assert digest(resume(stopped)) == digest(whole)


def test_the_plan_alone_repeats_it(whole: RunSummary, tmp_path: Path) -> None:
    again = train_from_file(Path(whole.run) / "run.toml", out=str(tmp_path))
    assert digest(again) == digest(whole)


def test_a_plan_with_its_classes_in_another_order_learns_the_names(whole: RunSummary, tmp_path: Path) -> None:
    plan = Plan.read(Path(whole.run) / "run.toml")
    network = plan.network.model_copy(update={"classes": plan.network.classes[::-1]})
    (tmp_path / "edited.toml").write_text(plan.model_copy(update={"network": network}).to_toml())
    again = train_from_file(tmp_path / "edited.toml", out=str(tmp_path / "again"))
    assert again.test is not None
    assert [each.name for each in again.test.classes] == plan.network.classes[::-1]
    assert again.test.accuracy.value > 0.8


def test_a_relative_pattern_is_gone_on_with_from_another_folder(
    shards: Path, whole: RunSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shards.parent)
    summary, _ = run(Path(shards.name), tmp_path, epochs=1)
    monkeypatch.chdir(tmp_path)
    again = train_from_file(Path(summary.run) / "run.toml", out=str(tmp_path / "again"))
    assert digest(again) == digest(summary)


def test_a_run_whose_test_shards_cannot_be_used_counts_every_picture_once_and_can_be_repeated(tmp_path: Path) -> None:
    write_data(tmp_path / "s", bars(80), 40)
    write_tar(tmp_path / "s" / "test-000.tar", [(f"{number}", picture(number, 8), None) for number in range(20)])
    words = {**WORDS, "epochs": 1, "out": str(tmp_path / "out"), "store": str(tmp_path / "cache")}
    summary = train(f"{tmp_path}/s/*.tar", **words)
    counts = Plan.read(Path(summary.run) / "run.toml").pictures
    assert counts.num_train + counts.num_validation + counts.num_test == 80
    assert min(counts.num_validation, counts.num_test) >= 10
    again = train_from_file(Path(summary.run) / "run.toml", out=str(tmp_path / "again"))
    assert digest(again) == digest(summary)


def test_a_finished_run_is_scored_by_its_sample(whole: RunSummary) -> None:
    scored = evaluate(Path(whole.run))
    assert scored.test is not None
    assert whole.test is not None
    assert scored.test.accuracy == whole.test.accuracy


def test_shards_that_have_changed_are_refused(shards: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(shards, tmp_path / "copied")
    summary, _ = run(copied, tmp_path, epochs=1)
    write_tar(copied / "bars-000.tar", [("a", picture(1, 8), "class 0"), ("b", picture(2, 8), "class 1")])
    with pytest.raises(DataError, match="are not the shards of the plan"):
        train_from_file(Path(summary.run) / "run.toml", out=str(tmp_path))


def test_a_shard_that_goes_while_it_trains_loses_nothing(
    shards: Path, whole: RunSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree(shards, tmp_path / "copied")
    take_step = loop._Session._take_step

    def losing(session: loop._Session, *given: object) -> None:
        if session.step == 12 and session.folder is not None:
            (copied / "bars-001.tar").rename(copied / "away")
        take_step(session, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(loop._Session, "_take_step", losing)
        with pytest.raises(DataError, match=r"bars-001\.tar cannot be read.*whyconv train --resume"):
            run(copied, tmp_path)
    stopped = next(tmp_path.glob("bars-*"))
    assert states(stopped / "checkpoints")[0] >= state_path(stopped / "checkpoints", 12)
    with pytest.raises(DataError, match="are not the shards of the plan"):
        resume(stopped)
    (copied / "away").rename(copied / "bars-001.tar")
    assert digest(resume(stopped)) == digest(whole)


def test_what_is_held_back_is_never_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bars(120)
    write_data(tmp_path / "s", data, 40)
    # Every picture is there twice, under another name and in another shard.
    for path in sorted((tmp_path / "s").iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("bars-", "bars-9")))
    seen = list[np.ndarray]()
    real = streamed.StreamedPictures.seen

    def noting(self: streamed.StreamedPictures, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pixels, labels = real(self, rows)
        seen.append(pixels.copy())
        return pixels, labels

    monkeypatch.setattr(streamed.StreamedPictures, "seen", noting)
    summary, events = run(tmp_path / "s", tmp_path, epochs=2)
    sample = read_pictures(Path(summary.run) / "sample")
    policy = PicturePolicy(side=8, channels=1)
    held = {prepare(sample.read(row), policy).tobytes() for row in np.flatnonzero(sample.parts > 1)}
    learned = {each.tobytes() for batch in seen for each in batch}
    assert len(held) > 20
    assert not held & learned
    assert any(isinstance(event, Note) and event.key == "stream_copies" for event in events)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"start": "pretrained"}, "--start pretrained"),
        (
            {"label_from": "(.)", "group_by": "(.)", "strict": True, "layout": "folders"},
            "--layout, --label-from, --group-by, --strict",
        ),
    ],
)
def test_what_is_not_done_on_shards_is_refused(
    shards: Path, tmp_path: Path, words: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        run(shards, tmp_path, **(WORDS | words))
    assert not list(tmp_path.glob("bars-*"))


@pytest.mark.slow
def test_two_processes_learn_what_one_does(shards: Path, tmp_path: Path) -> None:
    alone, both = (
        in_processes(size, "shared_steps:streamed_run", tmp_path / str(size), str(shards)) for size in (1, 2)
    )
    assert np.allclose(both[0]["losses"][:10], alone[0]["losses"][:10], rtol=1e-4)
    # Another order of sums is a change of 3e-8, which kinks let grow a thousandfold until then.
    assert np.allclose(both[0]["losses"], alone[0]["losses"], rtol=5e-3)
    assert len(alone[0]["losses"]) == 30
    # Each has read its half of the rows, of blocks of its own.
    assert both[0]["read"] + both[1]["read"] < 1.5 * alone[0]["read"]


@pytest.mark.slow
def test_a_shard_that_only_the_second_process_cannot_read_loses_nothing(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    words = str(shards), str(tmp_path / "run")
    both = in_processes(2, "shared_steps:unread_by_the_second", tmp_path / "both", *words)
    first_step = 2 * 4  # of the third window of 64 pictures
    assert [each["step"] for each in both] == [first_step] * 2
    for each in both:
        assert each["said"].startswith(
            f"Process 1 of 2: a.tar cannot be read: stale. Stopped at step {first_step} of 30"
        )
    assert "whyconv train --resume" in both[0]["said"]
    state = states(tmp_path / "run" / "checkpoints")[0]
    assert state == state_path(tmp_path / "run" / "checkpoints", first_step)
