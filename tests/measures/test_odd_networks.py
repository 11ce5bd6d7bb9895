"""Networks that pad apart from their convolutions, or lay one picture out as many: counted as by brute force."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from whyconv.anatomy import inspect_network

Forward = Callable[["Made", Tensor], Tensor]


class Made(nn.Module):
    def __init__(self, forward: Forward, **modules: nn.Module | nn.Parameter):
        super().__init__()
        self.body = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.body(self, x)


def moved_pairs(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Pairs of an input and an output that meet, of a linear network with positive weights: one input at a time."""
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.1) if parameter.ndim > 1 else parameter.zero_()
        size = math.prod(shape)
        answers = [network(torch.eye(size, dtype=torch.double)[place].reshape(1, *shape)) for place in range(size)]
    return sum(int((answer.abs() > 1e-12).sum()) for answer in answers)


def cut(x: Tensor, side: int) -> Tensor:
    n, channels, height, width = x.shape
    parts = x.view(n, channels, height // side, side, width // side, side)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, side, side)


def two_users(net: Made, x: Tensor) -> Tensor:
    padded = functional.pad(x, (1, 1, 1, 1))
    return torch.cat([net.a(padded).flatten(1), padded[:, :, 1:-1, 1:-1].flatten(1)], 1)


PADDED = {
    "same, even kernel": (nn.Conv2d(2, 3, 4, padding="same"), (2, 6, 7)),
    "same, dilated": (nn.Conv2d(1, 1, 4, padding="same", dilation=3), (1, 12, 12)),
    "same, one axis": (nn.Conv1d(2, 1, 4, padding="same"), (2, 12)),
    "before padding of its own": (nn.Sequential(nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(1, 2, 3, 2, 1)), (1, 6, 7)),
    "padded and cut": (nn.Sequential(nn.ZeroPad2d((-1, 2, 0, 3)), nn.Conv2d(1, 2, 3, 2)), (1, 6, 7)),
    "behind an activation": (nn.Sequential(nn.ZeroPad2d(1), nn.ReLU(), nn.Conv2d(1, 2, 3)), (1, 6, 6)),
    "twice": (nn.Sequential(nn.ZeroPad2d(1), nn.ZeroPad2d((1, 0, 0, 1)), nn.Conv2d(1, 2, 3)), (1, 6, 6)),
    "reflected after": (nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(1, 2, 3)), (1, 6, 6)),
}


@pytest.mark.parametrize("name", PADDED)
def test_padding_of_zeros_is_no_data_wherever_it_is_put(name):
    network, shape = PADDED[name]
    found = inspect_network(network, shape)
    assert found.totals.connections == moved_pairs(network, shape)
    assert not found.not_analyzed


WITHIN = {
    "reflected by the layer": nn.Sequential(nn.ZeroPad2d(2), nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")),
    "reflected apart": nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.ReflectionPad2d((2, 1, 1, 3)), nn.Conv2d(2, 3, 3)),
    "repeated": nn.Sequential(
        nn.ZeroPad2d((1, 0, 0, 0)), nn.Conv2d(2, 3, (5, 3), 2, padding=2, padding_mode="replicate")
    ),
    "around": nn.Sequential(nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(2, 3, 5, padding=2, padding_mode="circular")),
    "behind an activation": nn.Sequential(
        nn.ZeroPad2d(1), nn.ReLU(), nn.ReplicationPad2d(2), nn.ReLU(), nn.Conv2d(2, 1, 3)
    ),
    "and zeros again": nn.Sequential(nn.ZeroPad2d(1), nn.ReflectionPad2d(2), nn.Conv2d(2, 3, 3, padding=1, dilation=2)),
    "no zeros within": nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(2, 3, 5, padding=1)),
    "along one axis": nn.Sequential(nn.ZeroPad1d((2, 0)), nn.Conv1d(2, 3, 4, padding=3, padding_mode="replicate")),
}


@pytest.mark.parametrize("name", WITHIN)
def test_padding_of_zeros_is_no_data_where_other_padding_repeats_it(name):
    network = WITHIN[name]
    shape = (2, 7) if name == "along one axis" else (2, 6, 7)
    found = inspect_network(network, shape)
    layer = found.layers[-1]
    assert layer.connections == moved_pairs(network, shape)
    assert layer.density == layer.connections / (math.prod(shape) * math.prod(layer.output))
    assert not found.not_analyzed


def test_padding_that_others_read_too_is_no_data():
    network, shape = Made(two_users, a=nn.Conv2d(1, 2, 3)), (1, 6, 6)
    found = inspect_network(network, shape).totals
    assert found.connections == moved_pairs(network, shape) - 36  # what is handed on has no weights


