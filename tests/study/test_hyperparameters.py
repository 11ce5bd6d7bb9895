"""The design, its effects by a second way, and what is left out when there is no time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from planted_pictures import mark_pictures
from whyconv.errors import DataError
from whyconv.results.hyperparameters import FACTORS, HyperparameterProtocol, LayerSetting
from whyconv.study import SquarePictures, study_hyperparameters
from whyconv.study.effects import main_effects
from whyconv.study.settings_design import build_layer_network, design, levels
from whyconv.training.pixel_rows import LabelledPixels

SHORT = HyperparameterProtocol(
    kernels=[1, 3],
    strides=[1, 2],
    paddings=["same"],
    filters=[2, 4],
    poolings=["max"],
    center=LayerSetting(filters=4),
    num_random=3,
    learning_rates=[0.02],
    steps=12,
    batch=16,
    second_filters=4,
)


def test_around_the_center_each_level_stands_alone_and_random_ones_come_once() -> None:
    protocol = HyperparameterProtocol()
    plan = design(protocol)
    assert plan[0].setting == protocol.center
    near = [one.setting for one in plan if one.role == "one_factor"]
    differing = [[name for name in FACTORS if getattr(one, name) != getattr(protocol.center, name)] for one in near]
    assert all(len(names) == 1 for names in differing)
    tried = {(names[0], getattr(one, names[0])) for one, names in zip(near, differing, strict=True)}
    others = {(f, level) for f, all_ in levels(protocol).items() for level in all_} - {
        (name, getattr(protocol.center, name)) for name in FACTORS
    }
    assert tried == others
    # One level of every factor before the second of any.
    assert len({names[0] for names in differing[:5]}) == 5
    settings = [one.setting for one in plan]
    assert len(settings) == len(set(settings)) == 1 + 9 + 12
    assert design(protocol) == plan
    assert design(protocol.model_copy(update={"seed": 1})) != plan
    assert len(design(protocol.model_copy(update={"num_random": 10_000}))) == 4 * 2 * 2 * 3 * 3


@pytest.mark.parametrize("side", [8, 11, 16])
def test_every_setting_that_fits_is_built_as_it_says(side: int) -> None:
    protocol = HyperparameterProtocol(num_random=10_000)
    num_small = 0
    for planned in design(protocol):
        setting = planned.setting
        network = build_layer_network(setting, (3, side, side), 5, 8)
        padding = setting.kernel // 2 if setting.padding == "same" else 0
        layer = nn.Conv2d(3, setting.filters, setting.kernel, setting.stride, padding)
        places = layer(torch.zeros(1, 3, side, side)).shape[-1]
        if network is None:
            assert places < 2
            num_small += 1
            continue
        assert network(torch.zeros(2, 3, side, side)).shape == (2, 5)
        first = network[0]
        assert first.weight.shape == layer.weight.shape
        assert (first.stride, first.padding) == (layer.stride, layer.padding)
    assert (num_small > 0) == (side == 8)


def planted(n: int, noise: float, seed: int = 0) -> tuple[list[LayerSetting], list[float]]:
    """Kernel 1 costs 0.2, no padding costs 0.05, filters 64 gain 0.1; nothing else matters."""
    settings = [one.setting for one in design(HyperparameterProtocol(num_random=n, seed=seed))]
    generator = np.random.default_rng(seed)
    values = [
        0.7
        - 0.2 * (one.kernel == 1)
        - 0.05 * (one.padding == "none")
        + 0.1 * (one.filters == 64)
        + noise * generator.normal()
        for one in settings
    ]
    return settings, values


def test_planted_effects_are_found_exactly_without_noise() -> None:
    settings, values = planted(12, 0.0)
    effects, residual = main_effects(settings, values, LayerSetting())
    found = {(one.factor, one.level): one.accuracy.value for one in effects}
    expected = dict.fromkeys(found, 0.0)
    expected |= {("kernel", "1"): -0.2, ("padding", "none"): -0.05, ("filters", "64"): 0.1}
    assert len(found) == 9
    assert found == pytest.approx(expected, abs=1e-9)
    assert residual == pytest.approx(0, abs=1e-9)
    assert all(one.accuracy.over == "settings" for one in effects)


def test_intervals_of_effects_cover_as_often_as_they_say() -> None:
    hits = total = 0
    for seed in range(60):
        settings, values = planted(20, 0.02, seed)
        for one in main_effects(settings, values, LayerSetting())[0]:
            truth = {("kernel", "1"): -0.2, ("padding", "none"): -0.05, ("filters", "64"): 0.1}
            total += 1
            hits += one.accuracy.low <= truth.get((one.factor, one.level), 0.0) <= one.accuracy.high
    assert 0.91 < hits / total < 0.985


def test_effects_are_those_of_a_regression_by_formula() -> None:
    # Two levels of one factor: the effect is a difference of means, with the pooled t interval.
    low, high = LayerSetting(kernel=3), LayerSetting(kernel=5)
    values = [0.5, 0.6, 0.55, 0.8, 0.7]
    effects, residual = main_effects([low, low, low, high, high], values, low)
    (one,) = effects
    first, second = np.array(values[:3]), np.array(values[3:])
    pooled = np.sqrt((((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()) / 3)
    assert residual == pytest.approx(pooled)
    assert one.accuracy.value == pytest.approx(second.mean() - first.mean())
    half = stats.t.ppf(0.975, 3) * pooled * np.sqrt(1 / 3 + 1 / 2)
    assert one.accuracy.high - one.accuracy.value == pytest.approx(half)


def test_levels_that_always_come_together_have_no_effects_of_their_own() -> None:
    together = LayerSetting(kernel=5, stride=2)
    settings = [LayerSetting()] * 4 + [together] * 4 + [LayerSetting(filters=4)] * 2
    effects, _ = main_effects(settings, list(np.linspace(0.5, 0.9, 10)), LayerSetting())
    assert [(one.factor, one.level) for one in effects] == [("filters", "4")]
    assert main_effects(settings[:2], [0.5, 0.6], LayerSetting()) == ([], None)


def test_effects_need_three_settings_more_than_there_are_effects() -> None:
    center = LayerSetting()
    settings = [center, LayerSetting(kernel=5), LayerSetting(stride=2), LayerSetting(kernel=5, stride=2), center]
    values = [0.8, 0.7, 0.75, 0.66, 0.79]
    assert main_effects(settings[:4], values[:4], center) == ([], None)
    assert len(main_effects(settings, values, center)[0]) == 2


def test_every_setting_is_trained_scored_and_counted() -> None:
    pictures = mark_pictures(n=64)
    told = []
    found = study_hyperparameters(pictures, SHORT, told.append)
    assert [one.role for one in found.scores] == ["center"] + ["one_factor"] * 3 + ["random"] * 3
    assert found.side == (8, 8)
    assert found.left_out == []
    assert found.scores[0].difference is None
    for one in found.scores:
        network = build_layer_network(one.setting, (1, 8, 8), 2, 4)
        assert one.parameters == sum(each.numel() for each in network.parameters())
        assert one.layer_parameters == one.setting.filters * (one.setting.kernel**2 + 1)
        assert one.accuracy.n == 3
        assert one.step_seconds.value > 0
        if one.difference is not None:
            assert one.difference.value == pytest.approx(one.accuracy.value - found.scores[0].accuracy.value)
    assert len(found.effects) == 3
    assert told[-1].done == told[-1].total == 7
    again = study_hyperparameters(pictures, SHORT)
    assert [one.accuracy for one in again.scores] == [one.accuracy for one in found.scores]


def test_without_time_the_center_is_trained_and_the_rest_is_listed() -> None:
    found = study_hyperparameters(mark_pictures(n=64), SHORT, seconds=0.0)
    assert [one.role for one in found.scores] == ["center"]
    assert [one.cause for one in found.left_out] == ["time"] * 6
    assert all(one.seconds > 0 for one in found.left_out)
    assert found.effects == []
    assert found.residual is None


def test_pictures_too_small_for_a_setting_are_said() -> None:
    pictures = mark_pictures(n=64)
    wide = SHORT.model_copy(update={"kernels": [3, 9], "paddings": ["same", "none"], "num_random": 10_000, "steps": 1})
    found = study_hyperparameters(pictures, wide)
    assert {one.cause for one in found.left_out} == {"too_small"}
    assert {(one.setting.kernel, one.setting.padding) for one in found.left_out} == {(9, "none")}
    with pytest.raises(DataError, match="too small for the center"):
        study_hyperparameters(pictures, SHORT.model_copy(update={"center": LayerSetting(kernel=9, padding="none")}))
    with pytest.raises(DataError, match="test"):
        none = LabelledPixels(pictures.test.pixels[:0], pictures.test.labels[:0])
        study_hyperparameters(SquarePictures(pictures.train, pictures.validation, none, 2, [128.0], [32.0]), SHORT)
