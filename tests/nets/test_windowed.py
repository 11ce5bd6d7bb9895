"""Answers through windows of a picture: which pixels are seen, that nothing is filled in, and what a mean forgives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets import BlurPool2d, Committee, MaxBlurPool2d, Windowed, build_network
from whyconv.nets.windowed import drawn_windows, window_for, without_windows
from whyconv.results.windows import window_places


class Sum(nn.Module):
    """Logits from which one can tell which pixels were seen: their sum, and how many there are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.sum(dim=(1, 2, 3)), torch.full((len(x),), float(x[0].numel()))], dim=1)


def test_windows_leave_out_an_eighth_and_an_even_number_of_pixels() -> None:
    assert {side: window_for(side) for side in (8, 16, 28, 32, 64, 128)} == {
        **{8: 6, 16: 14, 28: 24, 32: 28},
        **{64: 56, 128: 112},
    }
    assert all((side - window_for(side)) % 2 == 0 for side in range(8, 200))
    with pytest.raises(UsageError, match="7 x 7 pixels are too small"):
        window_for(7)


def test_windows_begin_at_the_border_in_the_middle_and_end_at_the_other_border() -> None:
    assert window_places(32, 28) == [0, 2, 4]
    assert window_places(8, 6) == [0, 1, 2]
    assert window_places(9, 8) == [0, 1]
    assert window_places(8, 8) == [0]


def test_the_answer_is_the_mean_over_nine_squares_of_real_pixels() -> None:
    draw = np.random.default_rng(0)
    pixels = draw.normal(size=(3, 2, 12, 12)).astype(np.float32)
    network = Windowed(Sum(), side=12, window=8).eval()
    expected = np.zeros(3)
    for top in (0, 2, 4):
        for left in (0, 2, 4):
            expected += pixels[:, :, top : top + 8, left : left + 8].sum(axis=(1, 2, 3)) / 9
    found = network(torch.from_numpy(pixels)).numpy()
    assert network.num_windows == 9
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5, atol=1e-5)
    # Nothing is filled in: every window has 8 x 8 pixels of two channels.
    np.testing.assert_array_equal(found[:, 1], 128)


def test_training_sees_one_window_at_every_whole_pixel_in_turn() -> None:
    picture = torch.arange(36.0).view(1, 1, 6, 6)
    torch.manual_seed(0)
    seen = drawn_windows(picture.expand(2000, 1, 6, 6), 4)
    corners, counts = seen[:, 0, 0, 0].unique(return_counts=True)
    assert corners.tolist() == [0, 1, 2, 6, 7, 8, 12, 13, 14]
    # Each of nine places is drawn 2000 / 9 times, give or take five deviations.
    assert (counts - 2000 / 9).abs().max() < 5 * (2000 * 8 / 81) ** 0.5
    assert torch.equal(seen - seen[:, :, :1, :1], (picture[:, :, :4, :4] - picture[:, :, :1, :1]).expand_as(seen))
    network = Windowed(Sum(), side=6, window=4).train()
    assert network(picture)[0, 1] == 16


def test_the_same_numbers_are_drawn_after_the_same_seed() -> None:
    picture = torch.rand(5, 1, 9, 9)
    torch.manual_seed(3)
    first = drawn_windows(picture, 7)
    torch.manual_seed(3)
    assert torch.equal(first, drawn_windows(picture, 7))


def test_windows_of_smaller_pictures_are_as_much_smaller() -> None:
    network = Windowed(Sum(), side=32, window=28).eval()
    assert network(torch.zeros(1, 1, 24, 24))[0, 1] == 21**2
    assert network.train()(torch.zeros(1, 1, 24, 24))[0, 1] == 21**2


def test_a_move_by_the_step_between_windows_keeps_six_of_nine() -> None:
    """What one window alone sees changes wholly; the mean changes by what came in and went out, a third of it."""
    scene = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 1, 14, 12)).astype(np.float32))
    network = Windowed(Sum(), side=12, window=8).eval()
    before, after = (scene[:, :, start : start + 12] for start in (0, 2))
    rows = [[scene[0, 0, top : top + 8, left : left + 8].sum() for left in (0, 2, 4)] for top in (0, 2, 4, 6)]
    expected = (sum(rows[3]) - sum(rows[0])) / 9
    assert torch.isclose(network(after)[0, 0] - network(before)[0, 0], torch.as_tensor(expected), atol=1e-4)


def test_a_window_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="window of 9 pixels is no part of pictures of 8"):
        Windowed(Sum(), side=8, window=9)


@pytest.mark.parametrize("name", ["swift", "plain", "lesson", "lenet5"])
def test_networks_of_the_catalogue_are_built_for_their_windows(name: str) -> None:
    network = build_network(name, in_channels=1, num_classes=3, side=32, window=28)
    assert isinstance(network, Windowed)
    assert network.eval()(torch.zeros(2, 1, 32, 32)).shape == (2, 3)
    assert network.train()(torch.zeros(4, 1, 32, 32)).shape == (4, 3)
    alone = build_network(name, in_channels=1, num_classes=3, side=28)
    shapes = {key: value.shape for key, value in alone.state_dict().items()}
    assert {key: value.shape for key, value in without_windows(network).state_dict().items()} == shapes
    assert without_windows(alone) is alone


def test_a_committee_looks_through_windows_too() -> None:
    network = build_network("swift", in_channels=1, num_classes=3, side=16, members=2, window=14)
    assert isinstance(without_windows(network), Committee)
    assert network.train()(torch.zeros(4, 1, 16, 16)).shape == (4, 2, 3)
    assert network.eval()(torch.zeros(4, 1, 16, 16)).shape == (4, 3)


def test_max_blur_pooling_is_the_largest_around_and_then_a_blur() -> None:
    x = torch.from_numpy(np.random.default_rng(4).normal(size=(2, 3, 7, 6)))
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1), value=-np.inf)
    largest = torch.stack([padded[:, :, i : i + 7, j : j + 6] for i in (0, 1) for j in (0, 1)]).amax(dim=0)
    expected = BlurPool2d(3, 2, "reflect")(largest)
    assert torch.equal(MaxBlurPool2d()(x), expected)
    assert expected.shape == (2, 3, 4, 3)


def test_a_blur_of_16_bit_numbers_is_that_of_32_rounded() -> None:
    x = torch.randn(2, 3, 8, 8).bfloat16()
    found = BlurPool2d(3)(x)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, BlurPool2d(3)(x.float()).bfloat16())


def test_smooth_pooling_has_the_same_weights_and_another_answer() -> None:
    torch.manual_seed(0)
    usual = build_network("swift", in_channels=3, num_classes=4, side=28)
    smooth = build_network("swift", in_channels=3, num_classes=4, side=28, pooling="smooth")
    smooth.load_state_dict(usual.state_dict())
    x = torch.randn(2, 3, 28, 28)
    assert not torch.allclose(usual.eval()(x), smooth.eval()(x))