def around(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """A ring by hand: what lies at the end goes before, what lies at the start after."""
    size = x.shape[axis]
    first, last = x.narrow(axis, size - before, before), x.narrow(axis, 0, after)
    return torch.cat([*([first] if before else []), x, *([last] if after else [])], axis)


@pytest.mark.parametrize("sides", [((1, 1), (1, 1)), ((2, 1), (0, 3)), ((4, 5), (6, 0)), ((5, 5), (6, 6))])
def test_a_ring_laid_by_hand_is_circular_padding(sides):
    rows, columns = sides
    network = Made(lambda net, x: net.a(around(around(x, 2, *rows), 3, *columns)), a=nn.Conv2d(2, 3, (5, 4)))
    padded = nn.Sequential(nn.CircularPad2d((*columns, *rows)), nn.Conv2d(2, 3, (5, 4)))
    found, expected = (inspect_network(each, (2, 6, 7)) for each in (network, padded))
    assert found.totals.connections == moved_pairs(network, (2, 6, 7)) == expected.totals.connections
    assert [each.reach.mean for each in found.fields.layers[-1:]] == [
        each.reach.mean for each in expected.fields.layers
    ]
    assert not found.fields.not_analyzed


def test_what_is_joined_otherwise_is_no_ring():
    for other in (
        lambda x: torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2),  # repeated
        lambda x: torch.cat([x[:, :, -2:-1], x], 2),
        lambda x: torch.cat([x[:, :, -1:].flip(3), x], 2),
        lambda x: torch.cat([x[:, :, -2:], x.relu()], 2),
        lambda x: torch.cat([x[:, :, -1:, 1:], x[:, :, :, :-1]], 2),
    ):
        network = Made(lambda net, x, other=other: net.a(other(x)), a=nn.Conv2d(2, 3, 3))
        assert inspect_network(network, (2, 6, 7)).fields.not_analyzed


