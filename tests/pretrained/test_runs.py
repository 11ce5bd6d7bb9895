"""Whole runs that start from a network which has learned before: a user's file, and the published one."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tiny_backbone import SIDE, WIDTH, write_backbone
from tiny_training import write_bars
from whyconv import anatomy, explaining, moving, workflow
from whyconv.errors import MissingExtraError, ModelFileError, StoppedError, UsageError
from whyconv.finishing import read_summary
from whyconv.images.cache import list_stores, remove_stores
from whyconv.images.prepare import PicturePolicy
from whyconv.inspection import inspect
from whyconv.machine import num_cores
from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.nets.pretrained import SHA256
from whyconv.pretrained import choosing, deciding, published, starting
from whyconv.pretrained.speeds import Speeds
from whyconv.recognizer import open_recognizer
from whyconv.report import why_section
from whyconv.reporting import frozen_rows
from whyconv.results import Note, Progress, ignore
from whyconv.settings import Plan, TrainSettings, steps_per_epoch
from whyconv.show.why import detail_lines
from whyconv.study import Extent
from whyconv.texts import say
from whyconv.training.checkpoint import load_weights
from whyconv.training.history import read_history
from whyconv.training.pictures import divide_again

THREADS = min(2, num_cores())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    write_bars(folder / "bars", 80, side=SIDE)
    write_backbone(folder / "tiny.onnx")
    return folder


def train(place: Path, notify=lambda event: None, **wanted):
    asked = {"out": str(place / "runs"), "store": str(place / "store"), "threads": 1} | wanted
    return workflow.train(str(place / "bars"), notify, **asked)


@pytest.fixture(scope="module")
def finished(place: Path):
    notes: list[Note] = []
    summary = train(place, notes.append, start=str(place / "tiny.onnx"))
    return summary, [each for each in notes if isinstance(each, Note)]


def test_a_head_on_a_user_s_network_becomes_a_run_like_any_other(finished, place: Path) -> None:
    summary, _ = finished
    run = Path(summary.run)
    assert summary.parity.is_equal
    assert (summary.network, summary.best_epoch, summary.stopped) == ("tiny.onnx", 1, "planned")
    plan = Plan.read(run / "run.toml")
    assert plan.frozen.first_block == -1
    assert plan.network.start == str((place / "tiny.onnx").resolve())
    recognizer = open_recognizer(run)
    assert recognizer.policy.side == SIDE
    picture = next((place / "bars" / "lies").iterdir())
    assert recognizer.predict(picture).labels[0].label in ("lies", "stands")
    assert "tiny.onnx" in (run / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "tiny.onnx" in (run / "report.html").read_text(encoding="utf-8")
    assert anatomy.inspect_network(run).totals.parameters > 0
    again = workflow.evaluate(run)
    assert again.test.accuracy == summary.test.accuracy
    assert again.test.loss == pytest.approx(summary.test.loss, rel=1e-5)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_why_says_what_a_frozen_network_cannot_be_asked(finished, monkeypatch: pytest.MonkeyPatch, language) -> None:
    run = Path(finished[0].run)
    monkeypatch.setattr(explaining, "QUICK", Extent(1, (0.05, 0.3), steps=2))
    found = workflow.why(run, quick=True)
    assert set(found.not_available) == {"fields", "equivariance", "surgery", "price", "detectors"}
    assert (found.price, found.surgery, found.detectors, found.equivariance, found.failed) == (*[None] * 4, {})
    text = " ".join(" ".join(detail_lines(found, language)).split())
    page = why_section(found, language)
    reasons = {say(key, language) for key in found.not_available.values()}
    assert len(reasons) == 3
    for reason in reasons:
        assert reason in text
        assert reason in page.replace("&#39;", "'")


def test_its_moved_pictures_are_asked_about_by_the_upright_view_alone(
    finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(finished[0].run)
    plan = Plan.read(run / "run.toml")
    assert "upright" in plan.network.views
    assert len(plan.network.views) > 1
    monkeypatch.setattr(moving, "_LEAST_PICTURES", 5)

    def views() -> set[str]:
        division = divide_again(plan, ignore, run / "run.toml")
        found = moving.measure_moved(run, plan, division, ignore, seconds=0.0, seed=0)
        return {one.protocol.views for one in found.measured}

    assert views() == {"none"}
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    averaged = open_recognizer(run).run(pixels).probabilities
    alone = moving.network_of(run, plan)(torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float()).exp().numpy()
    assert abs(alone - averaged).max() > 1e-4
    monkeypatch.setattr(moving, "upright_alone", lambda *_: None)
    assert views() == {"file"}


def test_its_plan_repeats_it_bit_for_bit_and_resuming_makes_it_again(finished, place: Path) -> None:
    run = Path(finished[0].run)
    second = Path(workflow.train_from_file(run / "run.toml", out=str(place / "runs")).run)
    kept = ("model.safetensors", "model.onnx", "features.npy", "predictions.csv")
    assert all((run / name).read_bytes() == (second / name).read_bytes() for name in kept)
    before, seconds = (second / "model.onnx").read_bytes(), read_summary(second).seconds
    assert workflow.resume(second).seconds == seconds
    assert (second / "model.onnx").read_bytes() == before


def test_a_network_that_was_changed_is_refused(place: Path) -> None:
    path = write_backbone(place / "other.onnx")
    run = Path(train(place, start=str(path), only_model=True, flips="off").run)
    write_backbone(path, metadata={"mean": "[0, 0, 0]", "std": "[1, 1, 1]"})
    with pytest.raises(ModelFileError, match="content has changed"):
        workflow.train_from_file(run / "run.toml", out=str(place / "runs"))
    path.unlink()
    with pytest.raises(ModelFileError, match="There is no"):
        workflow.train_from_file(run / "run.toml", out=str(place / "runs"))


def test_a_stop_while_looking_says_how_to_go_on_and_going_on_ends_it(place: Path) -> None:
    def stop(event) -> None:
        if isinstance(event, Progress) and event.stage == "features" and event.done == event.total > 12:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError, match=r"whyconv train --resume .*bars-\d+") as caught:
        train(place, stop, start=str(place / "tiny.onnx"), flips="off")
    assert caught.value.exit_code == 143
    run = Path(str(caught.value).split("--resume ")[1])
    assert workflow.resume(run).parity.is_equal


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"network": "lesson"}, "brings its own network"),
        ({"epochs": 3, "batch": 4}, "--epochs, --batch: of .* only a head"),
        ({"size": 32}, "takes pictures of 16 pixels a side"),
    ],
)
def test_what_contradicts_a_user_s_network_is_refused(wanted, said: str, place: Path) -> None:
    with pytest.raises(UsageError, match=said):
        train(place, start=str(place / "tiny.onnx"), **wanted)


# --- the published network, with made-up weights: the tests need no package of weights


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    weights = EfficientNetLite0().state_dict()
    monkeypatch.setattr(published, "read_published_weights", lambda: weights)
    monkeypatch.setattr(choosing, "has_published_weights", lambda: True)
    return weights


def write_photos(folder: Path, n: int = 40, side: int = 72) -> Path:
    """Colored stripes that lie or stand, over noise."""
    generator = np.random.default_rng(0)
    for index in range(n):
        pixels = generator.integers(0, 120, (side, side, 3), dtype=np.uint8)
        stripes = slice(None, None, 6), slice(generator.integers(0, 40), None)
        pixels[stripes if index % 2 else stripes[::-1]] = generator.integers(150, 256, 3, dtype=np.uint8)
        path = folder / ("lies" if index % 2 else "stands") / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def test_the_published_network_is_tuned_by_its_plan_and_repeated_bit_for_bit(made_up, tmp_path: Path) -> None:
    notes: list[Note] = []
    asked = {"out": str(tmp_path / "runs"), "store": str(tmp_path / "store"), "threads": THREADS, "flips": "off"}
    photos = write_photos(tmp_path / "photos", 32)
    summary = workflow.train(str(photos), notes.append, start="pretrained", epochs=3, batch=8, **asked)
    run, keys = Path(summary.run), [each.key for each in notes if isinstance(each, Note)]
    assert summary.parity.is_equal
    assert ("start_tuning_kept" in keys) != ("start_tuning_left" in keys)
    plan = Plan.read(run / "run.toml")
    assert (plan.network.start, plan.network.start_digest, plan.network.side) == ("pretrained", SHA256, 224)
    assert plan.network.views == ["upright", "closer"]
    assert (plan.frozen.first_block, plan.frozen.license, plan.training.epochs) == (12, "Apache-2.0", 3)
    losses, records = read_history(run / "metrics.jsonl")
    assert [each.epoch for each in records] == [1, 2, 3]
    assert len(losses) == records[-1].step == summary.num_steps
    # The weights are those of a network of the catalogue, which answers as the file does.
    network = EfficientNetLite0(num_classes=2)
    load_weights(run / "model.safetensors", network)
    assert anatomy.inspect_network(run).totals.parameters == sum(each.numel() for each in network.parameters())
    for name in ("MODEL_CARD.md", "report.html"):
        text = (run / name).read_text(encoding="utf-8").replace("\\", "")
        assert "Apache-2.0" in text
        assert "ImageNet" in text
    second = Path(workflow.train_from_file(run / "run.toml", out=str(tmp_path / "runs")).run)
    assert (run / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    name = f"efficientnet_lite0-{SHA256[:12]}-{published._VERSION}"
    kept = [each for each in list_stores(tmp_path / "store") if each.kind == "network"]
    assert {each.path.name for each in kept} == {f"{name}.onnx", f"{name}.safetensors"}
    kept[0].path.write_bytes(b"damaged")
    assert published.published_backbone(tmp_path / "store").width == 1280
    assert len([each for each in remove_stores(tmp_path / "store") if each.kind == "network"]) == 2


def test_epochs_of_tuning_are_decided_once_the_looking_is_done(made_up, tmp_path: Path, monkeypatch) -> None:
    """By the speeds eight epochs fit into the minute; then looking says that the heads will take most of it."""
    speeds = Speeds(per_look=1e-4, per_look_in_torch=1e-4, per_picture={12: 0.4})
    monkeypatch.setattr(deciding, "measure", lambda *_: speeds)
    look = deciding._look
    monkeypatch.setattr(deciding, "_look", lambda *words: 30 + look(*words))
    asked = {"out": str(tmp_path / "runs"), "store": str(tmp_path / "store"), "threads": THREADS, "flips": "off"}
    photos = write_photos(tmp_path / "photos", 16)
    summary = workflow.train(str(photos), start="pretrained", minutes=1, only_model=True, **asked)
    plan = Plan.read(Path(summary.run) / "run.toml")
    assert plan.frozen.first_block == 12
    assert 1 < plan.training.epochs <= 6


def test_the_deadline_of_tuning_leaves_what_comes_after_it(made_up, tmp_path: Path, monkeypatch) -> None:
    speeds = Speeds(per_look=2e-3, per_look_in_torch=3e-3, per_picture={12: 0.03})
    monkeypatch.setattr(deciding, "measure", lambda *_: speeds)
    decide, seen = starting.decide, []

    def note(*words, **more):
        seen.append((more["began"], decide(*words, **more)))
        return seen[0][1]

    monkeypatch.setattr(starting, "decide", note)
    asked = {"out": str(tmp_path / "runs"), "store": str(tmp_path / "store"), "threads": THREADS, "flips": "off"}
    workflow.train(
        str(write_photos(tmp_path / "photos", 16)), start="pretrained", minutes=1, batch=4, only_model=True, **asked
    )
    began, decision = seen[0]
    pictures, views, compared = decision.plan.pictures, len(decision.plan.network.views), decision.plan.frozen.compared
    scores = pictures.num_test * 2e-3 + compared * 3e-3
    features = (pictures.num_train + 2 * pictures.num_validation) * 0.03 / 3
    assert decision.deadline - began == pytest.approx(60 * 0.97 - 4 - views * (scores + features))


def test_a_part_of_the_last_epoch_is_tuned_where_no_more_fits(made_up, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(deciding, "tuned_in", lambda _, share, *__: replace(share, first_block=12, epochs=1.5))
    asked = {"out": str(tmp_path / "runs"), "store": str(tmp_path / "store"), "threads": THREADS, "flips": "off"}
    photos = write_photos(tmp_path / "photos", 32)
    summary = workflow.train(str(photos), start="pretrained", minutes=1, batch=4, only_model=True, **asked)
    run = Path(summary.run)
    plan, records = Plan.read(run / "run.toml"), read_history(run / "metrics.jsonl")[1]
    per_epoch = steps_per_epoch(plan.pictures.num_train, 4)
    assert (plan.training.epochs, plan.training.steps) == (3, int(1.5 * per_epoch))
    assert [each.step for each in records] == [0, per_epoch, plan.training.steps]
    assert summary.num_steps == plan.training.steps
    rows = frozen_rows(plan, plan.frozen, SimpleNamespace(policy=PicturePolicy(side=224, channels=3)))
    assert rows["steps"] == plan.training.steps
    assert (rows["head"].key, rows["tuned"].key) == ("plan_head", "plan_tuned")
    unjudged = plan.model_copy(update={"pictures": plan.pictures.model_copy(update={"num_validation": 0})})
    rows = frozen_rows(unjudged, plan.frozen, SimpleNamespace(policy=PicturePolicy(side=224, channels=3)))
    assert (rows["head"].key, rows["tuned"].key) == ("plan_head_unjudged", "plan_tuned_unjudged")
    # The rate has fallen by then as far as at the end of whole epochs.
    assert records[-1].learning_rate < 0.2 * plan.training.learning_rate
    second = Path(workflow.train_from_file(run / "run.toml", out=str(tmp_path / "runs")).run)
    assert (run / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_tuning_for_which_no_time_is_left_is_skipped_whole_and_repeated_so(
    made_up, tmp_path: Path, monkeypatch
) -> None:
    decide = starting.decide
    monkeypatch.setattr(starting, "decide", lambda *words, **more: replace(decide(*words, **more), deadline=0.0))
    notes: list[Note] = []
    asked = {"out": str(tmp_path / "runs"), "store": str(tmp_path / "store"), "threads": THREADS, "flips": "off"}
    photos = write_photos(tmp_path / "photos", 16)
    summary = workflow.train(str(photos), notes.append, start="pretrained", epochs=3, only_model=True, **asked)
    assert "start_tuning_skipped" in [each.key for each in notes if isinstance(each, Note)]
    assert (summary.stopped, summary.num_steps, summary.best_epoch) == ("clock", 0, 1)
    repeated = workflow.train_from_file(Path(summary.run) / "run.toml", out=str(tmp_path / "runs"))
    runs = [Path(each.run) / "model.onnx" for each in (summary, repeated)]
    assert runs[0].read_bytes() == runs[1].read_bytes()
    assert workflow.resume(Path(summary.run)).num_steps == 0


@pytest.mark.parametrize(
    ("side", "wanted", "chosen"),
    [
        (72, {}, "pretrained"),
        (60, {}, None),
        (72, {"start": "scratch"}, None),
        (72, {"start": "pretrained", "epochs": 3}, "pretrained"),
        *((72, {word: value}, None) for word, value in (("size", 32), ("epochs", 3), ("network", "lesson"))),
    ],
    ids=str,
)
def test_photos_start_from_published_weights_unless_something_else_is_asked_for(
    made_up, side: int, wanted, chosen, tmp_path: Path
) -> None:
    notes: list[Note] = []
    inspection = inspect(write_photos(tmp_path / "photos", 6, side), store=tmp_path / "store")
    settings = TrainSettings.of({"pictures": "photos", **wanted})
    assert choosing.choose_start(settings, inspection, notes.append).start == chosen
    assert ("start_default" in [each.key for each in notes]) == (chosen is not None and "start" not in wanted)


def test_without_the_package_photos_train_as_before_and_asking_for_it_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "has_published_weights", lambda: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'whyconv\[pretrained\]'") as caught:
        workflow.train("photos", start="pretrained", out=str(tmp_path / "runs"))
    assert "\n" not in str(caught.value)
    notes: list[Note] = []
    inspection = inspect(write_photos(tmp_path / "photos", 6), store=tmp_path / "store")
    settings = TrainSettings(pictures="photos")
    assert choosing.choose_start(settings, inspection, notes.append) is settings
    assert [each.key for each in notes] == ["start_could"]


def test_network_json_says_where_it_started(finished) -> None:
    values = json.loads((Path(finished[0].run) / "network.json").read_text(encoding="utf-8"))
    assert values["start"].endswith("tiny.onnx")


def test_a_map_with_channels_last_is_learned_from_and_its_axes_are_told(place: Path) -> None:
    path, notes = place / "last.onnx", list[Note]()
    write_backbone(path, dims=(SIDE, SIDE, 3), output="map_last")
    summary = train(place, notes.append, start=str(path))
    told = [each.values for each in notes if isinstance(each, Note) and each.key == "start_map"]
    assert told == [{"first": 1, "second": 2, "width": WIDTH}]
    assert summary.parity.is_equal
