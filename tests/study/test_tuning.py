"""Which settings are taken: the middle of those that chance alone keeps from being the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from small_square import SMALL
from whyconv.results import Corner, SquareProtocol
from whyconv.study.trials import Glance, Job, JobResult, Settings
from whyconv.study.tuning import Run, same_steps_jobs, tune

RATES = [0.001, 0.01, 0.1, 1.0, 10.0]
FEW = SMALL.model_copy(update={"learning_rates": RATES, "decays": [0.0], "controlled": [], "sizes": [50]})
MANY = FEW.model_copy(update={"sizes": [50_000]})


def answering(
    accuracy: Callable[[Settings], float],
    loss: Callable[[Settings], float] = lambda settings: 1.0,
    learned: Callable[[Job, Settings], float] = lambda job, settings: 1.0,
) -> Run:
    def run(jobs: Sequence[Job]) -> dict[Job, JobResult]:
        return {job: JobResult(glances=[[glance(job, one)] for _ in job.draws for one in job.settings]) for job in jobs}

    def glance(job: Job, settings: Settings) -> Glance:
        return Glance(step=1, train=learned(job, settings), kept=accuracy(settings), kept_loss=loss(settings))

    return run


def rates_taken(run: Run, few: bool = True) -> set[float]:
    return {one.settings.learning_rate for one in tune(FEW if few else MANY, run).values()}


def test_of_equal_rates_the_middle_one_is_taken() -> None:
    assert rates_taken(answering(lambda settings: 0.5)) == {0.1}


def test_a_lucky_rate_at_an_end_is_not_followed_where_few_pictures_judge() -> None:
    """Ten pictures of each of two draws: one more right answer is 5 points, and the error 11."""
    run = answering(lambda settings: 0.55 if settings.learning_rate == RATES[0] else 0.5)
    assert rates_taken(run) == {0.1}


def test_where_many_pictures_judge_the_best_is_taken() -> None:
    """10,000 pictures of each draw: 5 points are 14 errors."""
    run = answering(lambda settings: 0.55 if settings.learning_rate == RATES[0] else 0.5)
    assert rates_taken(run, few=False) == {RATES[0]}


def test_what_is_clearly_worse_is_not_taken_by_few_pictures_either() -> None:
    assert rates_taken(answering(lambda settings: 0.9 if settings.learning_rate >= 1 else 0.3)) == {1.0}


def test_at_the_rate_taken_the_decay_is_of_the_best_accuracy_and_then_of_the_least_loss() -> None:
    protocol = FEW.model_copy(update={"decays": [0.0, 0.01, 0.1]})
    by_accuracy = tune(protocol, answering(lambda settings: 0.5 + settings.decay / 100))
    by_loss = tune(protocol, answering(lambda settings: 0.5, lambda settings: 1 + abs(settings.decay - 0.01)))
    assert {one.settings.decay for one in by_accuracy.values()} == {0.1}
    assert {one.settings.decay for one in by_loss.values()} == {0.01}


def test_rates_that_were_tried_are_told_also_where_none_of_them_is_taken() -> None:
    """One corner likes the greatest rate best: the next is tried for all, and better for none."""
    once = MANY.model_copy(update={"most_extensions": 1})
    tried: set[float] = set()

    def noting(jobs: Sequence[Job]) -> dict[Job, JobResult]:
        tried.update(one.learning_rate for job in jobs for one in job.settings)
        return answering(lambda settings: 0.9 if settings.learning_rate == RATES[-1] else 0.5)(jobs)

    found = tune(once, noting).values()
    assert {one.settings.learning_rate for one in found} == {RATES[-1]}
    assert {one.rates for one in found} == {(*RATES, 100.0)}
    assert tried == {*RATES, 100.0}


def test_where_nothing_is_tried_nothing_is_taken() -> None:
    assert tune(FEW, lambda jobs: {}) == {}


def test_luck_seldom_leads_to_an_end() -> None:
    """Accuracies of 20 pictures, told apart by chance alone: the best of five rates lies at an end in two of five."""
    random = np.random.Generator(np.random.Philox(1))

    def lucky(settings: Settings) -> float:
        return random.binomial(20, 0.15) / 20

    one_draw = FEW.model_copy(update={"num_tuning_draws": 1, "sizes": [100]})
    taken = [one.is_rate_at_edge for _ in range(60) for one in tune(one_draw, answering(lucky)).values()]
    assert np.mean(taken) < 0.25


def test_settings_that_learn_nothing_are_not_the_middle_of_those_that_guess_as_well() -> None:
    run = answering(lambda settings: 0.2, learned=lambda job, settings: 0.9 if settings.learning_rate >= 1 else 0.2)
    assert rates_taken(run) == {1.0}


LONG = SMALL.model_copy(
    update={"learning_rates": RATES, "controlled": [], "sizes": [50, 400], "most_times": 10, "tunes_each_size": True}
)


def lengths(protocol: SquareProtocol, learned: Callable[[Job, Settings], float]) -> dict[tuple[Corner, int], int]:
    """How many times the steps each corner takes with each number of pictures."""
    tuned = tune(protocol, answering(lambda settings: 0.5, learned=learned))
    return {(one.corner, one.n_train): like.times for one, like in tuned.items() if one.place == "still"}


def test_what_has_not_learned_its_own_pictures_goes_on() -> None:
    def learned(job: Job, settings: Settings) -> float:
        needed = {"dense": 1, "local": 1, "shared_global": 3, "convolution": 30}[job.training.corner]
        return 1.0 if job.times >= needed or (job.training.n_train, job.training.corner) == (50, "convolution") else 0.6

    found = lengths(LONG, learned)
    assert {times for (corner, _), times in found.items() if corner in ("dense", "local")} == {1}
    assert {times for (corner, _), times in found.items() if corner == "shared_global"} == {3}
    assert found["convolution", 400], found["convolution", 50] == (10, 1)
    most_three = lengths(LONG.model_copy(update={"most_times": 3}), learned)
    assert most_three["convolution", 400] == 3
    assert set(lengths(LONG.model_copy(update={"most_times": 1}), learned).values()) == {1}


def test_random_labels_are_learned_as_long_by_every_corner_however_soon_it_knows_true_ones() -> None:
    protocol = LONG.model_copy(update={"arms": ["random_labels"]})
    found = tune(protocol, answering(lambda one: 0.5, learned=lambda job, _: float(job.training.corner == "dense")))
    lengths = {one.corner: like.times for one, like in found.items() if one.arm == "random_labels"}
    assert lengths == dict.fromkeys(lengths, 10)
    assert len(lengths) == 4
    of_dense = {like.times for one, like in found.items() if (one.corner, one.arm) == ("dense", "plain")}
    assert of_dense == {1}
    assert {one.arm for one in same_steps_jobs(protocol, found)} == {"plain"}


def test_a_longer_training_may_take_the_rate_beside_and_keeps_what_the_same_steps_took() -> None:
    tried: list[tuple[int, int, list[float]]] = []

    def run(jobs: Sequence[Job]) -> dict[Job, JobResult]:
        tried.extend(
            (job.times, job.training.n_train, [one.learning_rate for one in job.settings])
            for job in jobs
            if job.training == job.training._replace(corner="convolution", place="still")
        )
        return {job: JobResult(glances=[[glance(job, one)] for _ in job.draws for one in job.settings]) for job in jobs}

    def glance(job: Job, settings: Settings) -> Glance:
        best = 0.1 if job.times == 1 else 0.01
        return Glance(step=1, train=0.6, kept=0.9 if settings.learning_rate == best else 0.3, kept_loss=1.0)

    tuned = tune(LONG.model_copy(update={"most_times": 3}), run)
    assert {(one.settings.learning_rate, one.same_steps.learning_rate, one.times) for one in tuned.values()} == {
        (0.01, 0.1, 3)
    }
    beside = [0.01, 0.1, 1.0]
    assert sorted(tried) == [(1, 50, beside), (1, 400, RATES), (3, 50, beside), (3, 400, beside)]
    tried.clear()
    tune(LONG.model_copy(update={"most_times": 3, "tunes_each_size": False}), run)
    assert sorted(tried) == [(1, 50, [0.1]), (1, 400, RATES), (3, 50, [0.1]), (3, 400, [0.1])]


def test_a_longer_training_that_explodes_does_not_count() -> None:
    def learned(job: Job, settings: Settings) -> float:
        return {1: 0.6, 3: 0.8, 10: 0.1}[job.times]

    assert set(lengths(LONG, learned).values()) == {3}