def local_response(x: Tensor, size: int) -> Tensor:
    """As it is written by hand where a window of odd size pads itself."""
    met = functional.avg_pool3d(x.unsqueeze(1), (size, 1, 1), stride=1, padding=(size // 2, 0, 0)).squeeze(1)
    return x / (1 + met)


def met_channels(channels: int, size: int) -> int:
    """Pairs of channels that meet: each, size // 2 before it and (size - 1) // 2 after it, where there are so many."""
    return sum(-(size // 2) <= b - a <= (size - 1) // 2 for a in range(channels) for b in range(channels))


@pytest.mark.parametrize("shape", [(4, 2, 2), (6, 3, 5), (5, 7), (3, 2, 3, 2)])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_channels_beyond_the_first_and_the_last_are_no_data(size, shape):
    found = inspect_network(nn.LocalResponseNorm(size), shape)
    layer = next(each for each in found.layers if each.connections)
    assert layer.connections == met_channels(shape[0], size) * math.prod(shape[1:])
    assert layer.density == layer.connections / math.prod(shape) ** 2


def test_places_are_followed_behind_what_normalizes_over_channels():
    for normalize in (nn.LocalResponseNorm(5), Made(lambda net, x: local_response(x, 5))):
        network = nn.Sequential(nn.Conv2d(3, 8, 3), normalize, nn.MaxPool2d(3, 2), nn.Conv2d(8, 4, 3))
        found = inspect_network(network, (3, 16, 16))
        assert found.fields is not None
        # By hand: 1 + 2 for the first convolution, 2 for pooling, 2 steps of 2 places for the last one.
        assert [axis.size for axis in found.fields.layers[-1].field.axes] == [9, 9]
        assert not found.fields.layers[-1].reach.reason
        assert next(each for each in found.layers if each.operation == "aten.avg_pool3d").connections == 34 * 14 * 14


PIECES: dict[str, tuple[Made, tuple[int, ...]]] = {
    "channels": (Made(lambda net, x: net.a(x.reshape(-1, 1, 6, 6)), a=nn.Conv2d(1, 2, 3)), (3, 6, 6)),
    "patches": (Made(lambda net, x: net.a(cut(x, 4)), a=nn.Conv2d(1, 2, 3, padding=1)), (1, 8, 8)),
    "frames": (Made(lambda net, x: net.a(x.transpose(1, 2).flatten(0, 1)), a=nn.Conv2d(3, 2, 3)), (3, 4, 8, 8)),
    "rows": (Made(lambda net, x: net.a(x.permute(0, 2, 1, 3).reshape(-1, 3, 8)), a=nn.Conv1d(3, 2, 3)), (3, 8, 8)),
    "transposed": (
        Made(lambda net, x: net.a(x.reshape(-1, 1, 5, 5)), a=nn.ConvTranspose2d(1, 2, 3, 2, 1)),
        (2, 5, 5),
    ),
    "pooled in pieces": (
        Made(
            lambda net, x: net.b(functional.avg_pool2d(x.reshape(-1, 1, 6, 6), 2).flatten(1)).reshape(1, -1),
            b=nn.Linear(9, 5, bias=False),
        ),
        (3, 6, 6),
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_a_picture_in_pieces_is_counted_piece_by_piece(name):
    network, shape = PIECES[name]
    found = inspect_network(network, shape).totals
    # Of the linear layer behind the means 4 pixels reach what one number of it does.
    assert found.connections == moved_pairs(network, shape) // (4 if name.startswith("pooled") else 1)
    assert found.weights == sum(each.numel() for each in network.parameters() if each.ndim > 1)
    assert math.isclose(found.locality_factor * found.sharing_factor, found.dense.weights / found.weights)


ACROSS_PLACES: dict[str, tuple[Forward, tuple[int, int]]] = {
    "tokens": (lambda net, x: net.a(x.flatten(2)), (16, 7)),
    "tokens, turned back": (lambda net, x: net.a(x.flatten(2).transpose(1, 2).transpose(1, 2)), (16, 7)),
    "rows": (lambda net, x: net.a(x), (4, 5)),
    "columns": (lambda net, x: net.a(x.transpose(2, 3)), (4, 5)),
    "added apart": (
        lambda net, x: functional.linear(x, net.a.weight) + (0 if net.a.bias is None else net.a.bias),
        (4, 5),
    ),
    "tokens of each channel": (
        lambda net, x: (
            torch.baddbmm(net.c, x.flatten(2).transpose(0, 1), net.b)
            if net.a.bias is not None
            else torch.bmm(x.flatten(2).transpose(0, 1), net.b)
        ),
        (1, 1),
    ),
}


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("name", ACROSS_PLACES)
def test_linear_layers_across_places_have_their_bias(name, has_bias):
    forward, sizes = ACROSS_PLACES[name]
    stack = {"b": nn.Parameter(torch.ones(3, 16, 5)), "c": nn.Parameter(torch.ones(5))} if "each" in name else {}
    network, shape = Made(forward, a=nn.Linear(*sizes, bias=has_bias), **stack), (3, 4, 4)
    found = inspect_network(network, shape)
    (layer,) = found.weighted
    outputs = math.prod(layer.output)
    pairs = outputs * (16 if "tokens" in name else 4)
    assert layer.flops == layer.nominal_flops == 2 * pairs - (0 if has_bias else outputs)
    assert layer.dense.biases == layer.local.biases == (outputs if has_bias else 0)
    assert layer.multiply_adds == layer.connections == pairs == moved_pairs(network, shape)


def test_branches_side_by_side_are_all_counted():
    branches = {name: nn.Conv2d(1 + (name == "c"), 2, 3) for name in "abc"}
    network = Made(lambda net, x: net.c(torch.cat([net.a(x), net.b(x)], 0)), **branches)
    # Each branch 16 places of 9 taps to 2 maps; then twice 4 places of 18 taps to 2 maps.
    assert inspect_network(network, (1, 6, 6)).totals.multiply_adds == 2 * (16 * 9 * 2) + 2 * (4 * 18 * 2)


def test_views_and_what_was_computed_may_be_joined():
    first = nn.Conv2d(1, 1, 3, padding=1)
    network = Made(lambda net, x: net.b(torch.cat([torch.cat([x, x], 0), net.a(x)], 0)), a=first, b=nn.Conv2d(1, 2, 3))
    # Two of the three are the picture itself; nothing tells here that they are alike.
    found = inspect_network(network, (1, 6, 6)).totals
    assert found.multiply_adds == 16 * 16 + 3 * (16 * 9 * 2)


def test_views_of_one_picture_count_once():
    network = Made(
        lambda net, x: net.a(torch.cat([x, x.flip(3)], 0)).unflatten(0, (2, -1)).mean(0), a=nn.Conv2d(1, 2, 3)
    )
    assert inspect_network(network, (1, 6, 6)).totals.multiply_adds == 16 * 9 * 2


def test_buffers_are_afterwards_as_they_were():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3)
            self.register_buffer("calls", torch.zeros((), dtype=torch.long))
            self.register_buffer("mean", torch.ones(4))
            self.register_buffer("last", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            y = self.a(x)
            self.mean.mul_(0.9).add_(y.mean((0, 2, 3)), alpha=0.1)
            self.last = y.mean().reshape(1)
            return y

    network = Counting()
    held = dict(network.named_buffers())
    inspect_network(network, (3, 8, 8))
    assert all(network.get_buffer(name) is buffer for name, buffer in held.items())
    assert [network.calls.item(), network.mean.tolist(), network.last.item()] == [0, [1] * 4, 0]


def test_weights_used_in_part_or_made_of_others_are_not_shared_in_time():
    sliced = Made(lambda net, x: functional.conv2d(x, net.w[:4]), w=nn.Parameter(torch.randn(8, 3, 3, 3)))
    for network in (sliced, weight_norm(nn.Conv2d(3, 4, 3))):
        assert inspect_network(network, (3, 8, 8)).totals.sharing_in_time == 1
    twice = weight_norm(nn.Conv2d(3, 3, 3, padding=1))
    again = inspect_network(Made(lambda net, x: net.a(net.a(x)), a=twice), (3, 8, 8))
    assert again.totals.sharing_in_time == 2


def test_every_step_of_a_recurrent_layer_is_counted():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.GRU(28, 16, batch_first=True)

        def forward(self, x):
            return self.a(x[:, 0])[0][:, -1]

    found = inspect_network(Rows(), (1, 28, 28))
    assert not found.not_analyzed
    assert found.totals.multiply_adds == 28 * 28 * 48 + 27 * 16 * 48  # the first step knows nothing of another
