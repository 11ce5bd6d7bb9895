"""Detectors planted by hand, whose spread, losses and patches can be counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from planted_pictures import mark_pictures
from whyconv.errors import UsageError
from whyconv.results.detectors import QUADRANTS, DetectorProtocol
from whyconv.study import SquarePictures, patch_pixels, study_detectors
from whyconv.study.detectors import entropy_fraction, quadrants
from whyconv.study.layer_calls import reached_convolutions
from whyconv.study.patches import placed_field
from whyconv.training.intervals import paired
from whyconv.training.pixel_rows import LabelledPixels


def random_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(96, 2),
    ).eval()


class UpperLeft(nn.Module):
    """A detector whose bright pixels are looked for in the upper left quadrant only, and a second one that is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, 2, 1)
        self.fire = nn.ReLU()
        with torch.no_grad():
            self.look.weight[:] = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
            self.look.bias[:] = 0
        window = torch.zeros(8, 8)
        window[:4, :4] = 1
        self.register_buffer("window", window)

    def forward(self, x: Tensor) -> Tensor:
        strength = self.fire(self.look(x * self.window)).sum((1, 2, 3))
        return torch.stack([torch.full_like(strength, 0.5), strength], dim=1)


def spots() -> SquarePictures:
    """Class 1 has one bright pixel, always in the upper left quadrant; class 0 has it elsewhere."""
    generator = np.random.default_rng(0)
    pixels = np.zeros((40, 8, 8, 1), np.uint8)
    labels = np.arange(40, dtype=np.int32) % 2
    for picture, label in zip(pixels, labels, strict=True):
        row, column = generator.integers(0, 4, 2)
        picture[row if label else row + 4, column] = 200
    part = LabelledPixels(pixels, labels)
    return SquarePictures(part, part, part, num_classes=2, mean=[0.0], std=[100.0])


def test_a_detector_of_one_quadrant_is_told_from_one_that_is_useful_everywhere() -> None:
    pictures = spots()
    found = study_detectors(UpperLeft(), pictures)
    assert found.accuracy.value == 1.0
    (layer,) = found.layers
    assert (layer.layer, layer.activation, layer.is_activated, layer.places) == ("look", "fire", True, (8, 8))
    first, idle = layer.detectors
    assert (first.channel, idle.channel) == (0, 1)
    # Without it, every picture of class 1 is missed; the other quadrants were silent anyway.
    assert [one.value for one in first.lost] == [0.5, 0.0, 0.0, 0.0]
    assert first.lost_everywhere.value == 0.5
    assert first.num_needed_quadrants == first.num_useful_quadrants == 1
    assert [one.value for one in first.loss_rises][1:] == [0.0] * 3
    assert idle.num_useful_quadrants == 0
    counts = np.zeros((8, 8))
    for picture in pictures.test.pixels[1::2]:
        counts += picture[..., 0] / 200
    shares = (counts / counts.sum())[counts > 0]
    assert first.spread.value == pytest.approx(-(shares * np.log(shares)).sum() / math.log(64))
    assert first.spread.value < 2 / 3  # 16 of 64 places at most
    assert first.spread.low <= first.spread.value <= first.spread.high
    assert idle.spread is None
    assert idle.patches == []
    assert [one.value for one in idle.lost] == [0.0] * 4


def test_entropy_is_that_of_loops() -> None:
    maps = np.random.default_rng(0).random((3, 12)) * [[1], [0.1], [9]]
    maps[0, 3:7] = 0
    for found, one in zip(entropy_fraction(maps), maps, strict=True):
        total = sum(one)
        assert found == pytest.approx(-sum(v / total * math.log(v / total) for v in one if v) / math.log(12))
    assert entropy_fraction(np.ones((1, 9)))[0] == pytest.approx(1)
    assert entropy_fraction(np.eye(9)[:1])[0] == entropy_fraction(np.zeros((1, 9)))[0] == 0


def test_quadrants_are_every_place_once() -> None:
    for places in [(2, 2), (5, 8), (7, 3)]:
        counts = np.zeros(places, int)
        for region in quadrants(places):
            counts[region] += 1
        assert (counts == 1).all()
    first = np.zeros((5, 8), int)
    first[quadrants((5, 8))[0]] = 1
    assert QUADRANTS[0] == "upper_left"
    assert first[:2, :4].all()
    assert first.sum() == 8


def by_hand(network: nn.Sequential, x: Tensor, silence: tuple[int, int, slice, slice] | None) -> Tensor:
    """The random network without hooks; ``silence``: number of the activation, channel, rows, columns."""
    for index, module in enumerate(network):
        x = functional.relu(x) if isinstance(module, nn.ReLU) else module(x)
        if silence is not None and index == silence[0]:
            x = x.clone()
            x[:, silence[1], silence[2], silence[3]] = 0
    return x


def test_losses_and_maps_are_those_of_a_network_written_out() -> None:
    network, pictures = random_network(), mark_pictures(n=64)
    found = study_detectors(network, pictures)
    assert [one.layer for one in found.layers] == ["0", "4"]
    assert [one.activation for one in found.layers] == ["2", "5"]
    assert [one.field for one in found.layers] == [(3, 3), (8, 8)]
    x = pictures.numbers(pictures.test, np.arange(200))
    truth = torch.from_numpy(pictures.test.labels)
    with torch.no_grad():
        right = (by_hand(network, x, None).argmax(1) == truth).numpy()
        loss = functional.cross_entropy(by_hand(network, x, None), truth.long()).item()
        for layer in found.layers:
            activation = int(layer.activation)
            maps = network[: activation + 1](x)
            assert len(layer.detectors) == layer.num_detectors == maps.shape[1]
            means = [one.mean_answer for one in layer.detectors]
            assert means == sorted(means, reverse=True)
            for one in layer.detectors:
                np.testing.assert_allclose(one.map, maps[:, one.channel].mean(0).numpy(), rtol=1e-4, atol=1e-6)
                half = layer.places[0] // 2
                first, second = slice(0, half), slice(half, None)
                regions = [(first, first), (first, second), (second, first), (second, second)]
                for lost, rise, (rows, columns) in zip(one.lost, one.loss_rises, regions, strict=True):
                    logits = by_hand(network, x, (activation, one.channel, rows, columns))
                    silent = (logits.argmax(1) == truth).numpy()
                    assert lost == paired(right.astype(float) - silent)
                    raised = functional.cross_entropy(logits, truth.long()).item() - loss
                    assert rise.value == pytest.approx(raised, abs=1e-6)
    assert any(one.lost_everywhere.value for layer in found.layers for one in layer.detectors)


