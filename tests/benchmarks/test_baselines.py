"""Pieces of the baselines that a slip would make weaker without anyone noticing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from airbench import orthogonalized, whitening
from cell import RESERVE, Asked, steps_that_fit
from torch import nn
from true_half import (
    AlternatingPictures,
    gradients_to_masters,
    logits_of_views,
    masters_to_weights,
    normalized,
    to_half,
)


def stream_of(n: int = 40, side: int = 8, batch: int = 20, *, shift: int = 0, cut: int = 0) -> AlternatingPictures:
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)
    return AlternatingPictures(normalized(pixels, pixels), torch.arange(n), batch, shift=shift, cut=cut, seed=0)


def test_whitened_patches_are_uncorrelated_with_variance_one() -> None:
    x = torch.randn(200, 3, 8, 8).cumsum(dim=3).cumsum(dim=2)
    x = x - x.mean()
    maps = nn.functional.conv2d(x, whitening(x))
    rows = maps.permute(1, 0, 2, 3).reshape(24, -1)
    second_moments = rows[:12] @ rows[:12].T / rows.shape[1]
    assert torch.allclose(second_moments, torch.eye(12), atol=2e-2)
    assert torch.equal(maps[:, :12], -maps[:, 12:])


@pytest.mark.parametrize("shape", [(16, 90), (90, 16)])
def test_orthogonalized_keeps_the_directions_and_evens_out_the_lengths(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    # In the basis of the singular vectors what is left is close to diagonal, with entries near 1.
    inside = u.T @ orthogonalized(matrix) @ vh.T
    lengths = inside.diagonal()
    assert 0.5 < float(lengths.min()) <= float(lengths.max()) < 1.3
    assert float((inside - torch.diag(lengths)).abs().max()) < 0.05


def test_every_picture_is_seen_in_both_orientations_in_two_epochs() -> None:
    stream = stream_of()
    batches = iter(stream)
    first, second = ({label: [] for label in range(40)} for _ in range(2))
    for epoch in (first, second):
        seen = torch.cat([next(batches)[0] for _ in range(2)])
        for row in range(40):
            same = [bool(torch.allclose(each, stream.x[row])) for each in seen]
            mirrored = [bool(torch.allclose(each, stream.x[row].flip(-1))) for each in seen]
            epoch[row] = [sum(same), sum(mirrored)]
    assert all(first[row] == second[row][::-1] for row in range(40))
    assert 5 < sum(first[row][1] for row in range(40)) < 35


def test_moved_pictures_come_from_their_reflected_surroundings() -> None:
    stream = stream_of(n=12, batch=12, shift=2)
    stream.is_mirrored_first[:] = False
    moved, labels = next(iter(stream))
    padded = nn.functional.pad(stream.x, (2,) * 4, mode="reflect")
    windows = {
        tuple(padded[row, :, top : top + 8, left : left + 8].flatten().tolist())
        for row in range(12)
        for top in range(5)
        for left in range(5)
    }
    assert all(tuple(each.flatten().tolist()) in windows for each in moved)
    assert sorted(labels.tolist()) == list(range(12))


def test_a_covered_square_is_of_the_size_asked_for_except_at_the_edge() -> None:
    stream = stream_of(n=200, side=32, batch=200, cut=8)
    x, _ = next(iter(stream))
    covered = (x == 0).all(dim=1).sum(dim=(1, 2))
    assert int(covered.max()) == 64
    assert int(covered.min()) >= 16


def test_masters_move_as_an_fp32_network_would() -> None:
    torch.manual_seed(0)
    half, whole = (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 2)) for _ in range(2))
    whole.load_state_dict(half.state_dict())
    masters = to_half(half)
    optimizer = torch.optim.SGD(list(masters.values()), 1e-4)
    reference = torch.optim.SGD(whole.parameters(), 1e-4)
    x, y = torch.randn(16, 3, 8, 8), torch.randint(2, (16,))
    for _ in range(3):
        nn.functional.cross_entropy(half(x.bfloat16()).float(), y).backward()
        gradients_to_masters(masters)
        optimizer.step()
        masters_to_weights(masters)
        reference.zero_grad()
        nn.functional.cross_entropy(whole(x), y).backward()
        reference.step()
    for master, exact in zip(masters.values(), whole.parameters(), strict=True):
        # Steps of 1e-4 are lost in bf16 weights; masters keep them.
        assert torch.allclose(master, exact, atol=2e-6)
    assert all(weights.dtype == torch.bfloat16 for weights in half.parameters())


def test_the_six_views_weigh_as_the_recipe_says() -> None:
    x = torch.rand(1, 1, 4, 4)
    padded = nn.functional.pad(x, (1,) * 4, mode="reflect")
    parts = [(x, 0.5), (padded[:, :, :4, :4], 0.25), (padded[:, :, 2:, 2:], 0.25)]
    expected = sum(weight * (view[..., 0, 0] + view[..., 0, -1]) / 2 for view, weight in parts)
    assert torch.allclose(logits_of_views(lambda view: view[..., 0, 0], x), expected)


def test_steps_that_fit_follow_from_the_measured_pace() -> None:
    asked = Asked("fair", Path(), 0.1, 0, time.time(), Path(), {})
    found = steps_that_fit(asked, lambda: time.sleep(0.02), lambda: time.sleep(0.05), 20)
    # 5.88 s less eight measured steps, two answers, and 20 answers to come.
    expected = (6 * (1 - RESERVE) - 8 * 0.02 - 2 * 0.05 - 20 * 0.05) / 0.02
    assert 0.6 * expected < found <= expected + 1
    late = Asked("fair", Path(), 0.1, 0, time.time() - 60, Path(), {})
    assert steps_that_fit(late, lambda: None, lambda: None, 1) == 1


def test_pictures_are_normalized_by_the_training_part() -> None:
    train = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), np.uint8)
    flat = train.reshape(-1, 3).astype(float)
    expected = (train[:5] - flat.mean(axis=0)) / flat.std(axis=0, ddof=1)
    assert np.allclose(normalized(train[:5], train).permute(0, 2, 3, 1).numpy(), expected, atol=1e-4)
