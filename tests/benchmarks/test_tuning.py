from __future__ import annotations

from pathlib import Path

from racing.pictures import PictureSet
from racing.tools import TOOLS, Job, Tool
from racing.tuning import settings_of, tune

PHOTOS = PictureSet(Path("flowers"), "flowers", ("a", "b"), is_photos=True)
GRID = {"side": [64, 96], "learning_rate": [1e-3, 3e-3, 1e-2]}
TOOL = Tool("t", "", usual=lambda pictures: {"side": 128, "learning_rate": 3e-3}, grid=lambda pictures: GRID)


def test_each_setting_is_chosen_with_the_best_of_those_before() -> None:
    tried = []

    def accuracy(job: Job) -> float:
        tried.append((job.settings["side"], job.settings["learning_rate"]))
        assert f"side={job.settings['side']}" in job.cell.words
        return -abs(job.settings["side"] - 96) - abs(job.settings["learning_rate"] - 1e-2)

    assert tune(TOOL, PHOTOS, 3, accuracy) == {"side": 96, "learning_rate": 1e-2}
    assert tried == [(128, 3e-3), (64, 3e-3), (96, 3e-3), (96, 3e-3), (96, 1e-3), (96, 1e-2)]


def test_a_budget_that_was_not_tuned_takes_the_nearest_settings() -> None:
    tool = TOOLS["fastai.fair"]
    usual = tool.usual(PHOTOS)
    tuned = {
        "fastai.fair flowers 1": {"side": 64},
        "fastai.fair flowers 10": {"side": 96, "learning_rate": 0.01},
        "keras.fair flowers 3": {"side": 1},
        "fastai.fair sign_digits 3": {"side": 2},
    }
    assert settings_of(tool, PHOTOS, 1, tuned) == {**usual, "side": 64}
    assert settings_of(tool, PHOTOS, 6, tuned) == {**usual, "side": 96, "learning_rate": 0.01}
    assert settings_of(tool, PHOTOS, 6, {}) == usual


def test_every_tool_has_its_script_and_the_settings_it_reads() -> None:
    for tool in TOOLS.values():
        assert not tool.script or (Path(__file__).parents[2] / "benchmarks" / "peers" / tool.script).is_file()
        assert set(tool.grid(PHOTOS)) <= set(tool.usual(PHOTOS))
        assert not tool.script or "side" in tool.usual(PHOTOS)
