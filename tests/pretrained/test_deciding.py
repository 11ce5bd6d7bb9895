"""How the minutes of a run on a frozen network are shared out between views, tuning and pictures."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tiny_backbone import SIDE, write_backbone
from tiny_training import write_bars
from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy
from whyconv.inspection import inspect
from whyconv.planning import Material
from whyconv.pretrained import deciding
from whyconv.pretrained.backbone import FrozenNetwork
from whyconv.pretrained.deciding import COMPARED, EPOCHS, Share, decide, share_out, tuned_in
from whyconv.pretrained.features import Bank
from whyconv.pretrained.foreign import foreign_backbone
from whyconv.pretrained.speeds import Speeds
from whyconv.reporting import frozen_rows
from whyconv.results import Event, Note
from whyconv.settings import Plan, TrainSettings
from whyconv.training.pictures import Part, divide, load_parts
from whyconv.training.pixel_rows import LabelledPixels

COUNTS = [1000, 100, 200]
SPEEDS = Speeds(per_look=0.01, per_look_in_torch=0.02, per_picture={12: 0.01, 14: 0.006})


def shared(seconds: float, **words: bool) -> Share:
    return share_out(COUNTS, SPEEDS, seconds, flips=words.get("flips", True), is_whole=words.get("is_whole", False))


def needed(share: Share) -> float:
    """Seconds by the speeds above, written out anew: looks, scores, comparison, and epochs with their validation."""
    looks = len(share.views) * (sum(COUNTS) * 0.01 + share.compared * 0.02)
    afar = 1 if len(share.views) == 1 else 2
    tuned = 1000 * share.epochs + 100 * afar / 3 * math.ceil(share.epochs)
    closing = len(share.views) * (2 * 100 + 1000) / 3
    return looks + (tuned + closing) * SPEEDS.per_picture.get(share.first_block, 0)


def test_without_a_clock_all_is_done() -> None:
    share = shared(math.inf)
    assert (len(share.views), share.first_block, share.epochs, share.compared) == (4, 12, EPOCHS, COMPARED)


@pytest.mark.parametrize("seconds", [20, 40, 60, 90, 120, 160, 200, 400])
def test_what_is_planned_fits(seconds: float) -> None:
    assert needed(shared(seconds)) <= seconds


def test_more_time_never_tunes_less_at_the_same_views() -> None:
    shares = [shared(seconds) for seconds in range(20, 300, 4)]
    assert [len(each.views) for each in shares] == sorted(len(each.views) for each in shares)
    for views in (1, 2, 4):
        tuned = [each for each in shares if len(each.views) == views and each.first_block == 12]
        assert [each.epochs for each in tuned] == sorted(each.epochs for each in tuned)


def test_a_further_view_leaves_enough_epochs() -> None:
    for seconds in range(20, 300, 4):
        share = shared(seconds)
        if share.first_block >= 0:
            assert share.epochs >= {1: 1, 2: 4, 4: EPOCHS}[len(share.views)]


def test_with_little_time_the_last_layers_are_tuned_only_then_none_then_on_fewer_pictures() -> None:
    blocks = [shared(seconds).first_block for seconds in (60, 31, 28, 22)]
    assert blocks == [12, 12, 14, -1]
    assert shared(17).first_block == -1
    assert shared(17).looked_at == 0 < shared(8).looked_at < COUNTS[0]


def test_views_from_closer_need_numbers_that_are_not_rounded() -> None:
    assert shared(math.inf, is_whole=True).views == ("upright", "mirrored")
    assert shared(math.inf, is_whole=True, flips=False).views == ("upright",)
    assert shared(math.inf, flips=False).views == ("upright", "closer")


def test_after_looking_the_epochs_are_what_fits_even_in_part() -> None:
    share = Share(("upright",), 0, 12, 8, 32, "float32")
    one, validation = 1000 * 0.01, 100 / 3 * 0.01
    seconds = 3.5 * one + 4 * validation
    tuned = tuned_in(seconds / 0.9, share, 12, COUNTS, SPEEDS)  # nine tenths are used
    assert tuned.epochs == pytest.approx(3.5)
    assert tuned.seconds_to_tune == pytest.approx(seconds)
    tuned = tuned_in((0.6 * one + validation) / 0.9, share, 12, COUNTS, SPEEDS)
    assert tuned.epochs == pytest.approx(0.6)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 5.0])
def test_less_than_half_an_epoch_is_not_tuned(seconds: float) -> None:
    share = Share(("upright",), 0, 12, 8, 32, "float32")
    assert tuned_in(seconds, share, 12, COUNTS, SPEEDS) == Share(("upright",), 0, -1, 0, 32, "float32")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    place = tmp_path_factory.mktemp("deciding")
    asked = TrainSettings(pictures=str(write_bars(place / "bars", 20)), store=str(place / "store"))
    division = divide(inspect(asked.pictures, store=place / "store"), asked, seed=0, notify=lambda event: None)
    policy = PicturePolicy(side=SIDE, channels=3)
    return Material(division, policy, *load_parts(division, policy, store=place / "store", notify=lambda event: None))


def plan_of(material: Material, folder: Path, **asked: Any) -> tuple[Plan, list[str]]:
    """What is decided on a user's network, and the keys of what is told."""
    events: list[Event] = []
    bank = Bank(FrozenNetwork(foreign_backbone(write_backbone(folder / "tiny.onnx"), 1), 1), folder)
    settings = TrainSettings(pictures="bars", **asked)
    began = time.perf_counter()
    decision = decide(settings, material, bank, None, threads=1, began=began, notify=events.append)
    return decision.plan, [event.key for event in events if isinstance(event, Note)]


@pytest.mark.parametrize(
    ("flips", "told"),
    [("auto", ["start_flips_no_time"]), ("on", ["start_flips_on_no_time"]), ("off", [])],
)
def test_where_there_is_time_for_one_view_nothing_is_mirrored_and_a_note_says_why(
    flips: str, told: list[str], material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One view of the 20 pictures takes 40 of the 54 seconds, two would take 80."""
    monkeypatch.setattr(deciding, "measure", lambda *_: Speeds(per_look=2.0, per_look_in_torch=1e-4, per_picture={}))
    plan, keys = plan_of(material, tmp_path, flips=flips, minutes=1)
    assert (plan.network.views, plan.augment.flip) == (["upright"], False)
    assert keys == [*told, "start_budget_head"]


def test_mirrored_views_are_used_where_the_plan_says_that_pictures_are_mirrored(
    material: Material, tmp_path: Path
) -> None:
    for flips in ("auto", "on", "off"):
        plan, keys = plan_of(material, tmp_path, flips=flips)
        assert plan.augment.flip == ("mirrored" in plan.network.views) == (flips == "on" or "run_flips" in keys)
        assert ("start_trial" in keys) == (flips == "auto")
    # A plan that an earlier version wrote: what counts is the views.
    plan = plan.model_copy(update={"augment": plan.augment.model_copy(update={"flip": True})})
    assert plan.frozen is not None
    assert frozen_rows(plan, plan.frozen, material)["flips"] is False


def test_one_picture_is_too_few_for_a_head(material: Material, tmp_path: Path) -> None:
    data = material.train.data
    one = Part("train", material.train.names[:1], LabelledPixels(data.pixels[:1], data.labels[:1]))
    with pytest.raises(DataError, match="Only 1 picture is left for training"):
        plan_of(replace(material, train=one), tmp_path)
