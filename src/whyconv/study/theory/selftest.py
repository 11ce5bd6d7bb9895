"""The four tasks one after another, the trainings of each side by side, at the size that fits the minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from whyconv.errors import UsageError
from whyconv.machine import num_cores
from whyconv.results import ARCHITECTURES, BORDERS, Notify, Theory, ignore
from whyconv.study.side_by_side import Ticks, run_jobs
from whyconv.study.theory.bits import BitsSize, bits_task, judge_bits
from whyconv.study.theory.border_networks import BordersSize, judge_borders, run_border
from whyconv.study.theory.energy import EnergySize, energy_task, judge_energy
from whyconv.study.theory.signal import SignalSize, judge_signal, signal_task
from whyconv.training.torch_habits import torch_habits


class Sizes(NamedTuple):
    """Of the four tasks, for as many minutes on two cores."""

    minutes: float
    signal: SignalSize
    energy: EnergySize
    bits: BitsSize
    borders: BordersSize


# From the least that has an interval up.
LADDER = (
    Sizes(
        1,
        SignalSize(sizes=(32, 128, 512, 2048), num_seeds=3, learning_rates=(0.03, 0.1, 0.3, 1.0)),
        EnergySize(num_seeds=3, learning_rates=(0.003, 0.01, 0.03, 0.1)),
        BitsSize(num_seeds=3, learning_rates=(0.03, 0.06, 0.12, 0.25)),
        BordersSize(num_seeds=3, learning_rates=(0.01,), epochs=8),
    ),
    Sizes(3, SignalSize(), EnergySize(), BitsSize(), BordersSize()),
    Sizes(
        10,
        SignalSize(num_seeds=10, sizes=(*SignalSize.sizes, 8192), steps=400),
        EnergySize(num_seeds=10),
        BitsSize(num_seeds=10),
        BordersSize(maps=16, n_train=2000, num_seeds=5),
    ),
)


def sizes_for(minutes: float) -> Sizes:
    """The largest that fits; the least where none does.

    Raises:
        UsageError: No minutes at all.
    """
    if not minutes > 0:
        raise UsageError(f"minutes = {minutes:g}: expected more than 0, such as --minutes 3.")
    return max((one for one in LADDER if one.minutes <= minutes), default=LADDER[0], key=lambda one: one.minutes)


def num_steps(sizes: Sizes) -> int:
    """How many steps all trainings together take."""
    borders = len(BORDERS) * sizes.borders.num_seeds * len(sizes.borders.learning_rates) * sizes.borders.steps
    trainings = sizes.signal.steps * len(sizes.signal.sizes) + 2 * sizes.energy.steps + sizes.bits.steps
    return len(ARCHITECTURES) * trainings + borders


def run_theory(
    sizes: Sizes,
    seed: int = 0,
    version: str = "",
    notify: Notify = ignore,
    *,
    check_stop: Callable[[], None] = lambda: None,
) -> Theory:
    """Trains everything and judges it.

    Args:
        sizes: Of the tasks.
        seed: Of everything random.
        version: Of whyconv, for the record.
        notify: Told how far it has come.
        check_stop: Called before every step; may raise to end it all.
    """
    began = time.perf_counter()
    ticks = Ticks(notify, check_stop, num_steps(sizes), stage="theory")
    signal, energy, bits = signal_task(sizes.signal, seed), energy_task(sizes.energy, seed), bits_task(sizes.bits, seed)
    # One thread: trainings run side by side, and their numbers do not depend on how many there are.
    with torch_habits(1):
        cores = num_cores()
        # The longest first, so that no core waits at the end.
        pairs = [(one, n) for n in reversed(sizes.signal.sizes) for one in ARCHITECTURES]
        signals = run_jobs({(one, n): partial(signal.run, one, n, ticks) for one, n in pairs}, ticks, cores)
        pairs = [(one, n) for n in (sizes.energy.many, sizes.energy.few) for one in ARCHITECTURES]
        energies = run_jobs({(one, n): partial(energy.run, one, n, ticks) for one, n in pairs}, ticks, cores)
        rows = run_jobs({one: partial(bits.run, one, None, ticks) for one in ARCHITECTURES}, ticks, cores)
        draws = [(border, draw) for draw in range(sizes.borders.num_seeds) for border in BORDERS]
        jobs = {one: partial(run_border, one[0], sizes.borders, seed, one[1], ticks) for one in draws}
        borders = run_jobs(jobs, ticks, cores)
        tasks = [
            judge_signal(sizes.signal, seed, signals),
            judge_energy(sizes.energy, energies),
            judge_bits(sizes.bits, rows),
            judge_borders(sizes.borders, borders),
        ]
    return Theory(
        minutes=sizes.minutes, seed=seed, version=version, tasks=tasks, seconds=round(time.perf_counter() - began, 1)
    )
