"""Silence is 0 behind a detector's own activation, in whichever way the network is written down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from planted_pictures import mark_pictures
from whyconv.nets.swift import Swift
from whyconv.results.detectors import Detectors, LayerDetectors
from whyconv.study import study_detectors
from whyconv.study.detectors import entropy_fraction
from whyconv.study.layer_calls import reached_convolutions

PICTURES = mark_pictures(n=64)


def shaken(network: nn.Module, seed: int = 5) -> nn.Module:
    """The network with statistics and shifts of normalization that make 0 before it another thing than 0 behind it."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.bias.normal_(0, 1)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.normal_(0, 0.5)
                module.bias.normal_(0, 0.5)
    return network.eval()


class Written(nn.Module):
    """Convolution, normalization, activation, head; the last but one is called as ``act`` says."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.look, self.norm, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 2)
        self.act = act
        self.kill: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.behind(x).mean((2, 3)))

    def behind(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.look(x)))
        if self.kill is not None:
            x = x.clone()
            x[:, self.kill] = 0
        return x


def ignoring_the_answer(x: Tensor) -> Tensor:
    functional.relu_(x)
    return x


class IgnoringTheAnswer(nn.Module):
    """An activation in place whose answer nobody looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        self.relu(x)
        return x


WAYS = {
    "gelu": [nn.GELU(), functional.gelu],
    "relu": [
        *(nn.ReLU(), nn.ReLU(inplace=True), functional.relu, torch.relu, Tensor.relu_, ignoring_the_answer),
        *(
            IgnoringTheAnswer(),
            lambda x: x.clamp(min=0),
            lambda x: functional.relu(nn.functional.dropout(x, 0.5, False)),
        ),
    ],
    "silu": [nn.SiLU(), nn.SiLU(inplace=True), functional.silu],
    "relu6": [nn.ReLU6(), functional.relu6],
    "hardswish": [nn.Hardswish(), functional.hardswish],
    "leaky": [nn.LeakyReLU(), functional.leaky_relu],
    "tanh": [nn.Tanh(), torch.tanh, functional.tanh],
}


def by_hand(network: nn.Module) -> tuple[np.ndarray, Callable[[int], tuple[float, float]]]:
    """Who is answered rightly, and what a network loses (accuracy, cross-entropy) that kills a channel itself."""
    x = PICTURES.numbers(PICTURES.test, np.arange(200))
    truth = torch.from_numpy(PICTURES.test.labels).long()

    def asked() -> tuple[np.ndarray, float]:
        with torch.no_grad():
            logits = network(x)
        return (logits.argmax(1) == truth).numpy(), functional.cross_entropy(logits.double(), truth).item()

    right, loss = asked()

    def lost(channel: int) -> tuple[float, float]:
        killing = next(module for module in network.modules() if hasattr(module, "kill"))
        killing.kill = channel
        silent, raised = asked()
        killing.kill = None
        return float(right.mean() - silent.mean()), raised - loss

    return right, lost


def require_losses(layer: LayerDetectors, network: nn.Module) -> None:
    _, lost = by_hand(network)
    for one in layer.detectors:
        accuracy, loss = lost(one.channel)
        assert one.lost_everywhere.value == pytest.approx(accuracy)
        assert one.loss_rise_everywhere.value == pytest.approx(loss, abs=1e-6)
    assert any(abs(one.loss_rise_everywhere.value) > 1e-3 for one in layer.detectors)


def numbers(found: Detectors) -> list[dict]:
    """Everything that was measured, without what things are called."""
    return [layer.model_dump(exclude={"layer", "activation", "is_activated"}) for layer in found.layers]


@pytest.mark.parametrize("name", WAYS)
def test_an_activation_is_found_as_a_module_and_as_a_function_with_the_same_numbers(name: str) -> None:
    first, *others = [shaken(Written(way)) for way in WAYS[name]]
    found = study_detectors(first, PICTURES)
    (layer,) = found.layers
    assert (layer.layer, layer.is_activated, len(layer.detectors)) == ("look", True, 4)
    require_losses(layer, first)
    with torch.no_grad():
        maps = first.behind(PICTURES.numbers(PICTURES.test, np.arange(200))).abs().mean(0).double().numpy()
    for one in layer.detectors:
        spread = entropy_fraction(maps[one.channel].reshape(1, -1))[0]
        assert (one.spread.value if one.spread else 0) == pytest.approx(spread, abs=1e-5)
    for other in others:
        again = study_detectors(other, PICTURES)
        assert again.layers[0].is_activated
        assert numbers(again) == numbers(found)


