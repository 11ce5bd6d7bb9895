"""What repairs compute where a map goes around, was padded, or is given by functions: sums over rolled maps."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.measures.repairs import CircularPadding, DenseSampling, MeanHead, Repaired
from whyconv.measures.surgery import surgery

SIDE = 12
RINGS = [
    (kernel, stride, padding)
    for kernel, stride in itertools.product(range(2, 9), (2, 3))
    for padding in range(kernel)
    if (SIDE + 2 * padding - kernel) // stride >= 1
]


def pictures(n: int = 4, side: int = SIDE, channels: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def on_the_ring(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """The convolution at every place of the ring, one tap after the other."""
    (kernel, _), (padding, _), dilation = layer.kernel_size, layer.padding, layer.dilation[0]
    taps = itertools.product(range(kernel), range(kernel))
    moved = [
        torch.einsum(
            "oc,nchw->nohw",
            layer.weight[:, :, down, right],
            torch.roll(x, (padding - down * dilation, padding - right * dilation), dims=(2, 3)),
        )
        for down, right in taps
    ]
    return (torch.stack(moved).sum(dim=0) + layer.bias[:, None, None]).detach()


def strongest(dense: Tensor, stride: int) -> Tensor:
    """Of each picture the phase with the greatest norm."""
    found = []
    for one in dense:
        phases = [one[:, down::stride, right::stride] for down, right in itertools.product(range(stride), repeat=2)]
        found.append(max(phases, key=lambda phase: float(phase.norm())))
    return torch.stack(found)


def tools(mode: str, *, is_polyphase: bool = True) -> list:
    sampling = DenseSampling("circular", {}, is_polyphase=is_polyphase)
    return [sampling] if mode == "circular" else [sampling, CircularPadding()]


@pytest.mark.parametrize(("kernel", "stride", "padding"), RINGS)
@pytest.mark.parametrize("mode", ["circular", "zeros"])
def test_the_next_place_of_a_padded_map_is_the_next_one_of_the_ring(
    kernel: int, stride: int, padding: int, mode: str
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, kernel, stride, padding, padding_mode=mode).double()
    x = pictures()
    repaired = Repaired(layer, tools(mode))(x)
    around = torch.arange(repaired.shape[2] * stride) % SIDE
    expected = strongest(on_the_ring(x, layer)[:, :, around][:, :, :, around], stride)
    assert torch.allclose(repaired, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [each for each in RINGS if (SIDE + 2 * each[2] - each[0]) // each[1] + 1 == SIDE // each[1]],
)
@pytest.mark.parametrize("mode", ["circular", "zeros"])
def test_what_goes_once_around_is_exactly_invariant(kernel: int, stride: int, padding: int, mode: str) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, kernel, stride, padding, padding_mode=mode).double()
    layers = [layer, nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1, padding_mode=mode).double()]
    network = Repaired(nn.Sequential(*layers), tools(mode))
    x = pictures()
    before = network(x)
    for shift in ((1, 0), (0, 1), (1, 2), (5, 7)):
        after = network(torch.roll(x, shift, dims=(2, 3)))
        assert torch.allclose(after.mean(dim=(2, 3)), before.mean(dim=(2, 3)), atol=1e-12)


@pytest.mark.parametrize("between", [nn.Identity(), nn.Tanh(), nn.BatchNorm2d(2).double()])
def test_a_ring_is_known_again_behind_what_looks_at_single_places(between: nn.Module) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 4, 2, 1).double()
    network = nn.Sequential(nn.CircularPad2d(1), between, nn.Conv2d(2, 3, 4, 2).double()).eval()
    network[2].load_state_dict(layer.state_dict())
    x = pictures()
    expected = strongest(on_the_ring(between.eval()(x), layer), 2)
    assert torch.allclose(Repaired(network, tools("circular"))(x), expected, atol=1e-12)


def test_a_map_smaller_than_what_is_added_goes_around_more_than_once() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 2, 3, 2, padding_mode="circular").double()
    x = pictures(side=2)
    dense = on_the_ring(x, layer)
    around = torch.arange(6) % 2
    expected = strongest(dense[:, :, around][:, :, :, around], 3)
    assert torch.allclose(Repaired(layer, tools("circular"))(x), expected, atol=1e-12)


def test_smoothing_goes_around_the_same_ring() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 6, 2, 2, padding_mode="circular").double()
    x = pictures()
    repaired = Repaired(layer, tools("circular", is_polyphase=False))(x)
    row = torch.tensor([1.0, 2.0, 1.0], dtype=torch.double) / 4
    weights = torch.outer(row, row).expand(3, 1, 3, 3)
    padded = functional.pad(on_the_ring(x, layer), (1, 1, 1, 1), mode="circular")
    expected = functional.conv2d(padded, weights, groups=3)[:, :, ::2, ::2]
    assert torch.allclose(repaired, expected, atol=1e-7)


@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (4, 1), (5, 2), (6, 2)])
@pytest.mark.parametrize(("mode", "repair"), [("circular", "polyphase"), ("zeros", "all")])
def test_all_answers_are_kept_by_what_the_repair_makes_invariant(
    kernel: int, padding: int, mode: str, repair: str
) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 6, kernel, 2, padding, padding_mode=mode), nn.ReLU()]
    layers += [nn.Conv2d(6, 6, 3, padding=1, padding_mode=mode), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.BatchNorm1d(6), nn.Linear(6, 5))
    x = pictures(60, 8).float()
    for _ in range(30):
        network(x)
    found = surgery(network, x, [0, 1, 2, 3, 4] * 12, ["circular"], reach=3, repairs=[repair])
    assert found.before[0].consistency.value < 1
    assert found.repairs[0].scores[0].consistency.value == 1.0


class ByFunctions(nn.Module):
    """The same as a network of modules, every argument that has a default left out."""

    def __init__(self, modules: nn.Sequential) -> None:
        super().__init__()
        self.layers = modules

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.layers[0], self.layers[3]
        x = functional.max_pool2d(functional.conv2d(x, first.weight).relu(), 2)
        x = functional.conv2d(x, second.weight, second.bias, stride=2)
        return functional.avg_pool2d(x, 2)


@pytest.mark.parametrize(
    "made",
    [
        lambda: [DenseSampling("circular", {}, is_polyphase=True)],
        lambda: [DenseSampling("reflect", {}, is_polyphase=False)],
        lambda: tools("zeros"),
    ],
)
def test_a_network_of_functions_is_repaired_as_the_same_of_modules_is(made) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 3, 2, 2), nn.AvgPool2d(2)]
    modules = nn.Sequential(*layers).double()
    x = pictures(side=20)
    assert torch.equal(ByFunctions(modules)(x), modules(x))
    assert torch.equal(Repaired(ByFunctions(modules), made())(x), Repaired(modules, made())(x))


@pytest.mark.parametrize("repair", ["circular_padding", "blur", "polyphase", "head", "all"])
def test_every_repair_has_the_same_scores_for_functions_and_modules(repair: str) -> None:
    torch.manual_seed(0)
    convolution, head = nn.Conv2d(2, 6, 3, bias=False), nn.Linear(6 * 16, 3)
    modules = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), head)

    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.head = convolution.weight, head

        def forward(self, x: Tensor) -> Tensor:
            return self.head(functional.max_pool2d(functional.conv2d(x, self.weight).relu(), 2).flatten(1))

    x, labels = pictures(12, 10).float(), [0, 1, 2] * 4
    first, second = (
        surgery(one, x, labels, ["circular"], reach=2, repairs=[repair]).repairs[0] for one in (modules, Functions())
    )
    assert first.scores == second.scores
    assert len(first.repaired) == len(second.repaired)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 1), (3, 3, 1), (3, 2, 1), (4, 3, 2), (2, 3, 1), (2, 2, (1, 0))]
)
@pytest.mark.parametrize("side", [15, 16, 17])
@pytest.mark.parametrize("border", ["circular", "reflect"])
def test_a_phase_in_the_filler_alone_has_the_last_pixels(
    kernel: int, stride: int, padding: int | tuple[int, int], side: int, border: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr("whyconv.measures.repairs.polyphase", lambda x, _: seen.append(x) or x)
    x = pictures(2, side)
    Repaired(nn.MaxPool2d(kernel, stride, padding), [DenseSampling(border, {}, is_polyphase=True)])(x)
    dense = seen[0]

    def pixels(place: int, pad: int) -> list[int]:
        window = range(place - pad, place - pad + kernel)
        if not pad:  # unpadded maps go on around, or with their last pixel
            return [each % side if border == "circular" else min(each, side - 1) for each in window]
        return [each for each in window if 0 <= each < side] or [side - 1]

    pads = padding if isinstance(padding, tuple) else (padding, padding)
    for down, right in itertools.product(range(dense.shape[2]), range(dense.shape[3])):
        window = x[:, :, pixels(down, pads[0])][:, :, :, pixels(right, pads[1])]
        assert torch.equal(dense[:, :, down, right], window.amax(dim=(2, 3)))


def test_a_repair_that_makes_answers_infinite_is_told_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.measures.repairs.polyphase", lambda x, _: x[:, :, ::2, ::2] * torch.inf)
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3, padding=1), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)]
    found = surgery(nn.Sequential(*layers), pictures(6).float(), [0, 1, 2] * 2, ["circular", "zero"], reach=1)
    by_name = {one.name: one for one in found.repairs}
    for name, reached in (("polyphase", ["1"]), ("all", ["0", "1"])):
        one = by_name[name]
        assert (one.repaired, one.scores) == ([], [])
        assert [(each.layer, each.reason) for each in one.left] == [(layer, "not_finite") for layer in reached]
    for name in ("circular_padding", "blur"):
        assert [each.kind for each in by_name[name].scores] == ["circular", "zero"]


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 3)])
def test_a_padded_maximum_ends_no_repair(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(kernel, stride, 1), nn.AdaptiveAvgPool2d(1)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 3))
    found = surgery(network, pictures(6, 16).float(), [0, 1, 2] * 2, ["zero"], reach=2)
    assert [one.name for one in found.repairs if one.scores] == ["circular_padding", "blur", "polyphase", "all"]
    assert all(each.reason != "not_finite" for one in found.repairs for each in one.left)


@pytest.mark.parametrize(
    "flat",
    [
        lambda x: torch.flatten(input=x, start_dim=1),
        lambda x: torch.flatten(x, start_dim=1),
        lambda x: torch.reshape(input=x, shape=(len(x), -1)),
        lambda x: x.view(len(x), -1),
    ],
)
def test_a_map_is_flattened_as_its_mean_however_it_is_called(flat: Callable[[Tensor], Tensor]) -> None:
    class Flattening(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return flat(torch.tanh(x))

    head = MeanHead()
    x = pictures()
    expected = torch.tanh(x).mean(dim=(2, 3)).repeat_interleave(SIDE * SIDE, dim=1)
    assert torch.allclose(Repaired(Flattening(), [head])(x), expected, atol=1e-12)
    assert len(head.done) == 1