def test_patches_are_those_of_a_search_over_all_pictures_and_places() -> None:
    network, pictures = random_network(), mark_pictures(n=64)
    found = study_detectors(network, pictures, DetectorProtocol(most_detectors=3, num_patches=4))
    x = pictures.numbers(pictures.test, np.arange(200))
    for layer in found.layers:
        assert len(layer.detectors) == 3
        with torch.no_grad():
            maps = network[: int(layer.activation) + 1](x).numpy()
        for one in layer.detectors:
            best = []
            for picture in range(200):
                places = [(maps[picture, one.channel, r, c], r, c) for r, c in np.ndindex(maps.shape[2:])]
                answer, row, column = max(places, key=lambda place: (place[0], -place[1], -place[2]))
                best.append((answer, picture, row, column))
            best.sort(key=lambda each: (-each[0], each[1]))
            for patch, (answer, picture, row, column) in zip(one.patches, best[:4], strict=True):
                assert patch.answer == pytest.approx(float(answer), rel=1e-5)
                assert (patch.picture, patch.place) == (picture, (row, column))


def test_a_patch_holds_every_pixel_that_the_answer_depends_on_and_no_line_more() -> None:
    network = random_network()
    for layer, last in (("0", 2), ("4", 5)):
        field = placed_field(network, layer, (1, 8, 8))
        pixels = torch.rand(1, 1, 8, 8)
        positive = random_network()
        with torch.no_grad():
            for parameter in positive.parameters():
                parameter.abs_().add_(0.1)
        x = pixels.requires_grad_()
        maps = positive[: last + 1](x)
        for row, column in np.ndindex(*maps.shape[2:]):
            (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), x, retain_graph=True)
            top, left, high, wide = field.box((row, column))
            rows, columns = np.nonzero(gradient[0, 0].numpy())
            if layer == "0":
                assert (top, left) == (rows.min(), columns.min())
                assert (top + high, left + wide) == (rows.max() + 1, columns.max() + 1)
            # Pooling takes the greatest only: less may have a gradient, never more.
            assert top <= rows.min() <= rows.max() < top + high
            assert left <= columns.min() <= columns.max() < left + wide


def test_pixels_are_cut_from_the_part() -> None:
    pictures = mark_pictures(n=64)
    found = study_detectors(random_network(), pictures)
    one = found.layers[0].detectors[0]
    for cut, patch in zip(patch_pixels(pictures.test, one), one.patches, strict=True):
        top, left, high, wide = patch.box
        assert cut.dtype == np.uint8
        assert np.array_equal(cut, pictures.test.pixels[patch.picture, top : top + high, left : left + wide])
    assert len(one.patches) == 9


class SharedTanh(nn.Module):
    """One activation module behind two convolutions, and a third convolution behind a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(c, 3, 3, padding=1) for c in (1, 3, 3))
        self.tanh = nn.Tanh()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tanh(self.second(self.tanh(self.first(x))))
        return self.head(functional.relu(self.third(x)).mean((2, 3)))


def test_an_activation_that_is_used_twice_is_silenced_in_its_own_call() -> None:
    torch.manual_seed(3)
    network, pictures = SharedTanh(), mark_pictures(n=64)
    reached = reached_convolutions(network, torch.zeros(1, 1, 8, 8))
    assert [(one.name, one.activation, one.is_activated) for one in reached] == [
        ("first", "tanh", True),
        ("second", "tanh", True),
        ("third", "relu", True),
    ]
    found = study_detectors(network, pictures, layers=["second"])
    x = pictures.numbers(pictures.test, np.arange(200))
    truth = pictures.test.labels
    with torch.no_grad():
        right = network(x).argmax(1).numpy() == truth
        maps = torch.tanh(network.second(torch.tanh(network.first(x))))
        for one in found.layers[0].detectors:
            np.testing.assert_allclose(one.map, maps[:, one.channel].abs().mean(0).numpy(), rtol=1e-4)
            quiet = maps.clone()
            quiet[:, one.channel] = 0
            silent = network.head(functional.relu(network.third(quiet)).mean((2, 3))).argmax(1).numpy() == truth
            assert one.lost_everywhere.value == pytest.approx(right.mean() - silent.mean())


def test_hooks_are_gone_and_modes_are_as_they_were() -> None:
    network = random_network().train()
    network[1].eval()
    study_detectors(network, mark_pictures(n=64), DetectorProtocol(most_detectors=1))
    assert network.training
    assert not network[1].training
    assert not any(module._forward_hooks for module in network.modules())


def test_what_cannot_be_looked_at_is_said() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))
    pictures = mark_pictures(n=64)
    assert study_detectors(network, pictures).layers == []
    assert "quadrants need 2 x 2" in study_detectors(network, pictures, layers=["0"]).left_out["0"]
    with pytest.raises(UsageError, match="no convolution 'nine'"):
        study_detectors(network, pictures, layers=["nine"])
