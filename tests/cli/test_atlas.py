"""atlas from the command line, and a run added to it by why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Demo, Outcome
from made_up_atlas import made_up_atlas
from tiny_training import write_bars
from whyconv.atlas import one_set
from whyconv.images.cache import list_stores
from whyconv.study.protocol import Extent


def test_json_goes_to_stdout_and_words_to_stderr(
    tmp_path: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_set, "AT_LARGEST_SIZE", (Extent(1, (0.05, 0.3), steps=3),))
    bars = write_bars(tmp_path / "bars", n=100)
    outcome = run("atlas", bars, tmp_path / "missing", "--out", "found", "--json", "--lang", "ko")
    assert outcome.code == 0, outcome.text
    assert [one["name"] for one in json.loads(outcome.data)["sets"]] == ["bars"]
    assert "희소 연결이 얻는 것과 변수 공유가 얻는 것" in outcome.text
    assert "missing" in outcome.text
    assert "변수 공유" in (tmp_path / "found" / "atlas.svg").read_text(encoding="utf-8")


def test_decoded_pictures_lie_in_the_folder_that_is_named(
    tmp_path: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_set, "AT_LARGEST_SIZE", (Extent(1, (0.05, 0.3), steps=3),))
    bars = write_bars(tmp_path / "bars", n=100)
    outcome = run(
        "atlas", bars, "--store", "kept", "--minutes", 0.1, "--label-from", "/?([a-z]+)/", "--layout", "folders"
    )
    assert outcome.code == 0, outcome.text
    assert "labels from file names by /?([a-z]+)/" in outcome.text
    assert {each.kind for each in list_stores(tmp_path / "kept")} == {"pixels", "survey"}
    assert list_stores() == []


def test_wrong_words_are_wrong_use(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run("atlas", "--side", 24)
    assert outcome.code == 2
    assert "side = 24" in outcome.text
    outcome = run("why", tmp_path, "--atlas", tmp_path / "none")
    assert outcome.code == 2
    assert "There is no atlas at" in outcome.text


@pytest.mark.slow
def test_the_demo_run_is_drawn_among_the_sets(demo_run: Demo, run: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "atlas.json").write_text(made_up_atlas().model_dump_json(), encoding="utf-8")
    outcome = run("why", demo_run.run, "--quick", "--atlas", tmp_path)
    assert outcome.code == 0, outcome.text
    assert "The run among the sets of the atlas" in outcome.text
    assert "demo-digits-1" in (demo_run.run / "atlas.svg").read_text(encoding="utf-8")
