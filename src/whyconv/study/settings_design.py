"""Which settings of a layer are trained: around a center one factor at a time, and some that differ in several."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from torch import nn

from whyconv.results.hyperparameters import FACTORS, FactorName, HyperparameterProtocol, LayerSetting

Role = Literal["center", "one_factor", "random"]
Level = int | str


class Planned(NamedTuple):
    """A setting and why it is trained."""

    setting: LayerSetting
    role: Role


def levels(protocol: HyperparameterProtocol) -> dict[FactorName, Sequence[Level]]:
    """What each factor may be, the center's level among them."""
    tried: dict[FactorName, Sequence[Level]] = {
        "kernel": protocol.kernels,
        "stride": protocol.strides,
        "padding": protocol.paddings,
        "filters": protocol.filters,
        "pooling": protocol.poolings,
    }
    center = protocol.center
    return {name: list(dict.fromkeys([*tried[name], getattr(center, name)])) for name in FACTORS}


def design(protocol: HyperparameterProtocol) -> list[Planned]:
    """The center; settings that differ from it in one factor; settings drawn at random, each once.

    Of the second kind the first level of every factor comes first, then the second: time that is short cuts them alike.
    """
    center = protocol.center
    others = {name: [one for one in tried if one != getattr(center, name)] for name, tried in levels(protocol).items()}
    turns = max((len(tried) for tried in others.values()), default=0)
    near = [
        center.model_copy(update={name: tried[turn]})
        for turn in range(turns)
        for name, tried in others.items()
        if turn < len(tried)
    ]
    far = [one for one in _all_settings(protocol) if one != center and one not in near]
    order = np.random.default_rng(protocol.seed).permutation(len(far))[: protocol.num_random]
    return [
        Planned(center, "center"),
        *(Planned(one, "one_factor") for one in near),
        *(Planned(far[index], "random") for index in order),
    ]


def build_layer_network(
    setting: LayerSetting, shape: tuple[int, int, int], num_classes: int, second_filters: int
) -> nn.Sequential | None:
    """The layer, ReLU, pooling; a convolution of 3 x 3 that is the same for all settings, ReLU; one linear layer.

    The linear layer sees every place of every map, as in the lecture; so its size follows from the layer's.

    Args:
        setting: Of the layer.
        shape: Of one picture (c, h, w).
        num_classes: Logits.
        second_filters: Of the second convolution.

    Returns:
        None where the pictures are too small for the setting.
    """
    channels, *lengths = shape
    padding = setting.kernel // 2 if setting.padding == "same" else 0
    sides = [(length + 2 * padding - setting.kernel) // setting.stride + 1 for length in lengths]
    if setting.pooling != "none":
        sides = [side // 2 for side in sides]
    if min(sides) < 1:
        return None
    pools = {"none": nn.Identity(), "mean": nn.AvgPool2d(2), "max": nn.MaxPool2d(2)}
    return nn.Sequential(
        nn.Conv2d(channels, setting.filters, setting.kernel, setting.stride, padding),
        nn.ReLU(),
        pools[setting.pooling],
        nn.Conv2d(setting.filters, second_filters, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second_filters * sides[0] * sides[1], num_classes),
    )


def _all_settings(protocol: HyperparameterProtocol) -> list[LayerSetting]:
    every = levels(protocol)
    return [
        LayerSetting.model_validate(dict(zip(FACTORS, chosen, strict=True)))
        for chosen in product(*(every[name] for name in FACTORS))
    ]
