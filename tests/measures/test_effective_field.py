"""Effective fields where they are known by arithmetic, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.measures.effective_field import effective_field, effective_map


def convolutions(depth: int, weight: float = 1.0) -> nn.Sequential:
    """``depth`` 3 x 3 convolutions whose weights are all the same."""
    layers = [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.constant_(layer.weight, weight)
    return nn.Sequential(*layers).double()


def pictures(n: int = 4, side: int = 31, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 1, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def central_side(kernel: np.ndarray, share: float) -> int:
    """The same by adding up rings around the middle."""
    middle = len(kernel) // 2
    for radius in range(middle + 1):
        ring = slice(middle - radius, middle + radius + 1)
        if kernel[ring, ring].sum() >= share * kernel.sum():
            return 2 * radius + 1
    raise AssertionError


@pytest.mark.parametrize("depth", [1, 2, 5, 9])
def test_of_equal_weights_it_is_the_binomial_one(depth: int) -> None:
    line = np.ones(1)
    for _ in range(depth):
        line = np.convolve(line, np.ones(3))
    found = effective_field(convolutions(depth), pictures())
    assert found.theoretical == (2 * depth + 1, 2 * depth + 1)
    assert [one.side.value for one in found.squares] == [
        central_side(np.outer(line, line), share) for share in (0.5, 0.9, 0.99)
    ]
    assert all((one.side.low, one.side.high) == (one.side.value,) * 2 for one in found.squares)  # every picture alike
    np.testing.assert_allclose(
        effective_map(convolutions(depth), pictures(), str(depth - 1))[15 - depth : 16 + depth, 15], line * line[depth]
    )


class Standardized(nn.Module):
    """Divides each picture by its own spread first: by nothing, where it is flat."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer((x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True))


def test_gradients_that_are_no_numbers_are_no_field_of_one_pixel() -> None:
    one_flat = pictures(4).float()
    one_flat[2] = 0.5
    with pytest.raises(UsageError, match=r"For 1 of the 4 pictures the gradient from 'layer' is no finite number"):
        effective_field(Standardized(), one_flat)
    with pytest.raises(UsageError, match="For 4 of the 4 pictures"):
        effective_field(convolutions(2, weight=float("nan")), pictures(4))


class Either(nn.Module):
    """Bright pictures are seen through one tap, dark ones through a square of 5."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Conv2d(1, 2, 5, padding=2, bias=False)
        taps = torch.stack([torch.zeros(5, 5), torch.ones(5, 5)])
        taps[0, 2, 2] = 25.0
        self.both.weight = nn.Parameter(taps[:, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer = self.both(x)
        is_bright = (x.mean(dim=(1, 2, 3), keepdim=True) > 0).float()
        return answer[:, :1] * is_bright + answer[:, 1:] * (1 - is_bright)


def test_the_interval_is_over_pictures() -> None:
    signs = torch.tensor([1.0] * 12 + [-1.0] * 8)[:, None, None, None].expand(20, 1, 9, 9)
    network = nn.Sequential(Either())
    assert effective_field(network, signs, "0.both").squares[0].side.value == 1  # (25 + 1) of 50: channels are summed
    bright, mixed = effective_field(network, signs.abs(), "0"), effective_field(network, signs, "0")
    assert [one.side.value for one in bright.squares] == [1, 1, 1]
    # Of b bright pictures the middle holds 25 b + (20 - b) of 500: half from b = 10 on; 1 draw in 8 has fewer.
    half = mixed.squares[0].side
    assert (half.value, half.low, half.high) == (1, 1, 3)
    assert mixed.squares[2].side.value == 5
    assert effective_field(network, signs, "0") == mixed


def test_an_even_kernel_has_a_middle_between_pixels() -> None:
    layer = nn.Conv2d(1, 1, 4, 2, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    found = effective_field(nn.Sequential(layer), pictures(side=16).float())
    assert [one.side.value for one in found.squares] == [4, 4, 4]


class Headed(nn.Module):
    """Two convolutions, the second with stride, then the mean over places and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 4, 7, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.second(self.relu(self.norm(self.first(x))))).flatten(1))


def test_the_deepest_layer_that_fits_is_taken_and_the_network_left_as_it_was() -> None:
    torch.manual_seed(0)
    network = Headed().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = effective_field(network, torch.randn(3, 3, 20, 20))
    assert (found.layer, found.theoretical, found.input_size, found.n) == ("second", (9, 9), (20, 20), 3)
    assert all(one.side.value <= 9 for one in found.squares)
    assert network.training
    assert network.norm.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.second._forward_hooks
    assert "theoretical 9 x 9 of 20 x 20 pixels" in repr(found)


@pytest.mark.parametrize(
    ("layer", "side", "words"),
    [
        ("second", 8, r"receptive field of 9 x 9 pixels and the pictures have 8 x 8 .* measured .* is 'relu'"),
        ("pool", 20, r"global pooling, .* is 'second'"),
        ("head", 20, r"'head' has no effective field"),
        ("secnod", 20, r"no layer 'secnod' that was called\. Did you mean 'second'"),
    ],
)
def test_what_means_nothing_is_refused(layer: str, side: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        effective_field(Headed(), torch.randn(2, 3, side, side), layer)


def test_dead_units_single_pictures_and_small_ones_are_refused() -> None:
    network = convolutions(1)
    nn.init.zeros_(network[0].weight)
    with pytest.raises(UsageError, match="No gradient comes back from '0' to any of the 4 pictures"):
        effective_field(network, pictures())
    with pytest.raises(UsageError, match="at least 2 pictures"):
        effective_field(convolutions(1), pictures(1))
    with pytest.raises(UsageError, match="fits into pictures of 2 x 2 pixels"):
        effective_field(convolutions(1), pictures(side=2))
