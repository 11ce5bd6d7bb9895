"""Samples needed, their ratios and the verdicts: by hand, and on a task that is broken on purpose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from whyconv.results import ARCHITECTURES, Architecture, Estimate, TheoryScore
from whyconv.study.split import accuracy_of
from whyconv.study.theory.bits import BitsSize, judge_bits
from whyconv.study.theory.energy import EnergySize, judge_energy
from whyconv.study.theory.signal import SignalSize, judge_signal, make_signal, signal_task
from whyconv.study.theory.trials import Sampler
from whyconv.study.theory.verdicts import (
    Needs,
    at_least,
    at_most,
    expect,
    expect_equal_logits,
    halfway,
    not_above,
    not_below,
    samples_for,
)


def test_samples_are_interpolated_in_the_logarithm() -> None:
    assert samples_for([10, 1000], [0.5, 0.9], 0.7) == pytest.approx(100)
    assert samples_for([10, 1000], [0.8, 0.9], 0.7) == 10
    assert samples_for([10, 1000], [0.5, 0.6], 0.7) == math.inf
    # What falls later counts as the best before.
    assert samples_for([1, 10, 100, 1000], [0.5, 0.6, 0.55, 0.8], 0.7) == pytest.approx(10**2.5)


def test_the_samples_needed_grow_with_the_target() -> None:
    needed = [samples_for([8, 16, 32, 64], [0.5, 0.7, 0.65, 0.9], target) for target in np.linspace(0.5, 0.9, 30)]
    assert needed == sorted(needed)


def scores(network: Architecture, by_size: dict[int, Sequence[float]]) -> list[TheoryScore]:
    return [
        TheoryScore(
            network=network,
            n_train=size,
            accuracy=accuracy_of(found, "seeds"),
            by_seed=list(found),
            learning_rate=0.1,
            is_rate_at_edge=False,
        )
        for size, found in by_size.items()
    ]


QUICK = scores("convolution", {10: [0.6, 0.62, 0.58], 100: [0.9, 0.88, 0.92], 1000: [0.95, 0.95, 0.95]})
SLOW = scores("local", {10: [0.5, 0.52, 0.48], 100: [0.6, 0.58, 0.62], 1000: [0.9, 0.88, 0.92]})
NEVER = scores("dense", {10: [0.5, 0.5, 0.5], 100: [0.5, 0.52, 0.54], 1000: [0.6, 0.6, 0.6]})


def test_a_ratio_has_the_interval_of_its_draws() -> None:
    found = Needs(QUICK + SLOW, 0.75, 0).ratio("signal_sharing", "local", "convolution", is_promised=True)
    assert found.value == pytest.approx(10, rel=0.05)
    assert 1 < found.low <= found.value <= (found.high or 0)
    assert found.verdict == "as_expected"
    turned = Needs(QUICK + SLOW, 0.75, 0).ratio("signal_sharing", "convolution", "local", is_promised=True)
    assert turned.verdict == "contradicts"
    same = Needs(QUICK + scores("local", {one.n_train or 0: one.by_seed for one in QUICK}), 0.75, 0)
    assert same.ratio("signal_sharing", "local", "convolution", is_promised=True).verdict == "not_at_this_size"


def test_who_never_gets_there_needs_more_than_the_largest_size() -> None:
    needs = Needs(QUICK + NEVER, 0.75, 0)
    assert needs.needed("dense").value is None
    found = needs.ratio("signal_locality", "dense", "convolution", is_promised=False)
    assert (found.value, found.high) == (None, None)
    assert found.at_least == pytest.approx(1000 / (needs.needed("convolution").value or 0))
    assert found.verdict == "as_expected"
    unknown = needs.ratio("signal_locality", "convolution", "dense", is_promised=False)
    assert unknown.verdict != "as_expected"
    nobody = Needs(NEVER + scores("local", {one.n_train or 0: one.by_seed for one in NEVER}), 0.75, 0)
    assert nobody.ratio("signal_locality", "dense", "local", is_promised=False).verdict != "as_expected"


def test_an_interval_around_the_bound_tells_nothing() -> None:
    assert [at_least(*ends, 0.5) for ends in ((0.5, 0.6), (0.4, 0.6), (0.3, 0.4))] == [
        *("as_expected", "not_at_this_size", "contradicts"),
    ]
    assert [at_most(*ends, 0.5) for ends in ((0.5, 0.6), (0.4, 0.6), (0.3, 0.5))] == [
        *("not_at_this_size", "not_at_this_size", "as_expected"),
    ]
    assert at_most(0.6, 0.7, 0.5) == "contradicts"
    assert [not_above(low, 0.9, 0.5) for low in (0.4, 0.6)] == ["as_expected", "contradicts"]
    assert [not_below(0.1, high, 0.5) for high in (0.4, 0.6)] == ["contradicts", "as_expected"]
    found = expect("borders_order", Estimate(value=0.9, low=0.7, high=1.1, n=3, over="seeds"), 0.0)
    assert (found.low, found.high) == (0.7, 1.0)


def score(network: Architecture, n_train: int | None, found: Sequence[float]) -> TheoryScore:
    return scores(network, {n_train or 0: found})[0].model_copy(update={"n_train": n_train})


def test_bounds_follow_from_what_is_known_and_not_from_what_was_found() -> None:
    assert halfway(1.0) == 0.75
    assert halfway(1.0, 0.0) == 0.5
    poor, good = [0.5, 0.52, 0.51], [0.97, 0.98, 0.99]
    for found in (poor, good):
        energy = {(one, n): score(one, n, found) for one in ARCHITECTURES for n in (200, 800)}
        bits = {one: score(one, None, found) for one in ARCHITECTURES}
        expected = [*judge_energy(EnergySize(), energy).expectations, *judge_bits(BitsSize(), bits).expectations]
        assert [one.bound for one in expected] == [0.75, 0.75, 0.75, 0.75, 0.75, 0.0]
        # What learns nothing breaks the promises about windows, what learns all those about dense networks.
        broken = {one.name for one in expected if one.verdict == "contradicts"}
        assert broken == (
            {"energy_convolution", "bits_convolution", "bits_local"}
            if found is poor
            else {"energy_dense", "bits_dense"}
        )


def test_half_of_the_seeds_are_no_finding() -> None:
    """Where some seeds find the bits and some do not, the spread between them reaches over the bound."""
    some = {one: score(one, None, [1.0, 0.5, 1.0, 0.5, 1.0]) for one in ARCHITECTURES}
    assert [one.verdict for one in judge_bits(BitsSize(), some).expectations] == ["not_at_this_size"] * 3 + [
        "as_expected"
    ]


def test_logits_that_differ_contradict() -> None:
    assert expect_equal_logits("borders_full", [1e-16, 0.0]).verdict == "as_expected"
    assert expect_equal_logits("borders_full", [1e-16, 1e-6]).verdict == "contradicts"


def always_in_the_first_patch(size: SignalSize, random: np.random.Generator) -> Sampler:
    """Broken on purpose: with nothing to look for, sharing gains nothing."""
    unbroken = make_signal(SignalSize(patches=1, taps=size.taps, strength=size.strength), random)

    def sample(samples: np.random.Generator, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        first, labels = unbroken(samples, n)
        rest = samples.standard_normal((n, (size.patches - 1) * size.taps), np.float32)
        return np.concatenate([first, rest], 1), labels

    return sample


@pytest.mark.parametrize("make", [make_signal, always_in_the_first_patch])
def test_a_signal_that_stays_in_its_patch_is_noticed(make) -> None:
    size = SignalSize(sizes=(32, 128, 512), num_seeds=3, learning_rates=(0.3,), steps=150)
    task = signal_task(size, 0, make)
    found = {(one, n): task.run(one, n) for one in ARCHITECTURES for n in size.sizes}
    sharing = judge_signal(size, 0, found).expectations[0]
    assert sharing.name == "signal_sharing"
    assert (sharing.verdict == "as_expected") == (make is make_signal)
