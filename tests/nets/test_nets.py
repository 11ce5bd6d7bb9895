"""Sizes and shapes of the networks, counted by hand, and the table of their names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets import NETWORKS, build_network


def num_parameters(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("side", [6, 8, 13, 28, 32, 64, 100, 128, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_takes_every_side(name: str, side: int, channels: int) -> None:
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
    moved = x.roll((16, 8), dims=(2, 3))
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
