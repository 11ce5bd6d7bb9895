"""What a square will take: timed steps of every kind of network, times the trainings that are not kept already."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from whyconv.machine import num_cores
from whyconv.results import ArmName, Corner, Note, Notify, SquareProtocol
from whyconv.study.kept_trials import KeptTrials
from whyconv.study.protocol import Training, needed_trainings
from whyconv.study.trials import Job, JobResult, Settings, Study
from whyconv.study.tuning import final_jobs, tune, tuning_jobs
from whyconv.training.torch_habits import torch_habits

# Steps that are timed, and what scoring adds to the steps.
_PROBE_STEPS, _SCORING, _FINAL_SCORING = 4, 1.05, 1.25
# Of the exact comparison, for each weight of a dense layer with one map: about, on an ordinary core.
_EXACT_SECONDS = 1.5e-5
_OTHER_NETWORKS: tuple[ArmName, ...] = ("normalized", "same_parameters", "same_multiply_adds")


@dataclass(frozen=True)
class Left:
    """What is yet to be trained, as far as it can be known beforehand.

    Attributes:
        tuning: To choose settings.
        final: For the results.
        may_extend: Whether settings that nobody has tried yet may ask for more rates.
        num_kept: Networks that need not be trained, for they were before.
    """

    tuning: list[Job]
    final: list[Training]
    may_extend: bool
    num_kept: int

    @property
    def num_tuning(self) -> int:
        """Networks to choose settings with."""
        return _num_networks(self.tuning)


def left_to_train(protocol: SquareProtocol, kept: KeptTrials) -> Left:
    """Goes through a protocol with the results that are there, and collects what is missing.

    Args:
        protocol: What is to be trained.
        kept: Results of trainings that were carried out before.
    """
    missing: dict[Job, None] = {}
    there: dict[Job, None] = {}

    def run(jobs: Sequence[Job]) -> Mapping[Job, JobResult]:
        found = {job: result for job in jobs if (result := kept.get(protocol, job)) is not None}
        there.update(dict.fromkeys(found))
        missing.update(dict.fromkeys(job for job in jobs if job not in found))
        return found

    final = final_jobs(protocol, tune(protocol, run))
    run(list(final.values()))
    return Left(
        tuning=[job for job in missing if not job.is_final],
        final=[one for one in needed_trainings(protocol) if one not in final or final[one] in missing],
        may_extend=protocol.most_extensions > 0 and any(job in missing for job in _first_jobs(protocol)),
        num_kept=_num_networks(list(there)),
    )


def predict_seconds(study: Study, kept: KeptTrials) -> Callable[[SquareProtocol], float]:
    """Times a few steps of every kind of network on this machine.

    Args:
        study: Whose protocol has every arm that is asked for later.
        kept: Results that need not be trained for.

    Returns:
        From a protocol to how many seconds it would take.
    """
    kinds = dict.fromkeys(_kind(one) for one in needed_trainings(study.protocol))
    with torch_habits(1):
        seconds = {kind: _step_seconds(study, *kind) for kind in kinds}

    def of_jobs(jobs: Sequence[Job]) -> float:
        return sum(seconds[_kind(job.training)] * _num_networks([job]) for job in jobs)

    def predict(protocol: SquareProtocol) -> float:
        left = left_to_train(protocol, kept)
        final = sum(seconds[_kind(one)] for one in left.final) * protocol.num_draws
        tuned = of_jobs(left.tuning)
        if left.may_extend:  # most often once, and then for all trainings
            tuned += of_jobs(_first_jobs(protocol)) / len(protocol.learning_rates)
        exact = 1 + _EXACT_SECONDS * protocol.channels * protocol.side**4
        return exact + protocol.steps * (_FINAL_SCORING * final + _SCORING * tuned) / num_cores()

    return predict


def tell_bill(protocol: SquareProtocol, kept: KeptTrials, seconds: float, notify: Notify) -> None:
    """Says how many networks will be trained, about how long that takes, and how many need not be."""
    left = left_to_train(protocol, kept)
    values = {"tuned": left.num_tuning, "final": len(left.final) * protocol.num_draws, "seconds": round(seconds)}
    notify(Note(key="square_plan", values=values | {"steps": protocol.steps, "side": protocol.side}))
    if left.num_kept:
        notify(Note(key="square_kept", values={"n": left.num_kept}))


def _first_jobs(protocol: SquareProtocol) -> list[Job]:
    return tuning_jobs(protocol, protocol.learning_rates)


def _num_networks(jobs: Sequence[Job]) -> int:
    return sum(len(job.settings) * len(job.draws) for job in jobs)


def _kind(training: Training) -> tuple[Corner, ArmName]:
    """What the time of a step depends on: networks of other sizes, or with a normalization, are a kind of their own."""
    return training.corner, training.arm if training.arm in _OTHER_NETWORKS else "plain"


def _step_seconds(study: Study, corner: Corner, arm: ArmName) -> float:
    """Of one step of one network, in a stack of the usual size."""
    training = Training(corner, "moved", "signs", study.protocol.sizes[-1], arm)
    settings = tuple(Settings(rate, 0.0) for rate in study.protocol.learning_rates)
    members = study.groups(Job(training, settings, tuple(range(study.protocol.num_draws)), is_final=False))[0]
    study.train(training, members, 1)  # what is slow only once
    began = time.perf_counter()
    study.train(training, members, _PROBE_STEPS)
    return (time.perf_counter() - began) / (_PROBE_STEPS * len(members))
