"""Settings for every training: the same trials for each corner, on draws that no result is from.

They are looked for far and wide with all pictures, and from there nearby: for smaller sets, on whose few pictures kept
apart the best is luck, and for longer trainings. How long a training is, is a setting too: one that has not learned
its own pictures goes on, since what it gets wrong may be training and not structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import NamedTuple

from whyconv.results import LEARNED, SquareProtocol
from whyconv.study.draws import KEPT_APART, MOST_KEPT
from whyconv.study.protocol import Training, at_largest_size, needed_trainings, tuned_like
from whyconv.study.trials import Job, JobResult, Settings

Run = Callable[[Sequence[Job]], Mapping[Job, JobResult]]
# How many times the protocol's steps a training takes next, while it has not learned.
LONGER = (3, 10)


class _Merit(NamedTuple):
    """How settings did, as means over draws.

    Attributes:
        accuracy: On pictures kept apart.
        negative_loss: The loss there with its sign turned.
        learned: Accuracy on pictures learned from.
    """

    accuracy: float
    negative_loss: float
    learned: float


class Tuned(NamedTuple):
    """The settings that a training takes, and for how many times the protocol's steps.

    Attributes:
        settings: For that long.
        times: How many times the steps.
        same_steps: Its settings for the steps that all take.
        is_rate_at_edge: Whether its rate was the least or the greatest tried.
        rates: All that were tried, with every decay, for every training alike; rising.
    """

    settings: Settings
    times: int
    same_steps: Settings
    is_rate_at_edge: bool
    rates: tuple[float, ...]


def tune(protocol: SquareProtocol, run: Run) -> dict[Training, Tuned]:
    """Tries settings with every training that others take theirs from, and chooses.

    While some training likes a rate at an end best, the rates go on there, for all trainings alike and as often as
    the protocol allows.

    Args:
        protocol: Says what is tried.
        run: Carries jobs out. One that leaves some out tells what is known without them.

    Returns:
        For every training that is carried out, what it takes; none for those of which nothing was tried. Random labels
        are learned as long by every corner as any training takes: steps until they are fitted are compared, and along
        a longer training learning rates fall later.
    """
    wanted = {one: tuned_like(one, protocol) for one in needed_trainings(protocol)}
    roots = {like: at_largest_size(like, protocol) for like in wanted.values()}
    widely = _Tries(protocol, run)
    rates = widely.far_and_wide(dict.fromkeys(roots.values()))
    found = widely.choices()
    chosen = {like: found[root] for like, root in roots.items() if root in found}
    if protocol.tunes_each_size or protocol.most_times > 1:
        smaller = {like: one for like, one in chosen.items() if like not in found}
        chosen |= _Tries(protocol, run).nearby(smaller, rates)
    same_steps = dict(chosen)
    for times in LONGER:
        if times > protocol.most_times:
            break
        unlearned = {like: one for like, one in chosen.items() if one.learned < LEARNED}
        longer = _Tries(protocol, run, times).nearby(unlearned, rates)
        # One that explodes on the way has learned less: the shorter one stays.
        chosen |= {like: one for like, one in longer.items() if one.learned >= chosen[like].learned}
    ends = (rates[0], rates[-1]) if len(rates) > 1 else ()
    return {
        one: Tuned(
            chosen[like].settings,
            protocol.most_times if one.arm == "random_labels" else chosen[like].times,
            same_steps[like].settings,
            chosen[like].settings.learning_rate in ends,
            tuple(rates),
        )
        for one, like in wanted.items()
        if like in chosen
    }


def wide_jobs(protocol: SquareProtocol, rates: Sequence[float]) -> list[Job]:
    """What is run to try some rates with all decays, far and wide."""
    like = (tuned_like(one, protocol) for one in needed_trainings(protocol))
    roots = dict.fromkeys(at_largest_size(one, protocol) for one in like)
    return [_job(one, protocol, product(rates, protocol.decays)) for one in roots]


def final_jobs(protocol: SquareProtocol, tuned: Mapping[Training, Tuned]) -> dict[Training, Job]:
    """What is run for the results: every training with the settings that were chosen for it, and with every draw."""
    return {one: _final_job(one, protocol, like.settings, like.times) for one, like in tuned.items()}


def same_steps_jobs(protocol: SquareProtocol, tuned: Mapping[Training, Tuned]) -> dict[Training, Job]:
    """The same for as many steps as all others take; random labels have no accuracy that is told."""
    scored = {one: like for one, like in tuned.items() if one.arm != "random_labels"}
    return {one: _final_job(one, protocol, like.same_steps, 1) for one, like in scored.items()}


class _Choice(NamedTuple):
    """What a training takes, and how much of its own pictures it then learns."""

    settings: Settings
    times: int
    learned: float


class _Tries:
    """What was tried with some trainings of one length.

    Args:
        protocol: Says what is tried.
        run: Carries jobs out.
        times: How many times the protocol's steps they take.
    """

    def __init__(self, protocol: SquareProtocol, run: Run, times: int = 1) -> None:
        self._protocol, self._run, self._times = protocol, run, times
        self._merits: dict[Training, dict[Settings, _Merit]] = {}

    def far_and_wide(self, trainings: Iterable[Training]) -> list[float]:
        """Tries all rates with all decays, and rates beyond the ends; returns those that were tried, rising."""
        protocol, trainings = self._protocol, list(trainings)
        rates = list(protocol.learning_rates)
        self._try({one: product(rates, protocol.decays) for one in trainings})
        for _ in range(protocol.most_extensions):
            best = [one.settings.learning_rate for one in self.choices().values()]
            more = [beyond for end, beyond in _ends(rates) if end in best]
            if not more:
                break
            self._try({one: product(more, protocol.decays) for one in trainings})
            rates = sorted([*rates, *more])
        return rates

    def nearby(self, choices: Mapping[Training, _Choice], rates: Sequence[float]) -> dict[Training, _Choice]:
        """Tries with each training what was chosen elsewhere, and where the protocol says so the rates beside it."""
        reach = 1 if self._protocol.tunes_each_size else 0

        def near(one: Settings) -> Iterable[tuple[float, float]]:
            place = rates.index(one.learning_rate)
            return product(rates[max(0, place - reach) : place + reach + 1], [one.decay])

        self._try({training: near(one.settings) for training, one in choices.items()})
        return self.choices()

    def choices(self) -> dict[Training, _Choice]:
        """What every training takes."""
        found = {}
        for training, merits in self._merits.items():
            settings = _chosen(training, merits, self._protocol)
            found[training] = _Choice(settings, self._times, merits[settings].learned)
        return found

    def _try(self, trials: Mapping[Training, Iterable[tuple[float, float]]]) -> None:
        jobs = [_job(one, self._protocol, some, self._times) for one, some in trials.items()]
        for job, result in (self._run(jobs) if jobs else {}).items():
            for place, settings in enumerate(job.settings):
                ends = [member[-1] for member in result.glances[place :: len(job.settings)]]
                self._merits.setdefault(job.training, {})[settings] = _Merit(
                    fmean(one.kept for one in ends),
                    -fmean(one.kept_loss for one in ends),
                    fmean(one.train for one in ends),
                )


def _job(training: Training, protocol: SquareProtocol, settings: Iterable[tuple[float, float]], times: int = 1) -> Job:
    first = protocol.num_draws
    draws = tuple(range(first, first + protocol.num_tuning_draws))
    return Job(training, tuple(Settings(*each) for each in settings), draws, is_final=False, times=times)


def _final_job(training: Training, protocol: SquareProtocol, settings: Settings, times: int) -> Job:
    return Job(training, (settings,), tuple(range(protocol.num_draws)), is_final=True, times=times)


def _chosen(training: Training, found: Mapping[Settings, _Merit], protocol: SquareProtocol) -> Settings:
    """In the middle of the settings that chance alone keeps from being the best.

    Of some 20 pictures the best accuracy is luck, and most often that of a rate at an end, for which nothing is learned
    or everything explodes. So all settings count as equal whose accuracy is less than one standard error from the
    best (the rule of Breiman et al., Classification and Regression Trees, 1984, section 3.4.3), and the middle one of
    their rates is taken: of many equal rates it is farthest from those that fail. Settings that have learned less than
    half of what others have are no choice: where nearly all guess, they are as good as any by chance.
    """
    num_judged = min(MOST_KEPT, training.n_train // KEPT_APART) * protocol.num_tuning_draws
    most_learned = max(merit.learned for merit in found.values())
    found = {settings: merit for settings, merit in found.items() if merit.learned >= most_learned / 2}
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
