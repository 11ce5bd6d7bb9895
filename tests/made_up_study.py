"""Records of studies as nobody measured them, for what shows and draws them."""

from __future__ import annotations

from whyconv.results import Estimate
from whyconv.results.detectors import Detector, DetectorProtocol, Detectors, LayerDetectors, Patch
from whyconv.results.hyperparameters import (
    HyperparameterProtocol,
    Hyperparameters,
    LayerSetting,
    MainEffect,
    SettingLeftOut,
    SettingScore,
)
from whyconv.results.price import (
    CosineAtDistance,
    FilterDrift,
    LayerLeftOut,
    LayerPrice,
    PriceOfSharing,
    PriceProtocol,
)


def about(value: float, half: float, over: str = "seeds", n: int = 3) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=n, over=over)


def layer_price(name: str = "conv1", gain: float = 0.02, half: float = 0.01, **changes) -> LayerPrice:
    values = {
        "layer": name,
        "kernel": (3, 3),
        "places": (2, 3),
        "tied_parameters": 100,
        "untied_parameters": 600,
        "learning_rate": 0.001,
        "is_rate_at_edge": False,
        "tied": about(0.9, 0.01),
        "untied": about(0.9 + gain, 0.01),
        "gain": about(gain, half),
        "gain_over_pictures": about(gain, half, "pictures", 500),
        "gain_at_own_rates": about(gain / 2, half),
        "loss_change": about(-0.01, 0.001),
        "drift": FilterDrift(
            by_place=[[0.1, 0.2, 0.3], [0.1, 0.5, 0.0]],
            mean=about(0.2, 0.01),
            direction=[[1.0, 0.5, 0.0], [-0.2, -1.0, 0.1]],
            direction_share=0.61,
            cosines=[
                CosineAtDistance(distance=1, num_pairs=7, filters=0.9, changes=0.42),
                CosineAtDistance(distance=2, num_pairs=8, filters=0.8, changes=-0.17),
            ],
        ),
    }
    return LayerPrice(**(values | changes))


def made_up_price(*layers: LayerPrice) -> PriceOfSharing:
    return PriceOfSharing(
        protocol=PriceProtocol(),
        accuracy_before=about(0.91, 0.02, "pictures", 500),
        num_train=1000,
        num_validation=200,
        num_test=500,
        layers=list(layers),
        left_out=[
            LayerLeftOut(layer="stem", cause="memory", num_bytes=3_400_000_000),
            LayerLeftOut(layer="slow", cause="time", seconds=420.0),
            LayerLeftOut(layer="point", cause="one_place"),
            LayerLeftOut(layer="stem", cause="fixed"),
            LayerLeftOut(layer="odd\x1b", cause="no_twin", reason="it computes\n  its weights"),
        ],
        seconds=12.0,
    )


def made_up_detector(channel: int = 0, lost: tuple[float, ...] = (0.03, 0.02, 0.0, -0.01)) -> Detector:
    quadrants = [about(one, 0.01, "pictures", 500) for one in lost]
    return Detector(
        channel=channel,
        mean_answer=1.0,
        spread=Estimate(value=0.87, low=0.85, high=0.88, n=500),
        map=[[0.0, 1.0, 2.0], [0.5, 0.5, 4.0]],
        lost=(quadrants[0], quadrants[1], quadrants[2], quadrants[3]),
        lost_everywhere=about(0.08, 0.02, "pictures", 500),
        loss_rises=(quadrants[0], quadrants[1], quadrants[2], quadrants[3]),
        loss_rise_everywhere=about(0.2, 0.02, "pictures", 500),
        patches=[Patch(picture=3, place=(1, 2), box=(0, 1, 3, 2), answer=4.0)],
    )


def made_up_detectors(*detectors: Detector, num_detectors: int = 6) -> Detectors:
    layer = LayerDetectors(
        layer="conv1",
        activation="relu",
        is_activated=True,
        places=(2, 3),
        field=(3, 3),
        num_detectors=num_detectors,
        detectors=list(detectors),
    )
    return Detectors(
        protocol=DetectorProtocol(),
        n=500,
        accuracy=about(0.9, 0.02, "pictures", 500),
        layers=[layer],
        left_out={"late": "its map has 1 x 1 places, and quadrants need 2 x 2"},
        seconds=1.0,
    )


def setting_score(setting: LayerSetting, accuracy: float, difference: float | None) -> SettingScore:
    return SettingScore(
        setting=setting,
        role="center" if difference is None else "one_factor",
        accuracy=about(accuracy, 0.01),
        difference=None if difference is None else about(difference, 0.015),
        parameters=12_345,
        layer_parameters=160,
        step_seconds=about(0.0042, 0.0003),
        learning_rate=0.01,
        is_rate_at_edge=True,
    )


def made_up_hyperparameters() -> Hyperparameters:
    center = LayerSetting()
    big = LayerSetting(kernel=7, padding="none", pooling="mean")
    return Hyperparameters(
        protocol=HyperparameterProtocol(),
        side=(16, 16),
        num_train=1000,
        num_validation=200,
        num_test=500,
        scores=[setting_score(center, 0.9, None), setting_score(big, 0.85, -0.05)],
        effects=[
            MainEffect(factor="kernel", level="7", against="3", accuracy=about(-0.031, 0.012, "settings", 20)),
            MainEffect(factor="pooling", level="mean", against="max", accuracy=about(0.004, 0.02, "settings", 20)),
        ],
        residual=0.013,
        left_out=[
            SettingLeftOut(setting=LayerSetting(filters=64), role="random", cause="time", seconds=31.0),
            SettingLeftOut(setting=LayerSetting(kernel=5, stride=2), role="random", cause="too_small"),
        ],
        seconds=9.0,
    )
