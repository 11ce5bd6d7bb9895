"""Seven ways to measure consistency that give another number: each is rebuilt here, and ours is not it.

They were read in the reference code of published methods. For each there is a network and a set of pictures on which
the trap's number and the right one, counted by loops, differ; ``translation`` has to give the right one.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from whyconv.measures import translation
from whyconv.measures.equivariance import equivariance


class Bright(nn.Module):
    """Says whether the middle pixel is bright."""

    def forward(self, x: Tensor) -> Tensor:
        light = x[:, 0, x.shape[2] // 2, x.shape[3] // 2]
        return 9 * torch.stack([light, 1 - light], dim=1)


class Rows(nn.Module):
    """Says whether the middle row is brighter than the middle column: only shifts along one axis tell."""

    def forward(self, x: Tensor) -> Tensor:
        middle = x.shape[2] // 2
        row, column = x[:, 0, middle].sum(dim=1), x[:, 0, :, middle].sum(dim=1)
        return 9 * torch.stack([row, column], dim=1)


def pictures(n: int = 40, side: int = 8, seed: int = 0) -> Tensor:
    return (torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(seed)) > 0.5).float()


def answers(network: nn.Module, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        return network(x).argmax(dim=1).numpy()


def rolled(x: Tensor, shift: tuple[int, int]) -> Tensor:
    return torch.roll(x, shift, dims=(2, 3))


def square(reach: int) -> list[tuple[int, int]]:
    return [shift for shift in itertools.product(range(-reach, reach + 1), repeat=2) if shift != (0, 0)]


def by_loops(network: nn.Module, x: Tensor, reach: int) -> float:
    """Picture by picture, shift by shift."""
    kept = [
        answers(network, rolled(one[None], shift))[0] == answers(network, one[None])[0]
        for one in x
        for shift in square(reach)
    ]
    return float(np.mean(kept))


def test_identical_offsets_do_not_count_as_agreement() -> None:
    # Both views moved by independent offsets, which may be the same: then any network agrees.
    network, x = Bright(), pictures()
    found = translation(network, x, [0] * 40, "circular", reach=1)
    every = np.stack([answers(network, rolled(x, shift)) for shift in [(0, 0), *square(1)]])
    pairs = list(itertools.product(range(9), repeat=2))
    trap = np.mean([every[a] == every[b] for a, b in pairs])
    right = np.mean([every[a] == every[b] for a, b in pairs if a != b])
    assert trap == pytest.approx(right + (1 - right) / 9)
    assert found.pair_consistency.value == pytest.approx(right)
    assert abs(trap - right) > 0.02


def test_every_picture_is_moved_by_every_shift_not_a_batch_by_one() -> None:
    # One shift for each batch: as many trials as batches, and the number depends on the draw.
    network, x = Bright(), pictures()
    shifts = square(2)
    traps = set()
    for seed in range(20):
        drawn = np.random.default_rng(seed)
        batches = [x[start : start + 8] for start in range(0, 40, 8)]
        traps.add(
            np.mean(
                [
                    answers(network, rolled(batch, shifts[drawn.integers(len(shifts))])) == answers(network, batch)
                    for batch in batches
                ]
            )
        )
    right = by_loops(network, x, 2)
    assert max(traps) - min(traps) > 0.05
    found = {translation(network, x, [0] * 40, "circular", reach=2, seed=seed).consistency.value for seed in (0, 1)}
    assert len(found) == 1
    assert found.pop() == pytest.approx(right)


def test_no_shift_is_not_a_shift_and_the_farthest_are_tried_on_both_sides() -> None:
    # randint(-3, 3): (0, 0) among 36, and never +3.
    network, x = Bright(), torch.zeros(40, 1, 8, 8)
    x[:, 0, 4, 4] = 1.0  # every shift changes the answer
    lopsided = list(itertools.product(range(-3, 3), repeat=2))
    trap = np.mean([answers(network, rolled(x, shift)) == answers(network, x) for shift in lopsided])
    right = by_loops(network, x, 3)
    found = translation(network, x, [0] * 40, "circular", reach=3)
    assert found.consistency.value == pytest.approx(right)
    assert (trap, right) == (pytest.approx(1 / 36), 0.0)
    assert (0.0, 0.0) not in found.protocol.shifts
    assert len(found.protocol.shifts) == 48
    assert {(3.0, 0.0), (0.0, 3.0), (-3.0, 3.0)} <= set(found.protocol.shifts)


def test_shifts_along_one_axis_are_tried() -> None:
    # A grid from 1 on, (1..m) x (1..m), never tries (0, k) or (k, 0).
    class Moved(nn.Module):
        """Gives itself away only where a picture moved along one axis alone."""

        def forward(self, x: Tensor) -> Tensor:
            light = x[:, 0, 4].sum(dim=1) + x[:, 0, :, 4].sum(dim=1)
            return 9 * torch.stack([(light - 1).abs(), torch.full_like(light, 0.5)], dim=1)

    x = torch.zeros(6, 1, 8, 8)
    x[:, 0, 4, 4] = 1.0
    network = Moved()
    base = answers(network, x)
    diagonal = [answers(network, rolled(x, shift)) == base for shift in itertools.product(range(1, 3), repeat=2)]
    straight = [answers(network, rolled(x, shift)) == base for shift in ((0, 1), (2, 0))]
    assert np.mean(diagonal) == 1.0 or np.mean(straight) == 1.0
    assert np.mean(diagonal) != np.mean(straight)
    found = translation(network, x, [0] * 6, "circular", reach=2)
    assert found.consistency.value == pytest.approx(by_loops(network, x, 2))
    assert 0 < found.consistency.value < 1
    assert found.worst_case.value == 0.0


def test_a_crop_shows_real_pixels_where_zeros_would_have_come_in() -> None:
    network = Bright()
    x = (torch.rand(40, 1, 12, 12, generator=torch.Generator().manual_seed(0)) > 0.1).float()
    # The window is 4 pixels wide: a shift by 2 brings the border to its middle.
    window = x[:, :, 4:8, 4:8]
    padded = torch.nn.functional.pad(window, (4, 4, 4, 4))
    base = answers(network, window)

    def kept(source: Tensor) -> float:
        views = [source[:, :, 4 - down : 8 - down, 4 - right : 8 - right] for down, right in square(4)]
        return float(np.mean([answers(network, view) == base for view in views]))

    real, filled = kept(x), kept(padded)
    assert abs(real - filled) > 0.02
    assert translation(network, x, [0] * 40, "crop", reach=4).consistency.value == pytest.approx(real)
    as_zero = translation(network, window, [0] * 40, "zero", reach=4)
    assert as_zero.consistency.value == pytest.approx(filled)
    assert as_zero.protocol.kind == "zero"


def test_the_joint_rate_is_counted_and_no_product() -> None:
    network, x = Bright(), pictures()
    labels = answers(network, x).copy()
    # Wrong where the neighborhood is of one kind: there answers are kept most.
    kept = np.mean([answers(network, rolled(x, shift)) == labels for shift in square(1)], axis=0)
    labels[kept > np.median(kept)] ^= 1
    found = translation(network, x, labels, "circular", reach=1)
    is_right = answers(network, x) == labels
    right = np.mean([is_right & (answers(network, rolled(x, shift)) == labels) for shift in square(1)])
    assert found.correct_and_same.value == pytest.approx(right)
    assert abs(found.accuracy.value * found.consistency.value - right) > 0.02


def test_pictures_count_alike_though_the_last_batch_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    # 40 pictures, 13 at a time: the last one would weigh 13 times as much in a mean of means.
    network, x = Bright(), pictures()
    x[39] = 0.0
    x[39, 0, 4, 4] = 1.0  # every shift changes its answer
    kept = np.mean([answers(network, rolled(x, shift)) == answers(network, x) for shift in square(1)], axis=0)
    trap = np.mean([kept[start : start + 13].mean() for start in range(0, 40, 13)])
    monkeypatch.setattr(sys.modules["whyconv.measures.translation"], "_MOST_NUMBERS", 13 * x[0].numel())
    found = translation(network, x, [0] * 40, "circular", reach=1)
    assert found.consistency.value == pytest.approx(kept.mean())
    assert abs(trap - kept.mean()) > 0.05


def test_translation_itself_is_tested_and_not_only_turning() -> None:
    # A network that treats quarter turns and mirroring alike, and still knows every place.
    class Turning(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            rows = torch.arange(8.0) - 3.5
            far = rows[:, None] ** 2 + rows[None] ** 2
            return torch.stack([(x[:, 0] * far).sum(dim=(1, 2)), (x[:, 0] * (20 - far)).sum(dim=(1, 2))], dim=1)

    network, x = Turning(), pictures()
    for turned in (x.rot90(1, (2, 3)), x.rot90(2, (2, 3)), x.flip(2), x.flip(3)):
        assert torch.allclose(network(turned), network(x), atol=1e-4)
    found = translation(network, x, [0] * 40, "circular", reach=3)
    assert found.consistency.value == pytest.approx(by_loops(network, x, 3))
    assert found.consistency.value < 0.95
    assert equivariance(network, x, "circular").logits.low > 0.05


def test_the_traps_are_told_apart_from_each_other_by_networks_that_see_one_axis() -> None:
    # A check of the checks: their networks do answer differently for shifts along one axis and the other.
    x = pictures()
    found = translation(Rows(), x, [0] * 40, "circular", reach=2)
    assert found.consistency.value == pytest.approx(by_loops(Rows(), x, 2))
    assert len({each.consistency for each in found.by_shift}) > 5
