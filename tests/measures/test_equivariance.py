"""Blame: errors against loops over places, and networks into which one cause was planted."""

from __future__ import annotations

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.measures.equivariance import equivariance
from whyconv.measures.listening import listen
from whyconv.measures.moved_maps import moved
from whyconv.measures.trace import trace_made
from whyconv.results.equivariance import CAUSES, Equivariance

NOTHING = 1e-5


def pictures(n: int = 10, side: int = 16, channels: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def body(mode: str = "circular", *, is_pooled: bool = False) -> list[nn.Module]:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels in (1, 4):
        layers += [nn.Conv2d(channels, 4, 3, padding=1, padding_mode=mode), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if is_pooled else []
    return layers


def averaging(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def added(found: Equivariance) -> dict[str, float]:
    return {one.cause: one.error.value for one in found.causes if one.error is not None}


def layer(found: Equivariance, name: str):
    return next(one for one in found.layers if one.name == name)


def test_convolutions_on_a_ring_under_a_mean_have_no_error_at_all() -> None:
    found = equivariance(averaging(*body()), pictures(), "circular")
    assert [one.name for one in found.layers] == ["0", "1", "2", "3"]
    for one in found.layers:
        assert max(each.high for each in (one.at_jump, one.within, one.whole, one.whole_at_jump)) < NOTHING
        assert one.num_inside == 256
        assert one.brings == []
    assert found.logits.high < NOTHING
    assert all(abs(each) < NOTHING for each in added(found).values())


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("kind", ["circular", "crop"])
def test_padding_is_blamed_on_the_border_alone(mode: str, kind: str) -> None:
    found = equivariance(averaging(*body(mode)), pictures(side=16 if kind == "circular" else 20), kind, reach=2)
    last = layer(found, "3")
    assert last.at_jump.high < NOTHING
    assert last.within.high < NOTHING
    assert last.whole.low > 0.1
    border = found.cause("border")
    assert border.layers == ["0", "2"]
    assert border.error.value == pytest.approx(last.whole.value, abs=NOTHING)
    assert border.alone == last.whole_at_jump
    assert abs(added(found)["stride"]) < NOTHING
    assert found.cause("head").alone.high < NOTHING
    assert found.told_by == "inside"


def test_windows_that_are_never_padded_have_no_border_where_real_pixels_come_in() -> None:
    valid = averaging(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    assert layer(equivariance(valid, pictures(side=20), "crop", reach=2), "2").whole.high < NOTHING
    # On a ring they leave places out: a border after all.
    found = equivariance(valid, pictures(), "circular")
    assert layer(found, "2").whole.low > 0.1
    assert found.cause("border").layers == ["0", "2"]


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        ([nn.MaxPool2d(2)], "2"),
        ([nn.AvgPool2d(2)], "2"),
        ([nn.Conv2d(4, 4, 3, stride=2, padding=1, padding_mode="circular")], "2"),
    ],
)
def test_pooling_and_stride_are_blamed_on_sampling_and_named(sampling: list[nn.Module], name: str) -> None:
    found = equivariance(averaging(*body()[:2], *sampling), pictures(), "circular")
    pooled = layer(found, name)
    assert pooled.jump == (2, 2)
    assert pooled.at_jump.high < NOTHING < 0.1 < pooled.within.low
    assert pooled.whole.value == pytest.approx(pooled.within.value, abs=NOTHING)
    assert layer(found, "1").whole.high < NOTHING
    stride = found.cause("stride")
    assert stride.layers == [name]
    assert stride.error.value == pytest.approx(pooled.within.value, abs=NOTHING)
    assert abs(added(found)["border"]) < NOTHING


def test_flattening_is_blamed_on_the_head_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*body(), nn.Flatten(), nn.Linear(4 * 256, 3))
    found = equivariance(network, pictures(), "circular")
    head = found.cause("head")
    assert head.layers == ["4"]
    assert head.error.low > 0.3
    assert head.error.value == pytest.approx(found.logits.value, abs=NOTHING)
    # Moving the last map by a place is, here, what moving the picture by a pixel does.
    assert head.alone.value == pytest.approx(found.logits.value, rel=1e-4)
    assert all(abs(added(found)[cause]) < NOTHING for cause in CAUSES if cause != "head")


def test_the_head_alone_is_the_head_on_a_moved_map() -> None:
    torch.manual_seed(0)
    trunk, head = nn.Sequential(*body("zeros", is_pooled=True)), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    x = pictures()
    found = equivariance(nn.Sequential(trunk, head), x, "circular")
    with torch.no_grad():
        maps = trunk(x)
        logits = head(maps)
        spread = (logits - logits.mean(dim=0)).square().mean().sqrt()
        moves = [head(torch.roll(maps, 1, dims=axis)) - logits for axis in (2, 3)]
        by_hand = np.mean([(move.square().mean(dim=1).sqrt() / spread).mean() for move in moves])
    assert found.cause("head").alone.value == pytest.approx(float(by_hand), rel=1e-5)


class AddsPositions(nn.Module):
    """What is learned for each place is added to the map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Sequential(*body()[:2]), nn.Conv2d(4, 4, 1)
        self.positions = nn.Parameter(torch.randn(1, 4, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.last(self.first(x) + self.positions)).mean(dim=(2, 3))


def test_an_operation_that_depends_on_the_place_is_named_once_where_it_comes_in() -> None:
    for kind, side in (("circular", 16), ("crop", 20)):
        found = equivariance(AddsPositions(), pictures(side=side), kind, reach=2)
        place = found.cause("place")
        assert place.error.low > 0.1
        assert len(place.layers) == 1
        named = layer(found, place.layers[0])
        assert named.at_jump.low > 0.1
        before = [one for one in found.layers if one.at_jump.high < NOTHING]
        assert [one.name for one in before] == ["first.0", "first.1"]
        assert found.layers[2].name == named.name


def test_an_odd_size_is_blamed_where_nothing_is_padded_otherwise() -> None:
    found = equivariance(averaging(*body(is_pooled=True)), pictures(side=18), "circular")
    assert layer(found, "2").whole_at_jump.high < NOTHING
    assert layer(found, "5").whole_at_jump.low > 0.1
    odd = found.cause("odd_size")
    assert odd.layers == ["5"]
    assert odd.alone == layer(found, "5").whole_at_jump
    assert found.cause("border").error.value == 0.0
    even = equivariance(averaging(*body(is_pooled=True)), pictures(side=16), "circular")
    assert even.cause("odd_size").layers == []
    assert layer(even, "5").whole_at_jump.high < NOTHING


def test_the_shares_of_all_causes_add_up_to_the_error_of_the_logits() -> None:
    network = averaging(*body("zeros", is_pooled=True))
    found = equivariance(network, pictures(side=20), "circular")
    assert found.told_by == "inside"
    assert sum(added(found).values()) == pytest.approx(found.logits.value)
    # Where pixels come in, up to the last map.
    found = equivariance(network, pictures(side=28), "crop", reach=4)
    assert found.told_by == "inside"
    assert sum(added(found).values()) == pytest.approx(layer(found, "5").whole.value)


def test_without_a_place_inside_sampling_and_border_are_not_told_apart_and_the_border_stands_alone() -> None:
    found = equivariance(averaging(*body("zeros", is_pooled=True)), pictures(side=12), "circular")
    last = layer(found, "5")
    assert last.field == (10, 10)
    assert last.at_jump is None
    assert last.reason == "field"
    assert found.told_by == "whole"
    assert found.cause("place").error is found.cause("stride").error is found.cause("border").error is None
    assert found.cause("border").alone == last.whole_at_jump
    assert found.cause("stride").alone is None
    head = found.cause("head").error
    assert head.value == pytest.approx(found.logits.value - last.whole.value)
    # With less room than a jump, not even that.
    found = equivariance(averaging(*body("zeros", is_pooled=True)), pictures(side=14), "crop", reach=1)
    assert (layer(found, "5").reason, found.told_by) == ("reach", "")


def errors_by_hand(  # noqa: C901 - plain loops are the point
    network: nn.Module, x: Tensor, reach: int, field: tuple[int, int], jump: int, t: int
):
    """Place by place: the error inside and of the whole map, of pictures with room around."""
    side = x.shape[2] - 2 * reach
    start, size = field

    def view(down: int, right: int) -> Tensor:
        top, left = reach - down, reach - right
        with torch.no_grad():
            return network(x[:, :, top : top + side, left : left + side])

    unmoved = view(0, 0)
    mean = unmoved.mean(dim=(0, 2, 3), keepdim=True)
    spread = float((unmoved - mean).square().mean().sqrt())
    n, places = unmoved.shape[2], range(unmoved.shape[2])

    def is_seen(place: int) -> bool:
        return start + place * jump >= 0 and start + place * jump + size <= side

    found = {True: [], False: []}
    for axis, shift in ((0, (t, 0)), (1, (0, t))):
        after = view(*shift)
        squares: dict[bool, list[Tensor]] = {True: [], False: []}
        for row in places:
            for column in places:
                at = [row, column]
                exact = at[axis] - t / jump
                near = sorted({math.floor(exact), math.ceil(exact)})
                if near[0] < 0 or near[-1] >= n:
                    continue
                expected = 0
                for one in near:
                    there = [one if each == axis else at[each] for each in (0, 1)]
                    part = 1 - abs(exact - one)
                    expected = expected + part * unmoved[:, :, there[0], there[1]]
                square = (after[:, :, row, column] - expected).square().mean(dim=1)
                squares[False].append(square)
                if all(map(is_seen, [*at, *near])):
                    squares[True].append(square)
        for is_inside, several in squares.items():
            found[is_inside].append(torch.stack(several).mean(dim=0).sqrt() / spread)
    return {is_inside: float(torch.stack(several).mean()) for is_inside, several in found.items()}


def test_errors_are_those_of_loops_over_pictures_and_places() -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.AvgPool2d(2, 2)
    )
    x = pictures(6, 28)
    found = equivariance(averaging(*trunk), x, "crop", reach=4)
    # Fields by hand: 3x3, then 3x3 with stride 2 (5 pixels from -2 on), then 2x2 of these (7 pixels, every 4th).
    for depth, field, jump in ((1, (-1, 3), 1), (3, (-2, 5), 2), (4, (-2, 7), 4)):
        one = layer(found, str(depth - 1))
        assert (one.jump, one.field) == ((jump, jump), (field[1],) * 2)
        by_pixel = errors_by_hand(trunk[:depth], x, 4, field, jump, 1)
        by_jump = errors_by_hand(trunk[:depth], x, 4, field, jump, jump)
        assert one.within.value == pytest.approx(by_pixel[True], abs=1e-6)
        assert one.whole.value == pytest.approx(by_pixel[False], abs=1e-6)
        assert one.whole_at_jump.value == pytest.approx(by_jump[False], abs=1e-6)
        assert by_jump[True] < NOTHING
        assert one.at_jump.value == pytest.approx(by_jump[True], abs=1e-6)


def test_a_place_too_many_inside_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = sys.modules["whyconv.measures.moved_maps"].MovedMap
    right = maps._inside
    monkeypatch.setattr(maps, "_inside", lambda *given: (max(0, right(*given)[0] - 1), right(*given)[1]))
    found = equivariance(averaging(*body("zeros")), pictures(side=20), "crop", reach=2)
    assert layer(found, "3").at_jump.value > 0.01


def test_fourier_finds_no_sampling_error_where_a_map_samples_finely_enough() -> None:
    class Smooth(nn.Module):
        """Keeps frequencies below half of what every second place can hold."""

        def forward(self, x: Tensor) -> Tensor:
            spectrum = torch.fft.fft2(x)
            keep = (torch.fft.fftfreq(x.shape[2]).abs() < 0.25).float()
            low = torch.fft.ifft2(spectrum * keep[:, None] * keep).real
            return low[:, :, ::2, ::2]

    x = pictures().double()
    after = Smooth()(torch.roll(x, 1, dims=2))
    half = (Fraction(1, 2), Fraction(0))
    assert torch.allclose(moved(Smooth()(x), half, "fourier"), after, atol=1e-12)
    assert (moved(Smooth()(x), half, "linear") - after).abs().max() > 0.01
    pooled = averaging(*body()[:2], nn.AvgPool2d(2))
    by_fourier = layer(equivariance(pooled, pictures(), "circular", resampling="fourier"), "2")
    assert by_fourier.at_jump.high < NOTHING < by_fourier.within.low


def test_maps_move_by_whole_places_and_by_parts() -> None:
    x = pictures(2, 5).double()
    assert torch.equal(moved(x, (Fraction(2), Fraction(1)), "linear"), torch.roll(x, (2, 1), dims=(2, 3)))
    third = moved(x, (Fraction(0), Fraction(1, 3)), "linear")
    assert torch.allclose(third, 2 / 3 * x + 1 / 3 * torch.roll(x, 1, dims=3))


class Functional(nn.Module):
    """Everything by functions, in place, with a branch that is put back to size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight, self.head = nn.Parameter(torch.randn(4, 1, 3, 3)), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="circular"), self.weight)
        small = functional.max_pool2d(x, 2).relu_()
        return self.head((x + functional.interpolate(small, scale_factor=2)).amax(dim=(2, 3)))


