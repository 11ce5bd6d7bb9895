"""Fresh starts: equal spread in all corners, by the convolution's rule; the same seed, the same numbers."""

from __future__ import annotations

import statistics

import pytest
import torch
from torch import nn

from twin_networks import Residual, Tied, drawn_network
from whyconv.counting import Axis, Convolution
from whyconv.nets import Swift, dense_twin, local_twin, restart, shared_global_twin

TWINS = {
    "convolution": lambda network, shape: network,
    "local": local_twin,
    "dense": dense_twin,
    "shared_global": shared_global_twin,
}
NUM_SEEDS = 40


def require_mean(found: list[float], expected: float, most: float = 0.03) -> None:
    """Within 4 standard errors over the seeds, which have to be small."""
    error = statistics.stdev(found) / len(found) ** 0.5
    assert error < most * expected
    assert abs(statistics.mean(found) - expected) < 4 * error, (statistics.mean(found), expected, error)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular"])
@pytest.mark.parametrize("corner", TWINS)
def test_outputs_vary_as_much_in_every_corner(corner: str, mode: str) -> None:
    """Expected: the gain times the share of taps on data, which other code counts."""
    convolution = nn.Conv2d(4, 16, 5, stride=2, padding=2, groups=2, padding_mode=mode)
    layer = TWINS[corner](convolution, (4, 10, 7))
    axes = tuple(Axis(length, 5, 2, (2, 2)) for length in (10, 7))
    counted = Convolution(axes, 4, 16, 2)
    share = counted.connections / (counted.num_outputs * 2 * 25) if mode == "zeros" else 1.0
    found = []
    for seed in range(NUM_SEEDS):
        restart(layer, seed)
        x = torch.randn(64, 4, 10, 7, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            found.append(float(layer(x).square().mean()))
    require_mean(found, 2.0 * share)


@pytest.mark.parametrize("corner", TWINS)
def test_the_spread_is_kept_through_a_network(corner: str) -> None:
    """With gain 2 and ReLU the mean square of every layer's outputs is 2 on white noise."""
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(32, 16, 3),
    )
    twin = TWINS[corner](network, (3, 8, 8))
    found = []
    for seed in range(2 * NUM_SEEDS):
        restart(twin, seed)
        x = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            found.append(float(twin(x).square().mean()))
    require_mean(found, 2.0, most=0.05)


def test_it_depends_on_the_seed_alone_and_what_is_common_is_equal() -> None:
    network, shape = drawn_network("residual")
    networks = {name: twin(network, shape) for name, twin in TWINS.items()}
    state = torch.get_rng_state()
    assert all(restart(each, 3) == [] for each in networks.values())
    assert torch.equal(torch.get_rng_state(), state)
    heads = {tuple(each.head.weight.flatten().tolist()) for each in networks.values()}
    assert len(heads) == 1
    for each in networks.values():
        first = [parameter.clone() for parameter in each.parameters()]
        restart(each, 4)
        assert not torch.equal(first[0], next(each.parameters()))
        restart(each, 3)
        assert all(torch.equal(*pair) for pair in zip(first, each.parameters(), strict=True))
    assert networks["convolution"].norm.running_mean.eq(0).all()
    assert networks["dense"].one[1].weight.eq(1).all()


def test_per_unit_normalization_and_other_layers_start_as_torch_has_them() -> None:
    twin = local_twin(Residual(), (3, 9, 7), normalization="unit")
    twin.norm.running_var.fill_(7)
    restart(twin, 0)
    assert twin.norm.running_var.eq(1).all()
    mixed = nn.Sequential(nn.ConvTranspose2d(2, 2, 2), nn.PReLU(), nn.BatchNorm2d(2, affine=False))
    before = mixed[0].weight.clone()
    mixed[2].running_mean.fill_(1)
    restart(mixed, 0)
    assert not torch.equal(before, mixed[0].weight)
    assert mixed[2].running_mean.eq(0).all()


def test_what_is_not_learned_stays_and_is_named_and_ties_are_drawn_once() -> None:
    swift = Swift(1, 3, 8, widths=[4])
    before = swift.stem.weight.clone()
    assert restart(swift, 0) == ["stem.weight"]
    assert torch.equal(swift.stem.weight, before)
    tied = Tied()
    restart(tied, 0)
    once = tied.again.weight.clone()
    restart(tied.again, 0)
    assert tied.tied.weight is tied.again.weight
    assert not torch.equal(once, tied.again.weight)
    bare = nn.Sequential(nn.Conv2d(1, 1, 1))
    bare.register_parameter("scale", nn.Parameter(torch.ones(1)))
    assert restart(bare, 0) == ["scale"]
