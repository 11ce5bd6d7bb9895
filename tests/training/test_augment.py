"""Order and variation depend on seed, epoch and picture alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from varied_pictures import vary_by
from whyconv.settings import AugmentPlan, steps_per_epoch
from whyconv.training.augment import epoch_batches, epoch_draws, epoch_order, variation_of, vary
from whyconv.training.step import at_side

STILL = AugmentPlan(flip=False, shift_fraction=0, min_area=1, max_aspect=1, max_degrees=0, color=0)
WILD = AugmentPlan(flip=True, shift_fraction=0.1, min_area=0.6, max_aspect=1.25, max_degrees=10, color=0.2)


def pictures(n: int, side: int = 12, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (n, channels, side, side)).astype(np.float32))


@given(st.integers(2, 300), st.integers(2, 100))
@settings(max_examples=50, deadline=None)
def test_batches_cover_the_order_once_and_differ_by_at_most_one(n: int, batch: int) -> None:
    batches = epoch_batches(epoch_order(3, 1, n), batch)
    assert sorted(np.concatenate(batches)) == list(range(n))
    sizes = {len(each) for each in batches}
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 2 * batch


@given(st.integers(2, 60), st.integers(2, 5))
def test_no_batch_is_a_single_picture_and_the_plan_knows_their_number(n: int, batch: int) -> None:
    batches = epoch_batches(epoch_order(3, 1, n), batch)
    assert min(len(each) for each in batches) >= 2
    assert len(batches) == steps_per_epoch(n, batch)


def test_another_seed_or_epoch_gives_another_order() -> None:
    orders = {tuple(epoch_order(seed, epoch, 50)) for seed in (0, 1) for epoch in (1, 2)}
    assert len(orders) == 4
    assert np.array_equal(epoch_draws(5, 7, 40), epoch_draws(5, 7, 40))


def test_a_picture_is_varied_alike_in_any_batch() -> None:
    x, draws = pictures(6), epoch_draws(0, 1, 6)
    whole = vary_by(x, draws, WILD)
    halves = torch.cat([vary_by(x[:2], draws[:2], WILD), vary_by(x[2:], draws[2:], WILD)])
    assert torch.equal(whole, halves)
    assert not torch.equal(vary_by(x, epoch_draws(0, 2, 6), WILD), whole)


def test_nothing_asked_for_changes_nothing() -> None:
    x = pictures(4)
    torch.testing.assert_close(vary_by(x, epoch_draws(0, 1, 4), STILL), x, rtol=0, atol=1e-3)


def test_a_flip_is_the_mirror_image() -> None:
    x, draws = pictures(8), epoch_draws(0, 1, 8)
    varied = vary_by(x, draws, STILL.model_copy(update={"flip": True}))
    flipped = torch.from_numpy(draws[:, 4] < 0.5)
    assert 0 < int(flipped.sum()) < 8
    expected = torch.where(flipped[:, None, None, None], x.flip(3), x)
    torch.testing.assert_close(varied, expected, rtol=0, atol=1e-3)


def test_a_shift_moves_by_at_most_its_fraction() -> None:
    x = torch.zeros(200, 1, 20, 20)
    x[:, :, 9:11, 9:11] = 1
    varied = vary_by(x, epoch_draws(0, 1, 200), STILL.model_copy(update={"shift_fraction": 0.1}))
    rows = torch.arange(20, dtype=torch.float32)
    centers = (varied.sum(dim=(1, 3)) * rows).sum(dim=1) / varied.sum(dim=(1, 2, 3))
    moved = (centers - 9.5).abs()
    assert moved.max() <= 0.1 * 20 + 1e-3
    assert moved.max() > 1.5


def test_color_changes_brightness_but_leaves_gray_gray() -> None:
    gray = pictures(5, channels=1).expand(-1, 3, -1, -1)
    varied = vary_by(gray, epoch_draws(0, 1, 5), STILL.model_copy(update={"color": 0.3}))
    torch.testing.assert_close(varied[:, 0], varied[:, 2])
    assert not torch.allclose(varied, gray)


def test_color_is_brightness_then_saturation_around_the_mean_and_the_gray() -> None:
    x, draws = pictures(5), epoch_draws(0, 1, 5)
    varied = vary_by(x, draws, STILL.model_copy(update={"color": 0.3}))
    for picture, source, three in zip(varied.double().numpy(), x.double().numpy(), draws[:, 7:10], strict=True):
        brightness, contrast, saturation = 1 + 0.3 * (2 * three.astype(float) - 1)
        expected = (source - source.mean()) * contrast + source.mean() * brightness
        gray = expected.mean(axis=0)
        np.testing.assert_allclose(picture, gray + saturation * (expected - gray), atol=1e-3)


def test_a_warp_samples_as_scipy_does() -> None:
    """scipy is told in pixels, rows first; its "reflect" is torch's reflection at the outer border."""
    side, matrix = 12, np.array([[0.9, -0.2, 0.15], [0.25, 1.1, -0.1]], np.float32)
    x = pictures(1, side)
    variation = variation_of(epoch_draws(0, 1, 1), WILD, side)._replace(
        matrix=torch.from_numpy(matrix)[None], factors=None, centers=None
    )
    turned, moved = matrix[::-1, 1::-1].astype(float), matrix[::-1, 2].astype(float)
    center = (side - 1) / 2
    offset = center - turned @ [center, center] + moved * side / 2
    for plane, source in zip(vary(x, variation, WILD)[0].numpy(), x[0].numpy(), strict=True):
        expected = ndimage.affine_transform(source.astype(float), turned, offset, order=1, mode="reflect")
        np.testing.assert_allclose(plane, expected, atol=1e-3)


