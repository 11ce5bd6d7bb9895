"""The rules that make a recipe of what was asked; the lesson's is the lecture's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tiny_training import bars, tiny_plan
from varied_pictures import vary_by
from whyconv.settings import OptimizerName, TrainSettings
from whyconv.training.augment import epoch_draws
from whyconv.training.history import read_history
from whyconv.training.loop import train_network
from whyconv.training.recipe import Facts, augment_plan, hardly_varied, rate_for, side_cost, training_plan
from whyconv.training.start import start_network

FACTS = Facts(counts=[60, 40], side=64, in_channels=3)


def asked(**words: object) -> TrainSettings:
    return TrainSettings.of({"pictures": "p", **words})


def test_the_lesson_is_trained_as_the_lecture_does_it() -> None:
    recipe = training_plan(asked(network="lesson", optimizer="gd", balance="off"), FACTS)
    assert (recipe.schedule, recipe.average, recipe.label_smoothing, recipe.warmup_fraction) == ("constant", 0, 0, 0)
    assert set(recipe.class_offsets) == {0.0}
    assert training_plan(asked(network="resnet18"), FACTS).schedule == "cosine"


@pytest.mark.parametrize("flip", [False, True])
def test_the_lessons_pictures_are_as_they_are_or_mirrored(flip: bool) -> None:
    pictures = torch.from_numpy(np.random.default_rng(0).random((20, 3, 9, 9), np.float32))
    varied = vary_by(pictures, epoch_draws(0, 1, 20), augment_plan(asked(network="lesson"), FACTS, flip=flip))
    as_is = [bool(torch.isclose(a, b, atol=1e-5).all()) for a, b in zip(varied, pictures, strict=True)]
    mirrored = [bool(torch.isclose(a, b.flip(2), atol=1e-5).all()) for a, b in zip(varied, pictures, strict=True)]
    assert all(one or other for one, other in zip(as_is, mirrored, strict=True))
    assert any(mirrored) == flip
    assert any(as_is)


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "rmsprop", "adam"])
def test_with_the_lessons_recipe_j_falls(tmp_path, optimizer: str) -> None:
    settings = asked(network="lesson", optimizer=optimizer, epochs=12)
    facts = Facts(counts=[32, 32], side=8, in_channels=1)
    plan = tiny_plan().model_copy(
        update={"training": training_plan(settings, facts), "augment": augment_plan(settings, facts, flip=False)}
    )
    train_network(start_network(plan), bars(64), bars(32, seed=1), plan, folder=tmp_path)
    costs = [each.loss for each in read_history(tmp_path / "metrics.jsonl")[1]]
    assert costs[-1] < 0.9 * costs[0]


def test_epochs_that_were_asked_for_win_over_measured_ones() -> None:
    assert training_plan(asked(epochs=50), FACTS, epochs=7).epochs == 50
    assert training_plan(asked(), FACTS, epochs=7).epochs == 7


@pytest.mark.parametrize("network", ["swift", "plain"])
def test_our_own_networks_learn_by_muon_at_a_rising_resolution(network: str) -> None:
    recipe = training_plan(asked(network=network), FACTS)
    assert (recipe.optimizer, recipe.schedule, recipe.sides) == ("muon", "linear", [48, 64])
    assert recipe.other_learning_rate > 0
    assert recipe.patience == recipe.epochs
    assert training_plan(asked(network=network), Facts(counts=[60, 40], side=16, in_channels=1)).sides == []
    published = training_plan(asked(network="resnet18"), FACTS)
    assert (published.sides, published.other_learning_rate) == ([], 0)


@pytest.mark.parametrize(
    ("batch", "num_steps", "rate"),
    [
        (64, 117, 0.04 * (800 / 117) ** 0.5),
        (16, 800, 0.02),
        (16, 8000, 0.02),
        (512, 100, 0.24),
        (4096, 100, 0.32),  # more than the highest by its batch alone: no less for having few steps
        (16, 1, 0.24),
    ],
)
def test_few_steps_by_muon_are_larger_ones(batch: int, num_steps: int, rate: float) -> None:
    assert rate_for("muon", batch, num_steps) == pytest.approx(rate)


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "rmsprop", "adam", "adamw"])
def test_few_steps_by_another_way_are_as_large_as_many(optimizer: OptimizerName) -> None:
    assert rate_for(optimizer, 64, 20) == rate_for(optimizer, 64, 20_000)


def test_the_rate_follows_from_the_steps_that_there_is_time_for() -> None:
    facts = Facts(counts=[200] * 10, side=32, in_channels=3)
    by_epochs = [training_plan(asked(), facts, epochs=epochs) for epochs in (2, 4, 60)]
    rates = [each.learning_rate for each in by_epochs]
    assert rates[0] / rates[1] == pytest.approx(2**0.5)  # 31 steps of 64 an epoch
    assert rates[2] == pytest.approx(rate_for("muon", 64, 800))
    assert training_plan(asked(), facts, epochs=3, steps=62).learning_rate == pytest.approx(rates[0])
    assert training_plan(asked(epochs=2), facts, epochs=60).learning_rate == pytest.approx(rates[0])
    assert training_plan(asked(learning_rate=0.5), facts, epochs=2).learning_rate == 0.5
    a_quarter = Facts(counts=[200] * 10, side=32, in_channels=3, epoch_pictures=500)
    assert training_plan(asked(epochs=2), a_quarter).learning_rate == pytest.approx(rates[0], rel=0.03)


def test_what_a_smaller_side_costs_lies_between_its_area_and_all() -> None:
    assert side_cost(64, 64) == 1
    assert (48 / 64) ** 2 < side_cost(48, 64) < 48 / 64 + 0.1


def test_many_pictures_are_varied_by_whole_pixels_only() -> None:
    many = Facts(counts=[5000] * 10, side=32, in_channels=3)
    augment = augment_plan(asked(network="swift"), many, flip=True)
    assert (augment.min_area, augment.max_degrees, augment.color) == (1, 0, 0)
    assert augment_plan(asked(network="swift"), FACTS, flip=True).min_area < 1


def test_hardly_varied_pictures_are_moved_and_mirrored_and_nothing_else() -> None:
    usual = augment_plan(asked(network="plain"), FACTS, flip=True)
    pictures = torch.from_numpy(np.random.default_rng(0).random((40, 3, 16, 16), np.float32))
    varied = vary_by(pictures, epoch_draws(0, 1, 40), hardly_varied(usual.model_copy(update={"shift_fraction": 0.0})))
    for one, picture in zip(varied, pictures, strict=True):
        nearest = min(float((one - each).abs().max()) for each in (picture, picture.flip(2)))
        assert nearest < 1e-5
    assert hardly_varied(usual).shift_fraction == usual.shift_fraction > 0
    assert hardly_varied(usual).flip
