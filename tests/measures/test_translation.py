"""Translation: shifts against arrays moved by hand, rates against loops, and networks whose answers are known."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.measures import translation
from whyconv.measures.shifting import all_shifts, mover, usual_reach
from whyconv.results.translation import Translation


class Asked(nn.Module):
    """A function as a network."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def random_network(seed: int = 0, classes: int = 4, channels: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(channels, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, classes),
    )
    with torch.no_grad():
        network[-1].weight.mul_(8)
    return network


def some_pictures(n: int = 23, side: int = 10, channels: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def moved_by_hand(picture: np.ndarray, kind: str, reach: int, down: int, right: int) -> np.ndarray:
    """Pixel for pixel: what is seen at (row, column) stood at (row - down, column - right) before."""
    _, high, wide = picture.shape
    border = reach if kind == "crop" else 0
    size = (high - 2 * border, wide - 2 * border)
    out = np.zeros((picture.shape[0], *size), picture.dtype)
    for row, column in itertools.product(range(size[0]), range(size[1])):
        at = (row - down + border, column - right + border)
        if kind == "circular":
            at = (at[0] % high, at[1] % wide)
        if kind == "replicate":
            at = (min(max(at[0], 0), high - 1), min(max(at[1], 0), wide - 1))
        if 0 <= at[0] < high and 0 <= at[1] < wide:
            out[:, row, column] = picture[:, at[0], at[1]]
    return out


@pytest.mark.parametrize("kind", ["crop", "circular", "zero", "replicate"])
@pytest.mark.parametrize("reach", [1, 3])
def test_pictures_move_as_by_hand(kind: str, reach: int) -> None:
    pictures = some_pictures(3, side=9)
    move = mover(pictures, kind, reach)
    for down, right in [(0, 0), *all_shifts(kind, reach)]:
        by_hand = [moved_by_hand(each.numpy(), kind, reach, int(down), int(right)) for each in pictures]
        assert torch.equal(move((down, right)), torch.from_numpy(np.stack(by_hand)))


@pytest.mark.parametrize("side", [7, 8])
def test_parts_of_a_pixel_add_up_and_waves_move_by_them(side: int) -> None:
    pictures = some_pictures(2, side=side).double()
    move = mover(pictures, "fractional", 1)
    for shift in [(1.0, 0.0), (0.0, -1.0), (1.0, 1.0)]:
        rolled = torch.roll(pictures, (int(shift[0]), int(shift[1])), dims=(2, 3))
        assert torch.allclose(move(shift), rolled, atol=1e-12)
    rows, columns = torch.meshgrid(*[torch.arange(side).double()] * 2, indexing="ij")

    def wave(down: float, right: float) -> Tensor:
        turns = 2 * (rows - down) / side - (columns - right) / side
        return torch.cos(2 * math.pi * turns)[None, None]

    for shift in all_shifts("fractional", 1):
        assert torch.allclose(mover(wave(0, 0), "fractional", 1)(shift), wave(*shift), atol=1e-12)
    # The highest frequency of an even side: of half a pixel nothing real is left, as between +1 and -1.
    if side == 8:
        stripes = (1.0 - 2.0 * (columns % 2)).double()[None, None]
        assert mover(stripes, "fractional", 1)((0.0, 0.5)).abs().max() < 1e-12


@pytest.mark.parametrize("side", [7, 8])
def test_a_mirrored_picture_moves_the_other_way(side: int) -> None:
    pictures = some_pictures(2, side=side).double()

    def mirrored(x: Tensor) -> Tensor:
        return torch.roll(x.flip(2), 1, dims=2)  # row r goes to -r, so that row 0 stays

    for down in (0.25, 0.5, 1.0):
        other_way = mover(mirrored(pictures), "fractional", 1)((-down, 0.0))
        assert torch.allclose(mirrored(other_way), mover(pictures, "fractional", 1)((down, 0.0)), atol=1e-12)


def rates_by_hand(network: nn.Module, pictures: Tensor, labels: np.ndarray, kind: str, reach: int) -> dict[str, float]:
    """Picture by picture and shift by shift."""
    network.eval()
    shifts = [
        (down, right)
        for down in range(-reach, reach + 1)
        for right in range(-reach, reach + 1)
        if (down, right) != (0, 0)
    ]

    def answer(picture: np.ndarray, shift: tuple[int, int]) -> tuple[int, np.ndarray]:
        with torch.no_grad():
            x = torch.from_numpy(moved_by_hand(picture, kind, reach, *shift))[None]
            p = torch.softmax(network(x).double(), dim=1)[0].numpy()
        return int(p.argmax()), p

    base = [answer(each.numpy(), (0, 0)) for each in pictures]
    moved = [[answer(each.numpy(), shift) for shift in shifts] for each in pictures]
    same = [[m[0] == b[0] for m in row] for b, row in zip(base, moved, strict=True)]
    right = [[m[0] == y for m in row] for y, row in zip(labels, moved, strict=True)]
    is_right = [b[0] == y for b, y in zip(base, labels, strict=True)]
    pairs = [
        np.mean([a == b for a, b in itertools.permutations([b0[0], *(m[0] for m in row)], 2)])
        for b0, row in zip(base, moved, strict=True)
    ]
    repeated = [b[0] for b, row in zip(base, moved, strict=True) for _ in row]
    return {
        "accuracy": np.mean(is_right),
        "shifted_accuracy": np.mean(right),
        "consistency": np.mean(same),
        "pair_consistency": np.mean(pairs),
        "worst_case": np.mean([all(row) for row in same]),
        "correct_and_same": np.mean([[r and b for r in row] for b, row in zip(is_right, right, strict=True)]),
        "worst_case_correct": np.mean([b and all(row) for b, row in zip(is_right, right, strict=True)]),
        "kappa": cohen_kappa_score(repeated, [m[0] for row in moved for m in row]),
        "probability_change": np.mean(
            [[abs(m[1][y] - b[1][y]) for m in row] for y, b, row in zip(labels, base, moved, strict=True)]
        ),
        "largest_change": max(np.abs(m[1] - b[1]).max() for b, row in zip(base, moved, strict=True) for m in row),
    }


def value(found: Translation, name: str) -> float:
    number = getattr(found, name)
    return number if isinstance(number, float) else number.value


@pytest.mark.parametrize("kind", ["crop", "circular", "zero", "replicate"])
def test_rates_are_those_of_loops_and_of_scikit_learn(kind: str) -> None:
    network, pictures = random_network(), some_pictures()
    labels = np.random.default_rng(1).integers(0, 4, len(pictures))
    found = translation(network, pictures, labels, kind, reach=2)
    for name, expected in rates_by_hand(network, pictures, labels, kind, 2).items():
        assert value(found, name) == pytest.approx(expected, abs=1e-6), name
    assert 0 < found.consistency.value < 1
    assert found.protocol.shifts == sorted(found.protocol.shifts)


def test_every_shift_of_a_square_is_tried_on_every_picture_and_none_is_no_shift() -> None:
    # The middle agrees with itself, a grid from 1 on leaves out straight shifts, one from -3 to 2 is lopsided.
    for reach in (1, 2, 3):
        shifts = all_shifts("circular", reach)
        assert len(set(shifts)) == len(shifts) == (2 * reach + 1) ** 2 - 1
        assert (0.0, 0.0) not in shifts
        assert {(-down, -right) for down, right in shifts} == set(shifts)
        assert {(0.0, float(reach)), (float(-reach), 0.0)} <= set(shifts)
    assert len(all_shifts("fractional", 1)) == 80


def test_numbers_do_not_depend_on_how_pictures_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pictures, labels = random_network(), some_pictures(), np.arange(23) % 4
    whole = translation(network, pictures, labels, "circular", reach=2)
    # 23 pictures, 5 at a time: the last ones are fewer, and must not weigh more.
    # The package hands out the function of that name.
    monkeypatch.setattr(sys.modules["whyconv.measures.translation"], "_MOST_NUMBERS", 5 * pictures[0].numel())
    parts = translation(network, pictures, labels, "circular", reach=2)
    assert parts.model_copy(update={"probability_change": whole.probability_change, "largest_change": 0.0}) == (
        whole.model_copy(update={"largest_change": 0.0})
    )
    assert parts.largest_change == pytest.approx(whole.largest_change, abs=1e-6)


def test_crops_show_real_new_pixels() -> None:
    pictures = some_pictures(5, side=12)
    seen: list[Tensor] = []

    def note(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return x.mean(dim=(2, 3))

    found = translation(Asked(note), pictures, [0] * 5, "crop", reach=2)
    assert found.protocol.side == (8, 8)
    assert torch.equal(seen[0], pictures[:, :, 2:10, 2:10])
    windows = {tuple(each.flatten().tolist()) for each in seen[1:]}
    by_hand = {
        tuple(pictures[:, :, top : top + 8, left : left + 8].flatten().tolist())
        for top in range(5)
        for left in range(5)
        if (top, left) != (2, 2)
    }
    assert windows == by_hand


def test_a_network_that_always_says_the_same_agrees_with_itself_only_by_chance() -> None:
    constant = Asked(lambda x: torch.tensor([0.0, 1.0, 0.0]).expand(len(x), 3))
    found = translation(constant, some_pictures(20), [0] * 10 + [1] * 10, "zero", reach=2)
    assert found.consistency.value == found.worst_case.value == 1.0
    assert found.kappa.value == found.kappa.low == found.kappa.high == 0.0
    assert found.accuracy.value == found.worst_case_correct.value == 0.5
    # All pictures count alike, and still there is an interval.
    assert found.consistency.low == pytest.approx(20 / (20 + 1.959964**2))


@pytest.mark.parametrize("others", [1, 3])
def test_of_a_consistent_network_with_a_rare_answer_kappa_is_no_worse_known_than_its_agreement(others: int) -> None:
    # The mean of a picture does not move with it; few pictures are bright, and answered otherwise.
    network = Asked(lambda x: torch.stack([x.mean((1, 2, 3)), torch.full((len(x),), 0.5)], 1) * 100)
    pictures = torch.zeros(20, 1, 8, 8)
    pictures[:others] = 1
    found = translation(network, pictures, [0] * 20, "circular", reach=2)
    chance = (others**2 + (20 - others) ** 2) / 400
    assert found.kappa.value == found.kappa.high == 1
    assert found.kappa.low == pytest.approx((found.consistency.low - chance) / (1 - chance))


def test_where_nothing_depends_on_the_place_circular_shifts_change_nothing() -> None:
    torch.manual_seed(0)
    still = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, padding_mode="circular"),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    pictures = some_pictures(30, side=8).double()
    with torch.no_grad():
        still[-1].bias.sub_(still(pictures.float()).mean(dim=0))
    found = translation(still.double(), pictures, [0] * 30, "circular", reach=7)
    assert found.consistency.value == found.worst_case.value == 1.0
    assert found.largest_change < 1e-12
    assert found.kappa.value == pytest.approx(1.0)
    # 30 of 30 alike is no proof: Wilson's lower end for them, with chance taken off.
    with torch.no_grad():
        shares = np.bincount(still(pictures).argmax(dim=1).numpy()) / 30
    chance = float((shares**2).sum())
    wilson = 1 / (1 + 1.959963984540054**2 / 30)
    assert found.kappa.low == pytest.approx((wilson - chance) / (1 - chance))
    assert found.kappa.high == pytest.approx(1.0)
    # The same network under another border is not.
    assert translation(still, pictures, [0] * 30, "zero", reach=2).largest_change > 1e-3


def test_a_network_that_tells_places_is_as_consistent_as_can_be_counted() -> None:
    # One bright pixel in column j of 8; the answer is the half it lies in. Circular shifts of up to 2 columns.
    pictures = torch.zeros(8, 1, 8, 8)
    pictures[range(8), 0, 3, range(8)] = 1.0
    halves = Asked(lambda x: 9 * torch.stack([x[..., :4].sum((1, 2, 3)), x[..., 4:].sum((1, 2, 3))], dim=1))
    found = translation(halves, pictures, [0] * 4 + [1] * 4, "circular", reach=2)
    stays = [sum((j + right) % 8 // 4 == j // 4 for right in range(-2, 3)) for j in range(8)]
    expected = [(5 * each - 1) / 24 for each in stays]  # five rows of shifts, less the one that is none
    assert found.consistency.value == pytest.approx(np.mean(expected))
    assert found.worst_case.value == 0.0
    assert found.accuracy.value == 1.0
    assert found.worst_case_correct.value == 0.0
    down = [each for each in found.by_shift if each.shift[1] == 0]
    assert len(down) == 4
    assert all(each.consistency == each.accuracy == 1.0 for each in down)
    assert next(each.consistency for each in found.by_shift if each.shift == (0.0, 2.0)) == 0.5


def test_joint_rates_are_no_products() -> None:
    # Right and consistent on one half of the pictures, wrong and fickle on the other.
    pictures = torch.zeros(20, 1, 6, 6)
    pictures[:10] += 5.0
    pictures[10:, 0, ::2] = 1.0
    rows = torch.zeros(6)
    rows[0] = 1.0

    def answer(x: Tensor) -> Tensor:
        is_sure = x.mean(dim=(1, 2, 3)) > 2
        fickle = (x[:, 0, :, 0] * rows).sum(dim=1) > 0.5
        label = torch.where(is_sure, 0, torch.where(fickle, 1, 2))
        return functional.one_hot(label, 3).float() * 9

    found = translation(Asked(answer), pictures, [0] * 20, "circular", reach=1)
    assert found.accuracy.value == found.correct_and_same.value == found.worst_case_correct.value == 0.5
    assert found.consistency.value == pytest.approx(0.5 + 0.5 * 2 / 8)  # two of eight shifts leave the rows in place
    assert found.accuracy.value * found.consistency.value < 0.32


def test_right_only_when_moved_is_not_right() -> None:
    pictures = torch.zeros(6, 1, 5, 5)
    pictures[:, 0, 2, 2] = 1.0
    wrong_in_the_middle = Asked(lambda x: 9 * torch.stack([1 - x[:, 0, 2, 2], x[:, 0, 2, 2]], dim=1))
    found = translation(wrong_in_the_middle, pictures, [0] * 6, "zero", reach=1)
    assert (found.accuracy.value, found.shifted_accuracy.value, found.worst_case_correct.value) == (0.0, 1.0, 0.0)
    assert found.consistency.value == 0.0


def test_intervals_hold_what_more_pictures_would_show() -> None:
    network, many = random_network(), some_pictures(1500, seed=5)
    labels = np.random.default_rng(0).integers(0, 4, len(many))
    whole = translation(network, many, labels, "circular", reach=1)
    inside = 0
    for start in range(0, 1500, 50):
        part = slice(start, start + 50)
        found = translation(network, many[part], labels[part], "circular", reach=1, seed=start)
        inside += found.consistency.low <= whole.consistency.value <= found.consistency.high
    # Of 30 intervals at 95 %, fewer than 25 hold it once in a thousand.
    assert inside >= 25


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    before = {key: each.clone() for key, each in network.state_dict().items()}
    translation(network, some_pictures(4), [0, 1, 2, 0], "zero", reach=1)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(each, before[key]) for key, each in network.state_dict().items())


def test_reach_is_eight_pixels_at_most_a_quarter() -> None:
    assert [usual_reach(side, side) for side in (4, 8, 28, 32, 224)] == [1, 2, 7, 8, 8]
    assert usual_reach(224, 8) == 2


@pytest.mark.parametrize("side", [2, 3])
def test_parts_of_a_pixel_fit_into_small_pictures(side: int) -> None:
    found = translation(random_network(), some_pictures(3, side=side), [0, 1, 2], "fractional")
    assert (found.protocol.side, len(found.protocol.shifts)) == ((side, side), 80)


@pytest.mark.parametrize(
    ("pictures", "labels", "kind", "reach", "words"),
    [
        (some_pictures(1), [0], "zero", 1, "at least 2 pictures"),
        (some_pictures(3)[0], [0], "zero", 1, r"shape \(2, 10, 10\)"),
        (some_pictures(3), [0, 1], "zero", 1, "3 pictures and 2 labels"),
        (some_pictures(3), [0, 1, -1], "zero", 1, "A label is -1"),
        (some_pictures(3), [0, 1, 4], "zero", 1, "of at least 5 classes"),
        (some_pictures(3) * math.nan, [0, 1, 2], "zero", 1, "not finite"),
        (some_pictures(3), [0, 1, 2], "fractional", 2, "leave reach = 2 out"),
        (some_pictures(3), [0, 1, 2], "crop", None, "needs reach"),
        (some_pictures(3), [0, 1, 2], "crop", 5, "10 x 10 pixels cannot be moved by up to 5"),
        (some_pictures(3), [0, 1, 2], "circular", 10, "cannot be moved by up to 10"),
        (some_pictures(3), [0, 1, 2], "zero", 0, "cannot be moved by up to 0"),
        (some_pictures(3), [0, 1, 2], "zero", 2.5, "reach = 2.5: expected a whole number of pixels"),
        (some_pictures(3), [0, 1, 2], "zeros", 1, "kind is 'zeros': expected one of .* Did you mean 'zero'"),
        (some_pictures(3), [0.5, 1, 2], "zero", 1, "Labels are float64; expected whole numbers"),
        (some_pictures(3), ["a", "b", "c"], "zero", 1, "Labels are <U1; expected whole numbers"),
        (some_pictures(3).byte(), [0, 1, 2], "zero", 1, "Pictures are torch.uint8; expected real numbers"),
        (some_pictures(3), np.array([[0], [1], [2]]), "zero", 1, r"Labels have shape \(3, 1\); expected one"),
        (some_pictures(3).numpy(), [0, 1, 2], "zero", 1, r"Pictures are numpy.ndarray; .* torch.from_numpy"),
        (some_pictures(3)[:0], [], "zero", 1, r"at least 2 pictures .* shape \(0, 2, 10, 10\)"),
        (some_pictures(3, side=1), [0, 1, 2], "fractional", None, "1 x 1 pixels: .* sides of at least 2"),
        (some_pictures(3, side=1), [0, 1, 2], "circular", None, "1 x 1 pixels: .* sides of at least 2"),
    ],
)
def test_what_cannot_be_measured_is_said(pictures, labels, kind, reach, words) -> None:
    with pytest.raises(UsageError, match=words):
        translation(random_network(), pictures, labels, kind, reach=reach)
