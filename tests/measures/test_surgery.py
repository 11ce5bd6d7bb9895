"""Repairs: the same network where nothing is to be repaired, brute force where something is, and known causes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.measures import translation
from whyconv.measures.dense_sampling import blurred, polyphase
from whyconv.measures.repairs import CircularPadding, DenseSampling, MeanHead, Repaired
from whyconv.measures.surgery import surgery


def pictures(n: int = 24, side: int = 16, channels: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def centered(network: nn.Module, side: int = 16) -> nn.Module:
    """Brings the mean logits to 0, so that answers differ between pictures."""
    network.eval()
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.bias.sub_(network(pictures(64, side, seed=9)).mean(dim=0))
    return network


def body(mode: str = "zeros", *, is_pooled: bool = False) -> list[nn.Module]:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels in (1, 6):
        layers += [nn.Conv2d(channels, 6, 3, padding=1, padding_mode=mode), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if is_pooled else []
    return layers


def averaging(*layers: nn.Module, side: int = 16) -> nn.Module:
    return centered(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)), side)


def score(found, name: str, kind: str = "circular"):
    repair = next(one for one in found.repairs if one.name == name)
    return next(one for one in repair.scores if one.kind == kind)


def test_padding_that_goes_around_makes_a_network_of_stride_1_exactly_invariant_on_the_ring() -> None:
    found = surgery(averaging(*body()), pictures(), [0, 1, 2] * 8, ["circular"], reach=3)
    assert found.before[0].consistency.value < 1
    after = score(found, "circular_padding")
    assert after.consistency.value == 1.0
    assert after.consistency_change.value == pytest.approx(1 - found.before[0].consistency.value)
    assert after.consistency_change.low > 0
    # Nothing strides here, and the head reads no places.
    others = {one.name: one for one in found.repairs}
    assert others["blur"].scores == others["polyphase"].scores == others["head"].scores == []
    assert [one.reason for one in others["head"].left] == ["no_places"]


def test_phases_by_their_norm_and_padding_that_goes_around_make_pooling_exactly_invariant_on_the_ring() -> None:
    found = surgery(averaging(*body(is_pooled=True)), pictures(), [0, 1, 2] * 8, ["circular"], reach=3)
    assert score(found, "polyphase").consistency.value < 1
    assert score(found, "circular_padding").consistency.value < 1
    assert score(found, "all").consistency.value == 1.0
    circular = surgery(averaging(*body("circular", is_pooled=True)), pictures(), [0, 1, 2] * 8, ["circular"], reach=3)
    assert circular.before[0].consistency.value < 1
    assert score(circular, "polyphase").consistency.value == 1.0
    assert score(circular, "blur").consistency.value > circular.before[0].consistency.value


def test_the_mean_head_is_the_mean_of_the_logits_over_all_shifts_of_the_map() -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 3))
    x = pictures(5, 6)
    with torch.no_grad():
        maps = trunk(x)
        shifted = [head(torch.roll(maps, shift, dims=(2, 3))) for shift in itertools.product(range(6), range(6))]
        repaired = Repaired(nn.Sequential(trunk, head), [MeanHead()])(x)
    assert torch.allclose(repaired, torch.stack(shifted).mean(dim=0), atol=1e-5)


def test_a_flattening_head_is_found_and_its_repair_confirms_it() -> None:
    torch.manual_seed(0)
    network = centered(nn.Sequential(*body("circular"), nn.Flatten(), nn.Linear(6 * 256, 3)))
    found = surgery(network, pictures(), [0, 1, 2] * 8, ["circular"], reach=2)
    assert score(found, "head").consistency.value == 1.0
    assert next(one for one in found.repairs if one.name == "head").repaired == ["4"]
    hidden = centered(nn.Sequential(*body(), nn.Flatten(), nn.Linear(6 * 256, 8), nn.ReLU(), nn.Linear(8, 3)))
    left = surgery(hidden, pictures(), [0, 1, 2] * 8, ["circular"], reach=1, repairs=["head"]).repairs[0]
    assert (left.scores, [(one.layer, one.reason) for one in left.left]) == ([], [("4", "hidden_layers")])


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        nn.Conv2d(2, 3, 2, stride=2),
        nn.Conv2d(2, 3, (3, 2), stride=(1, 2), dilation=(2, 1)),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 2, padding=1),
        nn.MaxPool2d(2, 2, padding=1),
        nn.MaxPool2d(3, 3, padding=(1, 0)),
        nn.AvgPool2d(3),
        nn.AvgPool2d(2, 3),
    ],
)
@pytest.mark.parametrize("side", [8, 9, 11])
@pytest.mark.parametrize("border", ["circular", "reflect"])
def test_dense_maps_hold_what_stride_would_have_taken(layer: nn.Module, side: int, border: str, monkeypatch) -> None:
    seen: list[Tensor] = []
    plain = lambda x, strides, _: seen.append(x) or x[:, :, :: strides[0], :: strides[1]]  # noqa: E731
    monkeypatch.setattr("whyconv.measures.repairs.blurred", plain)
    x = pictures(3, side, 2)
    repaired = Repaired(layer, [DenseSampling(border, {}, is_polyphase=False)])(x)
    expected = layer(x)
    assert torch.allclose(repaired, expected, atol=1e-6)
    strides = layer.stride if isinstance(layer.stride, tuple) else (layer.stride, layer.stride)
    assert seen[0].shape[2:] == tuple(n * step for n, step in zip(expected.shape[2:], strides, strict=True))


def test_smoothing_is_a_convolution_with_binomial_weights() -> None:
    x = pictures(2, 8, 3)
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    weights = torch.outer(row, row).expand(3, 1, 3, 3)
    padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    expected = functional.conv2d(padded, weights, groups=3)[:, :, ::2, ::2]
    assert torch.allclose(blurred(x, (2, 2), "reflect"), expected, atol=1e-6)
    # A wave of the highest frequency is gone, where thinning out alone would have kept it.
    stripes = (1.0 - 2.0 * (torch.arange(8) % 2)).expand(1, 1, 8, 8)
    assert blurred(stripes, (1, 2), "circular").abs().max() < 1e-6
    assert blurred(torch.ones(1, 1, 9, 9), (3, 3), "circular").allclose(torch.ones(1, 1, 3, 3))


def test_the_phase_kept_is_the_one_with_the_greatest_norm_wherever_the_picture_lies() -> None:
    x = pictures(4, 6, 2)
    kept = polyphase(x, (2, 3))
    for picture, found in zip(x, kept, strict=True):
        phases = {(i, j): picture[:, i::2, j::3] for i in range(2) for j in range(3)}
        assert torch.equal(found, max(phases.values(), key=lambda phase: float(phase.norm())))
    for down, right in itertools.product(range(6), range(6)):
        moved = polyphase(torch.roll(x, (down, right), dims=(2, 3)), (2, 3))
        assert torch.allclose(moved.flatten(1).sort(dim=1)[0], kept.flatten(1).sort(dim=1)[0])


def test_a_repair_reaches_functions_as_well_as_modules_and_leaves_the_network_alone() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 1, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return functional.max_pool2d(functional.conv2d(x, self.weight, padding=1).relu(), 2)

    torch.manual_seed(0)
    network, x = Functional(), pictures(3, 8)
    by_hand = functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="circular"), network.weight)
    assert torch.allclose(Repaired(network, [CircularPadding()])(x), functional.max_pool2d(by_hand.relu(), 2))
    before = network(x)
    assert torch.equal(network(x), before)
    assert not network._forward_hooks
    assert functional.max_pool2d(x, 2).shape == (3, 1, 4, 4)


@pytest.mark.parametrize("padding", [nn.ZeroPad2d(1), nn.ReflectionPad2d(1), nn.ReplicationPad2d((1, 1, 1, 1))])
def test_padding_by_a_layer_of_its_own_goes_around_too(padding: nn.Module) -> None:
    convolution = nn.Conv2d(1, 6, 3)
    found = surgery(averaging(padding, convolution, nn.ReLU()), pictures(), [0, 1, 2] * 8, ["circular"], reach=2)
    assert found.repairs[0].repaired == ["1"]
    assert score(found, "circular_padding").consistency.value == 1.0


def test_what_cannot_be_repaired_is_named_with_the_reason() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.Conv2d(1, 6, 1, stride=2)
            self.up, self.head = nn.MaxPool2d(2, ceil_mode=True), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.up((self.first(x) + self.second(x)).relu()).mean(dim=(2, 3)))

    torch.manual_seed(0)
    found = surgery(centered(Branches(), 18), pictures(side=18), [0, 1, 2] * 8, ["zero"], reach=1)
    left = {one.name: {each.layer: each.reason for each in one.left} for one in found.repairs}
    assert left["polyphase"] == {"first": "branches", "second": "branches", "up": "rounded_up"}
    assert left["blur"] == {"up": "rounded_up"}
    assert left["circular_padding"] == {}
    small = averaging(nn.MaxPool2d(4), nn.Conv2d(1, 6, 11, padding=5), side=16)
    repair = surgery(small, pictures(), [0, 1, 2] * 8, ["zero"], reach=1, repairs=["circular_padding"]).repairs[0]
    assert [(one.layer, one.reason) for one in repair.left] == [("1", "too_wide")]
    valid = averaging(nn.Conv2d(1, 6, 3))
    repair = surgery(valid, pictures(), [0, 1, 2] * 8, ["circular"], reach=1, repairs=["circular_padding"]).repairs[0]
    assert [(one.layer, one.reason) for one in repair.left] == [("0", "unpadded")]


def test_rates_before_and_after_are_those_of_translation_and_changes_are_paired() -> None:
    network, x, labels = averaging(*body(is_pooled=True)), pictures(side=20), np.arange(24) % 3
    found = surgery(network, x, labels, ["crop", "circular"], reach=2, repairs=["circular_padding"])
    middle = x[:, :, 2:-2, 2:-2]
    assert found.before[0] == translation(network, x, labels, "crop", reach=2)
    assert found.before[1] == translation(network, middle, labels, "circular", reach=2)
    repaired = Repaired(network, [CircularPadding()])
    after = translation(repaired, x, labels, "crop", reach=2)
    here = score(found, "circular_padding", "crop")
    assert (here.consistency, here.kappa, here.accuracy) == (after.consistency, after.kappa, after.accuracy)
    for name in ("consistency", "kappa", "accuracy"):
        change, first = getattr(here, f"{name}_change"), getattr(found.before[0], name)
        assert change.value == pytest.approx(getattr(after, name).value - first.value)
        assert change.low <= change.value <= change.high
    # The same network twice: paired by picture, the change is 0 and so is its interval.
    same = surgery(averaging(nn.Conv2d(1, 6, 1)), middle, labels, ["circular"], repairs=["circular_padding"], reach=1)
    assert same.repairs[0].scores == []


def test_an_unknown_repair_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no repair 'blurr'.*blur"):
        surgery(averaging(*body()), pictures(), [0] * 24, ["circular"], repairs=["blurr"])
