"""What a square will take: timed steps of every kind of network, times the trainings that are not kept already."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from whyconv.machine import num_cores
from whyconv.results import ArmName, Corner, Note, Notify, SquareProtocol
from whyconv.study.draws import scored_rows
from whyconv.study.kept_trials import KeptTrials
from whyconv.study.protocol import Training, needed_trainings
from whyconv.study.trials import Glance, Job, JobResult, Settings, Study
from whyconv.study.tuning import final_jobs, same_steps_jobs, tune, wide_jobs
from whyconv.training.torch_habits import torch_habits

# Steps that are timed, and what scoring adds to the steps.
_PROBE_STEPS, _SCORING, _FINAL_SCORING = 4, 1.05, 1.25
# Of a batch that is only looked at, beside a step on it.
_STEPS_A_LOOK = 0.4
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
    final: list[Job]
    may_extend: bool
    num_kept: int

    @property
    def num_tuning(self) -> int:
        """Networks to choose settings with."""
        return _num_networks(self.tuning)

    @property
    def num_final(self) -> int:
        """Networks for the results."""
        return _num_networks(self.final)


def left_to_train(protocol: SquareProtocol, kept: KeptTrials) -> Left:
    """Goes through a protocol with the results that are there, and collects what is missing.

    What is not there is taken to need the longest training wherever it may, so that this is seldom too little.

    Args:
        protocol: What is to be trained.
        kept: Results of trainings that were carried out before.
    """
    missing: dict[Job, None] = {}
    there: dict[Job, None] = {}

    def run(jobs: Sequence[Job]) -> Mapping[Job, JobResult]:
        found = {job: kept.get(protocol, job) for job in jobs}
        there.update(dict.fromkeys(job for job, result in found.items() if result is not None))
        missing.update(dict.fromkeys(job for job, result in found.items() if result is None))
        return {job: result or _guessed(job) for job, result in found.items()}

    tuned = tune(protocol, run)
    run([*final_jobs(protocol, tuned).values(), *same_steps_jobs(protocol, tuned).values()])
    return Left(
        tuning=[job for job in missing if not job.is_final],
        final=[job for job in missing if job.is_final],
        may_extend=protocol.most_extensions > 0 and any(job in missing for job in _first_jobs(protocol)),
        num_kept=_num_networks(list(there)),
    )


def _guessed(job: Job) -> JobResult:
    """A result of no settings' favor: dense and local networks learn pictures that stand still, the others are slow."""
    is_quick = job.training.corner in ("dense", "local") and job.training.place == "still"
    one = Glance(step=1, train=1.0 if is_quick else 0.5, kept=0.5, kept_loss=1.0)
    return JobResult(glances=[[one]] * _num_networks([job]))


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
        return sum(seconds[_kind(job.training)] * _num_networks([job]) * job.times for job in jobs)

    def averaging(jobs: Sequence[Job]) -> float:
        num_asked = len(scored_rows(study.pictures.test, study.protocol.most_scored))
        steps = _STEPS_A_LOOK * (2 * study.protocol.shift + 1) ** 2 * num_asked / study.protocol.batch
        return sum(
            seconds[_kind(job.training)] * _num_networks([job]) * steps for job in jobs if job.training.arm == "shifts"
        )

    def predict(protocol: SquareProtocol) -> float:
        left = left_to_train(protocol, kept)
        tuned = of_jobs(left.tuning)
        if left.may_extend:  # most often once, and then for all trainings
            tuned += of_jobs(_first_jobs(protocol)) / len(protocol.learning_rates)
        exact = 1 + _EXACT_SECONDS * protocol.channels * protocol.side**4
        steps = protocol.steps * (_FINAL_SCORING * of_jobs(left.final) + _SCORING * tuned)
        return exact + (steps + averaging(left.final)) / num_cores()

    return predict


def tell_bill(protocol: SquareProtocol, kept: KeptTrials, seconds: float, notify: Notify) -> None:
    """Says how many networks will be trained, about how long that takes, and how many need not be."""
    left = left_to_train(protocol, kept)
    values = {"tuned": left.num_tuning, "final": left.num_final, "seconds": round(seconds), "side": protocol.side}
    values |= {"steps": protocol.steps, "most": protocol.most_steps}
    notify(Note(key="square_plan" if protocol.most_times == 1 else "square_plan_longer", values=values))
    if left.num_kept:
        notify(Note(key="square_kept", values={"n": left.num_kept}))


def tell_left_out(names: Sequence[str], notify: Notify) -> None:
    """Says how many parts of a protocol do not fit into the minutes, and which; nothing where there are none."""
    if names:
        notify(Note(key="why_left_out", values={"n": len(names)}))
        notify(
            Note(key="why_left_out_parts", values={"parts": _listed([Note(key=f"why_part_{one}") for one in names])})
        )


def _listed(notes: Sequence[Note]) -> Note:
    """One note that says all of them, with commas between, in whatever language."""
    first, *rest = notes
    return Note(key="square_listed", values={"first": first, "rest": _listed(rest)}) if rest else first


def _first_jobs(protocol: SquareProtocol) -> list[Job]:
    return wide_jobs(protocol, protocol.learning_rates)


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
