"""Sizes and shapes of the networks, counted by hand, and the table of their names."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets import build_network, require_network


def num_parameters(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


@pytest.mark.parametrize("name", ["lesson", "plain"])
@pytest.mark.parametrize("side", [6, 8, 13, 28, 32, 64, 100, 128, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_our_own_networks_take_every_side(name: str, side: int, channels: int) -> None:
    network = build_network(name, in_channels=channels, num_classes=7, side=side).eval()
    with torch.inference_mode():
        x = torch.zeros(2, channels, side, side)
        assert network(x).shape == (2, 7)
        assert network.features(x).ndim == 2


def test_the_lesson_has_the_parameters_of_its_formula() -> None:
    # 64 x 64 x 3: three convolutions of 5 x 5, each followed by pooling: 64 -> 32 -> 16 -> 8.
    convolutions = (5 * 5 * 3 + 1) * 8 + (5 * 5 * 8 + 1) * 16 + (5 * 5 * 16 + 1) * 32
    fully_connected = (32 * 8 * 8 + 1) * 120 + (120 + 1) * 2
    assert (
        num_parameters(build_network("lesson", in_channels=3, num_classes=2, side=64)) == convolutions + fully_connected
    )


def test_on_a_ring_the_plain_networks_answer_stays_where_the_lessons_changes() -> None:
    """With circular borders, moving by the stride of the whole path only permutes what is averaged."""
    torch.manual_seed(0)
    x = torch.rand(2, 1, 64, 64)
    moved = x.roll((32, 16), dims=(2, 3))
    changes = {}
    for name in ("plain", "lesson"):
        network = build_network(name, in_channels=1, num_classes=3, side=64).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.padding_mode = "circular"
        with torch.inference_mode():
            changes[name] = float((network(x) - network(moved)).abs().max())
    assert changes["plain"] < 1e-5
    assert changes["lesson"] > 100 * changes["plain"]


def test_a_wrong_name_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no network called 'plane'. Did you mean 'plain'"):
        build_network("plane", in_channels=1, num_classes=2, side=8)


def test_the_users_own_network_gets_the_sizes_it_names(tmp_path, monkeypatch) -> None:
    (tmp_path / "own_net_for_test.py").write_text(
        "from torch import nn\n"
        "def make(num_classes, in_channels):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(4, num_classes))\n"
        "def wrong():\n    return 3\nnumber = 5\n"
    )
    monkeypatch.chdir(tmp_path)
    sizes = {"in_channels": 3, "num_classes": 5, "side": 16}
    network = build_network("own_net_for_test:make", **sizes)
    assert network(torch.zeros(1, 3, 16, 16)).shape == (1, 5)
    with pytest.raises(UsageError, match="returned int"):
        build_network("own_net_for_test:wrong", **sizes)
    with pytest.raises(UsageError, match="is a int"):
        build_network("own_net_for_test:number", **sizes)
    with pytest.raises(UsageError, match="has no 'missing'"):
        build_network("own_net_for_test:missing", **sizes)
    with pytest.raises(UsageError, match="cannot import"):
        build_network("no_such_module_here:make", **sizes)


OWN = """
import threading
import torch
from torch import nn
class Own(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.layer, self.answer = nn.LazyLinear(4), answer
    def forward(self, x):
        return self.answer(self.layer(x.flatten(1)))
class Views(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.layer, self.last = nn.Conv2d(in_channels, 3, 3), nn.Linear(3 * 36, 4)
    def forward(self, x):
        return self.last(self.layer(x).view(x.size(0), -1))
class Otherwise(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.norm, self.last, self.answer = nn.BatchNorm1d(64), nn.LazyLinear(4), answer
    def forward(self, x):
        x = self.last(self.norm(x.flatten(1)))
        return self.answer(x) if self.training else x
def views(in_channels): return Views(in_channels)
def two_answers(): return Otherwise(lambda x: (x, x))
def wide(): return Otherwise(lambda x: torch.cat([x, x], 1))
def failing_while_training(): return Otherwise(lambda x: x.view(7, 7))
def drops(): return Otherwise(lambda x: nn.functional.dropout(x))
def scripted(): return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)))
def locked():
    network = good()
    network.lock = threading.Lock()
    return network
