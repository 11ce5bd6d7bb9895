"""Reading torch networks: counts against Jacobians, places against gradients, and that nothing is left behind."""

from __future__ import annotations

import itertools
import math
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from whyconv.counting.dependency import dependency_set
from whyconv.counting.graph import Graph, Node
from whyconv.counting.network import count_network
from whyconv.errors import UsageError
from whyconv.measures import trace
from whyconv.measures.building import build_without_numbers
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def num_connections(layer: nn.Module, shape: tuple[int, ...]) -> int:
    """Counts the entries of the Jacobian that are not 0: what each input alone moves, of a layer that is linear."""
    alone = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    layer = layer.double().eval()
    with torch.no_grad():
        moved = layer(alone) - layer(torch.zeros(1, *shape, dtype=torch.float64))
    return int((moved != 0).sum())


def random_layer(dice: random.Random) -> tuple[nn.Module, tuple[int, ...]]:
    depth = dice.choice((1, 2, 2, 2, 3))
    length = 9 if depth < 3 else 5
    groups = dice.choice((1, 1, 2))
    kernel = tuple(dice.randint(1, 3) for _ in range(depth))
    stride = tuple(dice.randint(1, 3) for _ in range(depth))
    padding = tuple(dice.randint(0, taps // 2) for taps in kernel)
    kind = dice.choice(("convolution", "convolution", "convolution", "transposed", "pool"))
    shape = (2, *(dice.randint(length - 2, length) for _ in range(depth)))
    if kind == "pool":
        return POOLS[depth](kernel, stride, padding, ceil_mode=dice.random() < 0.5), shape
    if kind == "transposed":
        more = tuple(dice.randint(0, step - 1) for step in stride)
        return TRANSPOSED[depth](2, 4, kernel, stride, padding, more, groups=groups), shape
    mode = dice.choice(("zeros", "reflect", "replicate", "circular"))
    dilation = tuple(dice.randint(1, 2) for _ in range(depth))
    layer = CONVOLUTIONS[depth](2, 4, kernel, stride, padding, dilation, groups=groups, padding_mode=mode)
    return layer, shape


@pytest.mark.parametrize("seed", range(40))
def test_connections_are_those_of_the_jacobian(seed: int) -> None:
    layer, shape = random_layer(random.Random(seed))
    counted = count_network(trace(layer, shape), "random").layers
    assert len(counted) == 1
    assert counted[0].connections == num_connections(layer, shape), layer
    torch.manual_seed(seed)
    made = layer.double()(torch.rand(1, *shape, dtype=torch.float64))
    assert counted[0].output == list(made.shape[1:])


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_layers_of_our_own(mode: str) -> None:
    local = LocallyConnected2d(2, 4, 3, 6, padding=1, groups=2, padding_mode=mode)
    counted = count_network(trace(local, (2, 6, 6)), "local").layers[0]
    assert (counted.kind, counted.num_parameters) == ("locally_connected", 6 * 6 * 4 * (9 + 1))
    assert counted.connections == num_connections(local, (2, 6, 6))
    everywhere = SharedGlobal2d(2, 3, 5)
    counted = count_network(trace(everywhere, (2, 5, 5)), "global").layers[0]
    assert (counted.weights, counted.connections, counted.locality_factor) == (150, 50 * 75, 1.0)
    assert everywhere.method == "fourier"


class Patches(nn.Module):
    """Cuts the picture into patches by hand, in the order that einops calls "b (h w) (c p q)"."""

    def __init__(self, is_channels_last: bool) -> None:
        super().__init__()
        self.is_channels_last = is_channels_last
        self.embed = nn.Linear(3 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(1, 3, 2, 4, 3, 4)
        x = x.permute(0, 2, 4, 3, 5, 1) if self.is_channels_last else x.permute(0, 2, 4, 1, 3, 5)
        return self.embed(x.reshape(1, 6, 48)).transpose(1, 2).reshape(1, 5, 2, 3)


@pytest.mark.parametrize("is_channels_last", [False, True])
def test_patches_cut_by_hand_are_a_convolution(is_channels_last: bool) -> None:
    counted = [
        layer for layer in count_network(trace(Patches(is_channels_last), (3, 8, 12)), "p").layers if layer.weights
    ]
    assert [(layer.weights, layer.multiply_adds) for layer in counted] == [(240, 6 * 240)]
    assert counted[0].sharing_factor == 6


class Focus(nn.Module):
    """Every second pixel of four phases, as channels."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return torch.cat(parts, 1)


class Tokens(nn.Module):
    """A map as rows of tokens, a layer on each, and a map again."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.each(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)


def convolution(*sizes: int, **more: int | str) -> nn.Conv2d:
    layer = nn.Conv2d(*sizes, **more)
    nn.init.constant_(layer.weight, 0.1)
    return layer


# Layers with weights above 0 and nothing that cuts a gradient off, so that gradients show what depends on what.
FOLLOWED: dict[str, Callable[[], nn.Module]] = {
    "modes": lambda: nn.Sequential(
        convolution(2, 4, 3, padding=1, padding_mode="circular"),
        convolution(4, 4, 3, padding=1, padding_mode="reflect"),
    ),
    "bilinear": lambda: nn.Sequential(
        convolution(2, 4, 3, stride=2), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(scale_factor=3)
    ),
    "odd bilinear": lambda: nn.Sequential(nn.Upsample(scale_factor=3, mode="bilinear"), convolution(2, 2, 3)),
    "shuffle": lambda: nn.Sequential(convolution(2, 8, 3, padding=1), nn.PixelShuffle(2), convolution(2, 2, 3)),
    "focus": lambda: nn.Sequential(Focus(), convolution(8, 4, 3, padding=1)),
    "tokens": lambda: nn.Sequential(convolution(2, 4, 3, dilation=2), Tokens(), nn.AvgPool2d(3, 2, ceil_mode=True)),
    "global": lambda: nn.Sequential(convolution(2, 4, 3), nn.AdaptiveAvgPool2d(1), convolution(4, 4, 1)),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_places_are_followed_exactly(name: str) -> None:
    torch.manual_seed(0)
    network = FOLLOWED[name]().double().eval()
    for parameter in network.parameters():
        parameter.data.abs_()
    shape = (2, 12, 12)
    graph = trace(network, shape)
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    answer = network(x)
    assert graph.shapes[graph.outputs[0]] == tuple(answer.shape)
    for place in {(0, 0), (answer.shape[2] // 2, 0), (answer.shape[2] - 1, answer.shape[3] - 1)}:
        (gradient,) = torch.autograd.grad(answer[0, :, place[0], place[1]].sum(), x, retain_graph=True)
        expected = (gradient[0] != 0).any(0).numpy()
        assert (dependency_set(graph, graph.outputs[0], [place]).mask == expected).all(), place


ENLARGED = [
    *({"scale_factor": scale} for scale in (1.2, 2, 2.3, 3.0, 4, 2.5, (2, 3), (2.0, 2.3), (1, 3))),
    *({"size": size} for size in ((6, 6), (6, 9), (7, 6), (3, 12))),
    {"scale_factor": 2.3, "recompute_scale_factor": True},
]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("given", ENLARGED, ids=str)
def test_places_behind_upsampling_are_those_of_gradients(given: dict[str, Any], mode: str, align_corners: bool) -> None:
    if align_corners and mode.startswith("nearest"):
        return
    more = {"align_corners": True} if align_corners else {}
    network = Enlarged({**given, "mode": mode, **more})
    for shape in ((1, 3, 3), (1, 1, 3)):
        if "size" in given and shape[1] == 1:
            continue
        is_known(network, shape)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 2, 3)])
@pytest.mark.parametrize("scale", [2, 2.3, 3, 4.1])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_upsampling_along_one_and_three_axes(mode: str, scale: float, shape: tuple[int, ...]) -> None:
    if mode == "linear" and len(shape) == 4:
        mode = "trilinear"
    assert is_known(Enlarged({"scale_factor": scale, "mode": mode}), shape) == (scale == int(scale))


class Enlarged(nn.Module):
    """Upsampling as torch's functional call has it."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, **self.given)


def is_known(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Holds the set of each place against its gradient; returns whether there are such sets."""
    graph = trace(network, shape)
    if graph.nodes[0].reason == "not by whole factors":
        return False
    x = torch.rand(1, *shape, dtype=torch.float64)
    answer, jacobian = network(x), torch.autograd.functional.jacobian(network, x)
    for place in itertools.product(*map(range, answer.shape[2:])):
        expected = (jacobian[(0, 0, *place)][0, 0] != 0).numpy()
        found = dependency_set(graph, graph.outputs[0], [place])
        assert (found.mask == expected).all(), place
        assert not found.is_bound
    return True


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear"])
@pytest.mark.parametrize("given", [{"scale_factor": 3}, {"scale_factor": (2.0, 4.0)}, {"size": (9, 6)}], ids=str)
def test_upsampling_by_whole_factors_is_known_exactly(given: dict[str, Any], mode: str) -> None:
    assert is_known(Enlarged({**given, "mode": mode}), (1, 3, 3))


def nodes(network: nn.Module, shape: tuple[int, ...]) -> list[Node]:
    return list(trace(network, shape).nodes)


class Written(nn.Module):
    """Joins two maps by writing them into an empty one."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 1)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.zeros(1, 4, *x.shape[2:])
        both[:, :2] = self.left(x)
        both[:, 2:] = self.right(x)
        flat = both.view(1, -1)
        flat.relu_()
        return self.last(both)


def test_what_is_written_in_place_is_not_lost() -> None:
    graph = trace(Written(), (1, 6, 6))
    makers = {name: node for node in graph.nodes for name in node.outputs}
    by_name = {node.name: node for node in graph.nodes}
    seen, todo = set(), ["last"]
    while todo:
        node = by_name[todo.pop()]
        seen.add(node.name)
        todo += [makers[name].name for name in node.inputs if name in makers]
    assert {"left", "right", "last"} <= seen


class Attending(nn.Module):
    """Torch's attention, called as torch's own layers call it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return self.layer(self.attention(tokens, tokens, tokens, need_weights=False)[0])


def test_attention_is_counted_as_what_it_is() -> None:
    report = count_network(trace(Attending(), (8, 3, 4)), "attention")
    attention = [layer for layer in report.layers if layer.kind == "attention"]
    assert sum(layer.multiply_adds for layer in attention) == 2 * (2 * 12 * 12 * 8)
    assert all(layer.weights is None for layer in attention)
    assert {node.reach for node in nodes(Attending(), (8, 3, 4)) if node.kind == "attention"} == {"all"}
    linear = {layer.name: layer.weights for layer in report.layers if layer.weights}
    assert sum(linear.values()) == 2 * 4 * 64 + 2 * 128
    assert {"attention.out_proj", "layer.self_attn.out_proj", "layer.linear1", "layer.linear2"} <= set(linear)
    assert report.totals.parameters == sum(parameter.numel() for parameter in Attending().parameters())
    assert report.totals.as_used == report.totals.parameters
    assert report.totals.not_analyzed == 0


class Looking(nn.Module):
    """Goes one of two ways, by what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.bright, self.dark = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.bright(x) if x.mean() > 0 else self.dark(x)


def test_a_network_that_looks_at_numbers_is_called_for_real_and_says_so() -> None:
    graph = trace(Looking(), (1, 8, 8))
    assert [node.name for node in graph.nodes if node.parameters] == ["bright"]
    assert [note.key for note in graph.notes] == ["network_called_for_real"]


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Dropout())

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError(f"on purpose, after {self.inner(x).shape}")


@pytest.mark.parametrize("build", [Failing, Looking])
def test_hooks_flags_and_random_numbers_are_as_before(build: Callable[[], nn.Module]) -> None:
    network = build()
    network.train()
    next(network.children()).eval()
    flags = [module.training for module in network.modules()]
    torch.manual_seed(3)
    before, fast = torch.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    with suppress(UsageError):
        trace(network, (1, 8, 8))
    assert [module.training for module in network.modules()] == flags
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert torch.ones(1).add(1).item() == 2


def huge() -> nn.Module:
    rates = [rate.item() for rate in torch.linspace(0, 0.1, 4)]
    features = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Dropout(rates[-1]), nn.Flatten())
    return nn.Sequential(features, nn.Linear(64 * 222 * 222, 8000))


def test_a_network_of_a_hundred_gigabytes_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        network, reason = build_without_numbers(huge)
        totals = count_network(trace(network, (3, 224, 224)), "huge").totals
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reason == ""
    assert totals.parameters * 4 > 100e9
    assert totals.connections == 64 * 222 * 222 * (27 + 8000)
    assert peak < 20e6


def test_code_that_cannot_be_built_without_numbers_is_built_with_them() -> None:
    def build() -> nn.Module:
        layer = nn.Linear(100, 100)
        assert layer.weight.std().item() > 0
        return layer

    network, reason = build_without_numbers(build)
    assert not next(network.parameters()).is_meta
    assert "meta" in reason


def test_functional_calls_are_named_by_their_module() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x) + x)

    assert [node.name for node in nodes(nn.Sequential(Block()), (2, 4, 4))] == ["0.conv", "0.add", "0.relu"]


def test_a_bad_input_is_told() -> None:
    with pytest.raises(UsageError, match="expected input"):
        trace(nn.Conv2d(3, 4, 3), (4, 8, 8))
    with pytest.raises(UsageError, match="input shape"):
        trace(nn.Conv2d(3, 4, 3), (3, 0, 8))


def test_the_graph_says_what_goes_in_and_out() -> None:
    graph: Graph = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)), (3, 8, 8))
    assert [graph.shapes[name] for name in (*graph.inputs, *graph.outputs)] == [(1, 3, 8, 8), (1, 2)]
    made = {name for node in graph.nodes for name in node.outputs}
    assert all(name in made or name in graph.inputs for node in graph.nodes for name in node.inputs)
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
