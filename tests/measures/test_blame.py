"""Blame where it is easily misplaced: rings, upsampling, and pixels that come in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from whyconv.measures.equivariance import equivariance
from whyconv.results.equivariance import Equivariance

NOTHING = 1e-5


def pictures(n: int = 10, side: int = 16) -> Tensor:
    return torch.randn(n, 1, side, side, generator=torch.Generator().manual_seed(1))


def averaging(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def layer(found: Equivariance, name: str):
    return next(one for one in found.layers if one.name == name)


@pytest.mark.parametrize("kind", ["circular", "crop"])
def test_a_rest_of_circular_padding_is_no_odd_size_where_places_go_once_around(kind: str) -> None:
    torch.manual_seed(0)
    strided = [nn.Conv2d(1, 4, 3, 2, 1, padding_mode="circular"), nn.ReLU()]
    x = pictures(side=20 if kind == "circular" else 24)
    alone = equivariance(averaging(*strided), x, kind, reach=2)
    assert layer(alone, "0").at_jump.high < NOTHING
    assert layer(alone, "0").brings == (["stride"] if kind == "circular" else ["stride", "border"])
    padded = equivariance(averaging(*strided, nn.Conv2d(4, 4, 3, padding=1)), x, kind, reach=2)
    odd = padded.cause("odd_size")
    assert (odd.layers, odd.error.value) == ([], 0)
    # Beside that much sampling a border adds little; it is told, and alone it is seen.
    assert padded.cause("border").error is not None
    assert padded.cause("border").alone.low > 0.1


@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (3, 1), (4, 1), (5, 2)])
def test_places_that_do_not_go_once_around_a_ring_are_an_odd_size(kernel: int, padding: int) -> None:
    torch.manual_seed(0)
    network = averaging(nn.Conv2d(1, 4, kernel, 2, padding, padding_mode="circular"), nn.ReLU())
    for side, is_odd in ((20, False), (21, True)):
        found = equivariance(network, pictures(side=side), "circular", reach=2)
        assert found.cause("odd_size").layers == (["0"] if is_odd else [])
        assert found.cause("border").layers == []
        assert (found.cause("odd_size").alone is None) == (not is_odd)
        assert (layer(found, "0").whole_at_jump.high > 0.01) == is_odd


@pytest.mark.parametrize(("kernel", "padding"), [(2, 1), (4, 2), (2, 0), (3, 1)])
@pytest.mark.parametrize(("behind", "around"), [(3, 1), (2, 1), (2, 0), (5, 2)])
@pytest.mark.parametrize("times", [2, 4])
def test_borders_behind_upsampling_are_no_operation_that_depends_on_the_place(
    kernel: int, padding: int, behind: int, around: int, times: int
) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, kernel, times, padding), nn.Upsample(scale_factor=times)]
    network = averaging(*layers, nn.Conv2d(4, 4, behind, padding=around))
    found = equivariance(network, pictures(6, 40 + 2 * times), "crop", reach=times)
    last = layer(found, "2")
    assert (last.jump, last.period) == ((1, 1), (times, times))
    assert last.at_jump.high < NOTHING
    assert found.cause("place").layers == []


def test_a_mean_is_not_blamed_for_pixels_that_come_in() -> None:
    torch.manual_seed(0)
    network = averaging(nn.Conv2d(1, 4, 3), nn.ReLU())
    found = equivariance(network, pictures(40, 20), "crop", reach=2)
    # All of the network treats all places alike: the answers change with what is to be seen.
    assert max(layer(found, "1").whole.high, layer(found, "1").at_jump.high) < NOTHING
    assert found.logits.low > 0.1
    head = found.cause("head")
    assert (head.error, head.layers) == (None, [])
    assert head.alone.high < NOTHING
    assert [one.error.value for one in found.causes if one.cause != "head"] == pytest.approx([0] * 4, abs=NOTHING)
    assert found.told() == ["equivariance_told_inside", "equivariance_new_pixels"]
    # Nothing comes in where the border is empty, and then nothing changes.
    framed = torch.zeros(40, 1, 20, 20)
    framed[:, :, 6:14, 6:14] = pictures(40, 8)
    assert equivariance(network, framed, "crop", reach=2).logits.high < NOTHING


def test_flattening_is_named_where_pixels_come_in_by_what_it_does_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 3))
    head = equivariance(network, pictures(10, 20), "crop", reach=2).cause("head")
    assert (head.error, head.layers) == (None, ["1"])
    assert head.alone.low > 0.1
    around = equivariance(network, pictures(10, 16), "circular")
    assert around.cause("head").error is not None
    assert around.told() == ["equivariance_told_inside", "equivariance_sum"]
