"""The swift network: what its first layer and its start promise, and the sizes it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whyconv.nets.swift import Swift, stride_for, widths_for
from whyconv.settings import NetworkPlan
from whyconv.training.distributed import ALONE
from whyconv.training.start import _whiten


def random_pictures(n: int, channels: int, side: int) -> torch.Tensor:
    """Smooth ones: neighboring pixels are alike, as in photos."""
    torch.manual_seed(0)
    rough = torch.randn(n, channels, side // 2 + 2, side // 2 + 2)
    return torch.nn.functional.interpolate(rough, size=(side, side), mode="bilinear") + 0.1 * torch.randn(
        n, channels, side, side
    )


@pytest.mark.parametrize(
    ("n", "channels", "side"), [(300, 3, 32), (300, 1, 8), (300, 3, 64), (300, 3, 16), (20, 1, 512)]
)
def test_whitened_patches_are_uncorrelated_with_variance_one(n: int, channels: int, side: int) -> None:
    network, pictures = Swift(channels, 3, side), random_pictures(n, channels, side)
    network.whiten(network.to_whiten(pictures))
    with torch.no_grad():
        stem = network.stem
        dense = (
            torch.nn.functional.conv2d(pictures, stem.weight, stride=stem.stride)
            .permute(0, 2, 3, 1)
            .reshape(-1, stem.out_channels)
        )
    half = stem.out_channels // 2
    np.testing.assert_allclose(dense[:, half:], -dense[:, :half], atol=1e-6)
    moments = (dense[:, :half].T @ dense[:, :half] / len(dense)).numpy()
    np.testing.assert_allclose(moments, np.diag(np.diag(moments)), atol=0.02)
    assert 0.5 < np.diag(moments).min() <= np.diag(moments).max() < 1.001
    assert not stem.weight.requires_grad


@pytest.mark.parametrize(("side", "looked_at"), [(256, 256), (257, 128), (512, 256), (1024, 256)])
def test_wide_patches_are_looked_at_in_blocks(side: int, looked_at: int) -> None:
    network = Swift(1, 2, side)
    kernel = network.stem.kernel_size[0]
    found = network.to_whiten(torch.zeros(1, 1, side, side))
    assert found.shape[2] == looked_at
    assert kernel * looked_at // side <= 16
    if side == 257:
        return
    network.whiten(network.to_whiten(random_pictures(4, 1, side)))
    block = side // looked_at
    weights = network.stem.weight.detach()[:, 0]
    blocks = weights.reshape(len(weights), kernel // block, block, kernel // block, block)
    assert torch.equal(blocks, blocks[:, :, :1, :, :1].expand_as(blocks))


def test_the_strongest_direction_comes_first() -> None:
    network, pictures = Swift(1, 2, 16), random_pictures(100, 1, 16)
    network.whiten(pictures)
    patches = np.lib.stride_tricks.sliding_window_view(pictures[:, 0].numpy(), (2, 2), axis=(1, 2)).reshape(-1, 4)
    values, directions = np.linalg.eigh(patches.T.astype(np.float64) @ patches / len(patches))
    first = network.stem.weight[0].flatten().double().numpy() * np.sqrt(values[-1] + 5e-4)
    assert abs(first @ directions[:, -1]) == pytest.approx(1, abs=1e-5)


def test_whitening_needs_as_many_pictures_as_have_enough_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.nets.swift._ENOUGH_PATCHES", 100 * 31**2)
    pictures, few = random_pictures(400, 3, 64), Swift(3, 2, 64)
    assert few.enough_to_whiten(64) == 100  # each has 31 x 31 patches
    few.whiten(pictures[::4])
    # What the few give whitens all the others too.
    with torch.no_grad():
        dense = torch.nn.functional.conv2d(pictures, few.stem.weight, stride=2).permute(0, 2, 3, 1).flatten(0, 2)
    half = dense[:, : dense.shape[1] // 2]
    np.testing.assert_allclose((half.T @ half / len(half)).numpy(), np.eye(half.shape[1]), atol=0.1)


def test_a_network_starts_from_no_more_pictures_than_whitening_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(Swift, "whiten", lambda _, x, *group: seen.append(len(x)))
    monkeypatch.setattr(Swift, "enough_to_whiten", lambda *_: 30)
    plan = NetworkPlan(
        name="swift", in_channels=1, side=16, classes=["a", "b"], mean=[0.0], std=[1.0], views=["upright"]
    )
    _whiten(Swift(1, 2, 16), np.zeros((100, 16, 16, 1), np.uint8), plan, ALONE)
    assert seen == [30]


@pytest.mark.parametrize("filter_size", [3, 5])
def test_convolutions_start_as_the_identity_on_the_maps_they_take_over(filter_size: int) -> None:
    network = Swift(3, 5, 32, filter_size=filter_size)
    assert {tuple(block.refine.weight.shape[2:]) for block in network.blocks} == {(filter_size, filter_size)}
    for block in network.blocks:
        maps = torch.randn(2, block.refine.in_channels, 7, 7)
        torch.testing.assert_close(block.refine(maps), maps)
        taken = torch.randn(2, block.widen.in_channels, 7, 7)
        kept = min(block.widen.in_channels, block.widen.out_channels)
        torch.testing.assert_close(block.widen(taken)[:, :kept], taken[:, :kept])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [6, 8, 9, 16, 28, 32, 33, 48, 64, 100, 128, 224, 256])
def test_it_takes_every_side_and_other_sides_than_its_own(side: int, channels: int) -> None:
    network = Swift(channels, 7, side, widths=[8] * len(widths_for(side))).eval()
    assert network(torch.randn(2, channels, side, side)).shape == (2, 7)
    smaller = max(6, side * 3 // 4)
    assert network(torch.randn(2, channels, smaller, smaller)).shape == (2, 7)
    assert side / stride_for(side) <= 32


def test_a_thousand_classes_and_widths_of_ones_own() -> None:
    network = Swift(3, 1000, 32, widths=[16, 32])
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 1000)
    assert network.head.in_features == 32