@pytest.mark.parametrize(("side", "channels"), [(20, 3), (24, 3), (28, 1), (9, 3)])
def test_pictures_are_shrunk_by_a_triangle_as_wide_as_the_step(side: int, channels: int) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (7, 32, 32, channels), np.uint8)
    shrunk = at_side(torch.from_numpy(levels), side)
    assert shrunk.shape == (7, channels, side, side)
    assert torch.equal(shrunk, shrunk.round())
    step, centers = 32 / side, (np.arange(side) + 0.5) * 32 / side
    weights = np.maximum(0, 1 - np.abs(np.arange(32) + 0.5 - centers[:, None]) / step)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.einsum("ab,nbcd,ec->naed", weights, levels.astype(float), weights).transpose(0, 3, 1, 2)
    # Each of the two ways is brought to whole levels.
    assert np.abs(shrunk.numpy() - expected).max() < 1.02


def test_cutout_covers_one_square_with_the_mean() -> None:
    x = pictures(60, side=20, channels=1)
    varied = vary_by(x, epoch_draws(0, 1, 60), STILL.model_copy(update={"cutout_fraction": 0.4}))
    covered = (varied - x).abs() > 0.01
    areas = covered.sum(dim=(1, 2, 3))
    assert areas.max() <= 9 * 9
    assert areas.min() >= 3 * 3
    for picture, changed, source in zip(varied, covered, x, strict=True):
        rows, columns = changed[0].any(dim=1).nonzero(), changed[0].any(dim=0).nonzero()
        square = picture[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        torch.testing.assert_close(square, source.mean().expand_as(square), rtol=0, atol=0.01)


def test_of_any_two_epochs_in_turn_one_shows_a_picture_mirrored() -> None:
    mirrored = np.stack([epoch_draws(5, epoch, 400)[:, 4] < 0.5 for epoch in range(1, 7)])
    assert (mirrored[:-1] ^ mirrored[1:]).all()
    assert 150 < mirrored[0].sum() < 250
    assert (epoch_draws(6, 1, 400)[:, 4] < 0.5).tolist() != mirrored[0].tolist()


@pytest.mark.parametrize("flip", [False, True])
def test_plain_shifts_equal_padding_by_reflection_and_cutting_out(flip: bool) -> None:
    plan = AugmentPlan(flip=flip, shift_fraction=0.2, min_area=1, max_aspect=1, max_degrees=0, color=0)
    pixels, draws = torch.rand(40, 3, 10, 10), epoch_draws(1, 1, 40)
    varied = vary_by(pixels, draws, plan)
    seen = set()
    for picture, row, found in zip(pixels.numpy(), draws, varied.numpy(), strict=True):
        padded = np.pad(picture, ((0, 0), (2, 2), (2, 2)), mode="symmetric")
        across, down = int(row[2] * 5), int(row[3] * 5)
        expected = padded[:, down : down + 10, across : across + 10]
        np.testing.assert_array_equal(found, expected[:, :, ::-1] if flip and row[4] < 0.5 else expected)
        seen.add((across, down))
    assert {across for across, _ in seen} == {down for _, down in seen} == {0, 1, 2, 3, 4}