def good(): return Own(lambda x: x)
def transposed(): return Own(lambda x: x.T)
def too_few(): return Own(lambda x: x[:, :3])
def a_pair(): return Own(lambda x: (x, x))
def failing(): return Own(lambda x: x.view(7, 7))
def frozen(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).requires_grad_(False)
def bare(): return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(4))
def late():
    import own_neighbor_for_test
    return good()
"""


@pytest.fixture
def own(tmp_path, monkeypatch) -> str:
    name = f"own_answers_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    (tmp_path / "own_neighbor_for_test.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("transposed", r"maps pictures of shape \(2, 1, 8, 8\) to \(4, 2\); expected logits of shape \(2, 4\)"),
        ("too_few", r"to \(2, 3\); expected logits of shape \(2, 4\)"),
        ("a_pair", r"to tuple; expected"),
        ("scripted", r"returned RecursiveScriptModule; expected a torch\.nn\.Module, not of TorchScript"),
        ("locked", r"cannot be copied by copy\.deepcopy.*TypeError.*lock"),
        (
            "two_answers",
            r"maps pictures of shape \(2, 1, 8, 8\) in training mode to tuple; expected logits of shape \(2, 4",
        ),
        ("wide", r"in training mode to \(2, 8\); expected .* auxiliary"),
        ("failing_while_training", r"fails on pictures of shape \(2, 1, 8, 8\) in training mode: RuntimeError"),
        (
            "frozen",
            r"has no number that learns: none of its 2 parameters has requires_grad\. .*by requires_grad_\(True\)",
        ),
        ("bare", r"has no number that learns: it has no parameters"),
        ("failing", r"fails on pictures of shape \(2, 1, 8, 8\): RuntimeError: .* Expected logits of shape \(2, 4\)"),
    ],
)
def test_an_own_network_with_a_wrong_answer_is_refused_before_it_is_trained(own: str, made: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_network(f"{own}:{made}", in_channels=1, num_classes=4, side=8)


def test_an_own_network_is_left_to_be_trained_and_the_search_path_as_it_was(own: str) -> None:
    before = list(sys.path)
    for made in ("good", "late"):
        network = build_network(f"{own}:{made}", in_channels=1, num_classes=4, side=8)
        assert network.training
        network(torch.ones(1, 1, 8, 8)).sum().backward()  # lazy layers too
    require_network(f"{own}:good")
    assert sys.path == before


def test_asking_an_own_network_leaves_its_statistics_and_the_random_numbers(own: str) -> None:
    torch.manual_seed(1)
    network = build_network(f"{own}:drops", in_channels=1, num_classes=4, side=8)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    nn.LazyLinear(4)(torch.zeros(2, 64))
    assert torch.equal(state, torch.get_rng_state())
    assert network.norm.num_batches_tracked == 0
    assert network.norm.running_var.tolist() == [1.0] * 64


@pytest.mark.parametrize("channels", [1, 3])
def test_an_own_network_is_given_rows_one_after_the_other_however_the_batch_lies(own: str, channels: int) -> None:
    """As nearly every tutorial flattens: x.view(x.size(0), -1)."""
    network = build_network(f"{own}:views", in_channels=channels, num_classes=4, side=8)
    batch = torch.rand(5, 8, 8, channels).permute(0, 3, 1, 2)
    assert set(network.state_dict()) == {
        f"{layer}.{kind}" for layer in ("layer", "last") for kind in ("weight", "bias")
    }
    copied = copy.deepcopy(network)
    assert torch.equal(network(batch), copied(batch))
    copied(batch).sum().backward()


def test_a_name_is_checked_without_building() -> None:
    require_network("lesson")
    with pytest.raises(UsageError, match="Did you mean 'plain'"):
        require_network("plane")
    with pytest.raises(UsageError, match="cannot import"):
        require_network("no_such_module_here:make")
