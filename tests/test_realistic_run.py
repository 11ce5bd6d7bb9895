"""A run that is to bear real moves: its plan, its file, its record, and everything that asks its network later."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_training import bars, write_bars
from whyconv.anatomy import inspect_network, verify_named
from whyconv.errors import UsageError
from whyconv.measures import translation
from whyconv.moving import network_of
from whyconv.nets import Windowed
from whyconv.recognizer import open_recognizer
from whyconv.results import Note, RunSummary
from whyconv.results.windows import ThroughWindows
from whyconv.settings import Plan
from whyconv.show.runs import run_lines
from whyconv.training.evaluate import softmax
from whyconv.training.logits import normalize
from whyconv.workflow import resume, train

QUICK = {"epochs": 2, "batch": 16, "threads": 1, "flips": "off"}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="module")
def told() -> list[object]:
    return []


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory, told: list[object]) -> RunSummary:
    place = tmp_path_factory.mktemp("realistic")
    pictures = write_bars(place / "bars", side=12)
    return train(str(pictures), told.append, invariant="realistic", network="swift", out=str(place / "runs"), **QUICK)


def test_the_plan_names_the_windows_and_what_they_cost(summary: RunSummary, told: list[object]) -> None:
    plan = Plan.read(Path(summary.run) / "run.toml")
    assert (plan.network.invariant, plan.network.window, plan.network.side) == ("realistic", 10, 12)
    assert plan.augment.shift_fraction == 0
    assert all(not view.startswith("closer") for view in plan.network.views)
    notes = {note.key: note.values for note in told if isinstance(note, Note)}
    assert notes["windows_plan"] == {"window": 10, "windows": 9}


def test_the_record_stands_in_the_folder_the_summary_and_what_people_read(summary: RunSummary) -> None:
    run = Path(summary.run)
    written = json.loads((run / "windows.json").read_text())
    assert summary.windows == ThroughWindows.model_validate({k: v for k, v in written.items() if k != "price"})
    assert written["price"] == summary.windows.price
    assert summary.windows.accuracy.value == summary.test.accuracy.value
    assert summary.certificate is None
    for language, words in (("en", "mean over 9 windows"), ("ko", "창 9개의 평균")):
        assert words in " ".join(run_lines(summary, language))
    assert "mean over 9 windows" in (run / "MODEL_CARD.md").read_text().replace("\\", "")
    assert "answers are the mean over 9 windows" in (run / "report.html").read_text()


def test_the_file_holds_the_windows_and_answers_as_by_hand(summary: RunSummary) -> None:
    """The torch-free recognizer against the network behind the windows, asked about each window."""
    assert summary.parity.is_equal
    run = Path(summary.run)
    plan, recognizer = Plan.read(run / "run.toml"), open_recognizer(run)
    network = network_of(run, plan)
    assert isinstance(network, Windowed)
    pixels = bars(7, seed=5, side=12).pixels
    x = normalize(torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float(), plan.network)
    places = [(top, left) for top in (0, 1, 2) for left in (0, 1, 2)]
    with torch.inference_mode():
        each = [network.network(x[:, :, top : top + 10, left : left + 10]).numpy() for top, left in places]
    expected = softmax(np.mean(each, axis=0) / recognizer.metadata.temperature)
    found = recognizer.run(pixels)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    assert found.features.shape[0] == 7


def test_the_network_is_asked_and_counted_as_it_looks_through_one_window(summary: RunSummary) -> None:
    run = Path(summary.run)
    report = inspect_network(run)
    assert report.layers[0].inputs == [[1, 10, 10]]
    first = verify_named(str(run))[0]
    assert (tuple(first.input_shape), first.reason) == ((1, 10, 10), "")
    plan = Plan.read(run / "run.toml")
    data = bars(20, seed=6, side=16)
    x = normalize(torch.from_numpy(data.pixels.transpose(0, 3, 1, 2)).float(), plan.network)
    found = translation(network_of(run, plan), x, data.labels.astype(np.int64), "crop", reach=2)
    assert found.protocol.side == (12, 12)


def test_a_finished_run_is_written_anew_with_the_same_answers(summary: RunSummary) -> None:
    again = resume(Path(summary.run))
    assert again.test == summary.test


def test_pictures_that_are_too_small_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    pictures = write_bars(tmp_path / "bars", side=8)
    with pytest.raises(UsageError, match="7 x 7 pixels are too small"):
        train(str(pictures), invariant="realistic", size=7, out=str(tmp_path / "runs"), **QUICK)
    assert not any((tmp_path / "runs").iterdir())