def test_functions_branches_and_upsampling_are_followed() -> None:
    found = equivariance(Functional(), pictures(), "circular")
    assert found.not_analyzed == {}
    upsampled = found.layers[-1]
    # Every pixel has its place again, and still only shifts by two pixels move all by whole places.
    assert (upsampled.jump, upsampled.period) == ((1, 1), (2, 2))
    assert upsampled.whole_at_jump.high < NOTHING < 0.1 < upsampled.whole.low
    assert found.cause("stride").layers == [next(one.name for one in found.layers if "pool" in one.name)]


def test_values_are_heard_as_they_are_made_and_what_is_written_goes_on() -> None:
    network = Functional()
    _, made = trace_made(network, (1, 16, 16))
    heard: dict[str, Tensor] = {}
    x = pictures(3)
    answer = listen(network, x, made, lambda name, value: heard.update({name: value.clone()}))
    assert torch.equal(answer, network(x).detach())
    first = functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="circular"), network.weight)
    assert any(torch.equal(value, first) for value in heard.values() if value.shape == first.shape)
    wiped = listen(network, x, made, lambda _, value: value.zero_() if value.ndim == 4 else None)
    assert torch.allclose(wiped, network.head.bias.detach().expand(3, 3))


def test_numbers_do_not_depend_on_how_pictures_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    network = averaging(*body("zeros", is_pooled=True))
    whole = equivariance(network, pictures(11), "circular")
    monkeypatch.setattr(sys.modules["whyconv.measures.equivariance"], "_MOST_NUMBERS", 256 * 10 * 3)
    parts = equivariance(network, pictures(11), "circular")
    for one, other in zip(whole.layers, parts.layers, strict=True):
        assert one.whole.value == pytest.approx(other.whole.value, rel=1e-5)
        assert one.whole.high == pytest.approx(other.whole.high, rel=1e-5)
    assert whole.logits.value == pytest.approx(parts.logits.value, rel=1e-5)
    assert whole.protocol.n == whole.logits.n == 11


def test_a_network_without_maps_is_all_head() -> None:
    torch.manual_seed(0)
    found = equivariance(nn.Sequential(nn.Flatten(), nn.Linear(256, 3)), pictures(), "circular")
    assert (found.layers, found.last_map) == ([], "")
    assert found.cause("head").error == found.logits
    assert found.cause("head").alone is None


def test_a_number_for_the_whole_picture_leaves_no_place_inside() -> None:
    class Squeezing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(*body("zeros")[:2])

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return (x * x.mean(dim=(2, 3), keepdim=True).sigmoid()).amax(dim=(2, 3))

    last = equivariance(Squeezing(), pictures(), "circular").layers[-1]
    assert (last.reason, last.at_jump, last.within, last.num_inside) == ("summary", None, None, 0)
    assert last.whole.low > 0


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    before = {key: each.clone() for key, each in network.state_dict().items()}
    equivariance(network, pictures(), "circular")
    assert all(module.training for module in network.modules())
    assert all(torch.equal(each, before[key]) for key, each in network.state_dict().items())
