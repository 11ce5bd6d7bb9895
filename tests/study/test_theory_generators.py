"""The tasks of the self-test on theory are what they say: against closed formulas and by brute force."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch.nn import functional

from whyconv.study.theory.bits import BitsSize, make_bits
from whyconv.study.theory.borders import best_on_the_ring, column_probabilities, draw_red_green
from whyconv.study.theory.energy import EnergySize, make_energy, ring_windows
from whyconv.study.theory.signal import SignalSize, best_accuracy, best_linear_accuracy, make_signal


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_one_patch_is_answered_as_the_normal_distribution_says(strength: float) -> None:
    best = best_accuracy(SignalSize(patches=1, strength=strength), 0, 50_000)
    assert abs(best.value - NormalDist().cdf(strength)) < 0.006


def test_with_two_patches_the_best_rule_is_linear() -> None:
    # sinh(s a) + sinh(s b) > 0 exactly where a + b > 0.
    size = SignalSize(patches=2, strength=1.5)
    assert abs(best_accuracy(size, 1, 50_000).value - best_linear_accuracy(size)) < 0.006
    more = SignalSize(patches=16, strength=4.0)
    assert best_accuracy(more, 1, 50_000).low > best_linear_accuracy(more) + 0.1


def test_the_signal_is_in_every_patch_equally_often_and_has_the_sign_of_the_label() -> None:
    size = SignalSize(patches=8, taps=4, strength=40.0)
    samples, labels = make_signal(size, generator(0))(generator(1), 8000)
    patches = samples.reshape(8000, 8, 4)
    place = np.abs(patches).max(2).argmax(1)
    counts = np.bincount(place, minlength=8)
    assert np.square(counts - 1000).sum() / 1000 < 24.3  # chi-square with 7 degrees of freedom, p = 0.001
    assert abs(labels.mean()) < 0.04
    signal = (patches[np.arange(8000), place] * labels[:, None]).mean(0)
    assert abs(np.linalg.norm(signal) - 40) < 0.2
    rest = np.delete(patches.reshape(8000, -1), [], axis=1)[place != 0, :4]
    assert abs(rest.std() - 1) < 0.03


def test_energy_labels_say_which_channel_has_more() -> None:
    samples, labels = make_energy(EnergySize(side=4), generator(0))(generator(1), 4000)
    red, green = samples[:, :16].astype(np.float64), samples[:, 16:].astype(np.float64)
    assert np.array_equal(labels > 0, np.linalg.norm(red, axis=1) > np.linalg.norm(green, axis=1))
    assert abs(labels.mean()) < 0.06


def test_windows_of_a_ring_are_those_of_unfold() -> None:
    picture = torch.arange(2 * 5 * 5.0).view(1, 2, 5, 5)
    expected = functional.unfold(functional.pad(picture, (1, 1, 1, 1), mode="circular"), 3)[0].T
    assert torch.equal(picture.flatten()[ring_windows(2, 5, 3)], expected)


def test_exactly_one_row_of_bits_decides() -> None:
    size = BitsSize(bits=12, row=4)
    samples, labels = make_bits(size, generator(5))(generator(6), 1000)
    agreeing = [first for first in range(9) if np.array_equal(samples[:, first : first + 4].prod(1), labels)]
    assert len(agreeing) == 1
    assert abs(labels.mean()) < 0.12
    firsts = {int(make_bits(BitsSize(bits=4, row=4), generator(seed))(generator(0), 5)[1].sum()) for seed in range(3)}
    assert len(firsts) == 1  # one place only


def test_red_green_pictures_are_what_the_task_says() -> None:
    pictures = draw_red_green(400, generator(0))
    for picture, moved, label in zip(pictures.similar, pictures.dissimilar, pictures.labels, strict=True):
        columns = [np.nonzero(picture[channel].any(0))[0] for channel in (0, 1)]
        rows = np.nonzero(picture[:2].any((0, 2)))[0]
        assert [picture[channel].sum() for channel in range(3)] == [16, 16, 0]
        assert all(np.array_equal(one, np.arange(one[0], one[0] + 4)) for one in columns)
        assert (columns[0][0] < columns[1][0]) == (label == 0)
        assert abs(columns[0][0] - columns[1][0]) >= 5
        assert rows.max() < 16 if label == 0 else rows.min() >= 16
        assert np.array_equal(moved[:, (np.arange(32) + 16) % 32], picture)
    assert pictures.labels.mean() == 0.5


def test_columns_come_as_often_as_said() -> None:
    told = column_probabilities()
    assert sum(told.values()) == 1
    pictures = draw_red_green(6000, generator(3))
    red = pictures.similar[::2, 0].any(1).argmax(1)  # of class 0
    counts, expected = Counter(red.tolist()), Counter()
    for (left, _), probability in told.items():
        expected[left] += 3000 * probability
    assert counts.keys() == expected.keys()
    assert sum((counts[one] - float(expected[one])) ** 2 / float(expected[one]) for one in counts) < 27.9  # 9 degrees


def test_what_the_ring_hides() -> None:
    # Without a stride only the difference of the columns is seen: class 1 has that of class 0 turned around.
    apart: Counter[int] = Counter()
    for (left, right), probability in column_probabilities().items():
        apart[right - left] += probability
    assert best_on_the_ring(1) == sum(max(apart[d], apart[32 - d]) for d in range(32)) / 2
    assert best_on_the_ring(32) == Fraction(1)
    assert 0.670 < best_on_the_ring(8) < 0.671
