"""How much the networks of a square take of the memory: their width is chosen by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest

from small_square import small_pictures
from whyconv.results import CORNERS
from whyconv.study import Study, make_protocol, side_by_side, whole
from whyconv.study.protocol import needed_trainings
from whyconv.study.trials import Job, Settings

_GIGABYTE = 10**9


def jobs_of(study: Study) -> Iterator[Job]:
    """Every training of a protocol, with as many members as the most that are trained together."""
    protocol = study.protocol
    num_rates = len(protocol.learning_rates) + 2 * protocol.most_extensions
    settings = tuple(Settings(0.1, decay) for decay in protocol.decays * num_rates)
    for training in needed_trainings(protocol):
        yield Job(training, settings, tuple(range(protocol.num_draws)), is_final=False)


@pytest.mark.parametrize("side", [8, 16, 32])
def test_four_corners_in_color_are_trained_at_a_time_in_half_of_4_gb(
    side: Literal[8, 16, 32], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = make_protocol(whole(), side=side, channels=3, num_train=50_000, num_classes=100, seed=0)
    study = Study(replace(small_pictures(), num_classes=100), protocol, {})
    jobs = list(jobs_of(study))
    assert {job.training.corner for job in jobs} == set(CORNERS)
    monkeypatch.setattr(side_by_side, "num_cores", lambda: len(CORNERS))
    monkeypatch.setattr(side_by_side, "memory_bytes", lambda: 4 * _GIGABYTE)
    # The largest job of all stands for each of those at a time; the other half is for pictures, maps and torch.
    assert side_by_side._num_at_once(study, jobs) == len(CORNERS)
    assert len(CORNERS) * max(map(study.job_bytes, jobs)) <= 2 * _GIGABYTE
