"""Settings for every training: the same trials for each corner, on draws that no result is from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import NamedTuple

from whyconv.results import SquareProtocol
from whyconv.study.draws import KEPT_APART
from whyconv.study.protocol import Training, needed_trainings, trained_as, tuned_like
from whyconv.study.trials import Job, JobResult, Settings

Run = Callable[[Sequence[Job]], Mapping[Job, JobResult]]


class _Merit(NamedTuple):
    """How settings did on pictures kept apart: over draws, the mean accuracy and the mean loss with its sign turned."""

    accuracy: float
    negative_loss: float


class Tuned(NamedTuple):
    """The settings that a training takes, and whether its rate was the least or the greatest tried."""

    settings: Settings
    is_rate_at_edge: bool


def tune(protocol: SquareProtocol, run: Run) -> dict[Training, Tuned]:
    """Tries all settings with every training that others take theirs from, and chooses.

    While some training likes a rate at an end best, the rates go on there, for all trainings alike and as often as
    the protocol allows.

    Args:
        protocol: Says what is tried.
        run: Carries jobs out. One that leaves some out tells what is known without them.

    Returns:
        For every training that is carried out, what it takes; none for those of which nothing was tried.
    """
    wanted = {one: trained_as(tuned_like(one, protocol), protocol) for one in needed_trainings(protocol)}
    rates = list(protocol.learning_rates)
    scores: dict[Training, dict[Settings, _Merit]] = {one: {} for one in wanted.values()}
    _try(protocol, run, rates, scores)
    for _ in range(protocol.most_extensions):
        best = [_chosen(one, found, protocol).learning_rate for one, found in scores.items() if found]
        more = [beyond for end, beyond in _ends(rates) if end in best]
        if not more:
            break
        _try(protocol, run, more, scores)
        rates = sorted([*rates, *more])
    ends = (rates[0], rates[-1]) if len(rates) > 1 else ()
    chosen = {one: _chosen(one, found, protocol) for one, found in scores.items() if found}
    return {
        one: Tuned(chosen[like], chosen[like].learning_rate in ends) for one, like in wanted.items() if like in chosen
    }


def tuning_jobs(protocol: SquareProtocol, rates: Sequence[float]) -> list[Job]:
    """What is run to try some rates with all decays."""
    wanted = {trained_as(tuned_like(one, protocol), protocol): None for one in needed_trainings(protocol)}
    return [_job(one, protocol, rates) for one in wanted]


def final_jobs(protocol: SquareProtocol, tuned: Mapping[Training, Tuned]) -> dict[Training, Job]:
    """What is run for the results: every training with the settings that were chosen for it, and with every draw."""
    draws = tuple(range(protocol.num_draws))
    return {one: Job(one, (like.settings,), draws, is_final=True) for one, like in tuned.items()}


def _try(
    protocol: SquareProtocol,
    run: Run,
    rates: Sequence[float],
    scores: Mapping[Training, dict[Settings, _Merit]],
) -> None:
    for job, result in run([_job(one, protocol, rates) for one in scores]).items():
        for place, settings in enumerate(job.settings):
            ends = [member[-1] for member in result.glances[place :: len(job.settings)]]
            scores[job.training][settings] = _Merit(
                fmean(one.kept for one in ends), -fmean(one.kept_loss for one in ends)
            )


def _job(training: Training, protocol: SquareProtocol, rates: Sequence[float]) -> Job:
    first = protocol.num_draws
    draws = tuple(range(first, first + protocol.num_tuning_draws))
    return Job(training, tuple(Settings(*each) for each in product(rates, protocol.decays)), draws, is_final=False)


def _chosen(training: Training, found: Mapping[Settings, _Merit], protocol: SquareProtocol) -> Settings:
    """In the middle of the settings that chance alone keeps from being the best.

    Of some 20 pictures the best accuracy is luck, and most often that of a rate at an end, for which nothing is learned
    or everything explodes. So all settings count as equal whose accuracy is less than one standard error from the
    best (the rule of Breiman et al., Classification and Regression Trees, 1984, section 3.4.3), and the middle one of
    their rates is taken: of many equal rates it is farthest from those that fail.
    """
    num_judged = training.n_train // KEPT_APART * protocol.num_tuning_draws
    best = max(merit.accuracy for merit in found.values())
    likely = (best * num_judged + 1) / (num_judged + 2)  # not 0 or 1, of which the error would be none
    least = best - (likely * (1 - likely) / max(1, num_judged)) ** 0.5
    equal = [settings for settings, merit in found.items() if merit.accuracy >= least]
    rates = sorted(settings.learning_rate for settings in equal)
    middle = rates[(len(rates) - 1) // 2], rates[len(rates) // 2]  # two of an even number
    return max((one for one in equal if one.learning_rate in middle), key=lambda one: found[one])


def _ends(rates: Sequence[float]) -> list[tuple[float, float]]:
    """Each end of the rates, and the rate beyond it by the same factor."""
    if len(rates) < 2:
        return []
    return [
        (rates[0], float(f"{rates[0] ** 2 / rates[1]:.2g}")),
        (rates[-1], float(f"{rates[-1] ** 2 / rates[-2]:.2g}")),
    ]