def test_the_default_network_is_silent_where_it_is_silenced() -> None:
    torch.manual_seed(0)
    network = Swift(1, 2, 8)
    network.head.weight.data *= 10
    with torch.no_grad():
        for norm in (network.blocks[0].widen_norm, network.blocks[0].refine_norm):
            norm.running_mean.normal_(0, 0.3)
            norm.bias.normal_(0, 0.5)
    network.eval()
    stem, refine = study_detectors(network, PICTURES).layers
    assert (stem.layer, stem.activation, stem.is_activated) == ("stem", "gelu", True)
    assert (refine.layer, refine.activation, refine.is_activated) == ("blocks.0.refine", "gelu", True)
    x = PICTURES.numbers(PICTURES.test, np.arange(200))
    truth = torch.from_numpy(PICTURES.test.labels).long()
    with torch.no_grad():
        maps = network.blocks(functional.gelu(network.stem(x)))
        loss = functional.cross_entropy(network(x).double(), truth).item()
        for one in refine.detectors:
            np.testing.assert_allclose(one.map, maps[:, one.channel].abs().mean(0).numpy(), rtol=1e-4, atol=1e-6)
            quiet = maps.clone()
            quiet[:, one.channel] = 0
            logits = network.head(quiet.amax((2, 3)) / quiet.shape[1]).double()
            assert one.loss_rise_everywhere.value == pytest.approx(
                functional.cross_entropy(logits, truth).item() - loss, abs=1e-5
            )


class Residual(nn.Module):
    """A residual block; the addition as torchvision writes it, or as a sum of its own."""

    def __init__(self, is_in_place: bool) -> None:
        super().__init__()
        self.is_in_place = is_in_place
        self.stem, self.act = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(inplace=True)
        self.conv, self.norm, self.head = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Linear(6, 2)
        self.kill: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        identity = self.act(self.stem(x))
        out = self.norm(self.conv(identity))
        if self.kill is not None:
            out = out.clone()
            out[:, self.kill] = 0
        if self.is_in_place:
            out += identity
        else:
            out = out + identity
        return self.head(self.act(out).mean((2, 3)))


def test_a_sum_lies_between_however_it_is_written() -> None:
    in_place, apart = shaken(Residual(is_in_place=True)), shaken(Residual(is_in_place=False))
    found, again = (study_detectors(network, PICTURES, layers=["stem", "conv"]) for network in (in_place, apart))
    for one in (found, again):
        told = [(layer.layer, layer.activation, layer.is_activated) for layer in one.layers]
        assert told == [("stem", "act", True), ("conv", "norm", False)]
    assert numbers(found) == numbers(again)
    # The shortcut is not silenced with the convolution, and 0 is put where nothing can turn it into firing.
    for network, one in ((in_place, found), (apart, again)):
        require_losses(one.layers[1], network)


class Forked(nn.Module):
    """What the first convolution answers is normalized, fires, and is added to what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.act, self.head = nn.ReLU(), nn.Linear(4, 2)
        self.kill: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.kill is not None:
            x = x.clone()
            x[:, self.kill] = 0
        return self.head((self.second(self.act(self.norm(x))) + x).mean((2, 3)))


def test_an_activation_on_one_of_two_ways_is_not_the_convolutions() -> None:
    network = shaken(Forked())
    (layer,) = study_detectors(network, PICTURES, layers=["first"]).layers
    assert (layer.activation, layer.is_activated) == ("first", False)
    require_losses(layer, network)


def test_places_in_between_are_no_normalization() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.GELU(), nn.Flatten(), nn.Linear(27, 2)
    )
    (one,) = reached_convolutions(network, torch.zeros(1, 1, 8, 8))
    assert (one.activation, one.is_activated, one.places) == ("0", False, (6, 6))
