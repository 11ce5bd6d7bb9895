"""Trainings side by side: one on each core, each of them computing with one thread.

So no thread waits for another inside a step, and the numbers do not depend on how many cores there are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from threading import Lock
from typing import TypeVar

import torch

from whyconv.machine import memory_bytes, num_cores
from whyconv.results import Notify, Progress
from whyconv.study.kept_trials import KeptTrials
from whyconv.study.trials import Job, JobResult, Study

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class EndedError(Exception):
    """Another training has failed or was stopped: this one need not go on."""


class Ticks:
    """Counts the steps of all trainings, tells how far they have come, and ends them all when one ends badly.

    Args:
        notify: Told after every step.
        check_stop: Called before every step; may raise.
        total: Steps of all trainings.
        stage: What they are for.
    """

    def __init__(self, notify: Notify, check_stop: Callable[[], None], total: int, stage: str) -> None:
        self._notify, self._check_stop, self._stage = notify, check_stop, stage
        self._done, self._total = 0, total
        self._lock = Lock()
        self._is_over = False

    def __call__(self) -> None:
        """Counts one step that is about to be taken.

        Raises:
            EndedError: Another training has ended badly.
        """
        with self._lock:
            if self._is_over:
                raise EndedError
            self._check_stop()
            self._done += 1
            self._notify(Progress(stage=self._stage, done=self._done, total=self._total))

    def end(self) -> None:
        """Lets no training take another step."""
        self._is_over = True


def run_side_by_side(
    study: Study, jobs: Sequence[Job], kept: KeptTrials, notify: Notify, check_stop: Callable[[], None], *, stage: str
) -> dict[Job, JobResult]:
    """Runs all jobs, as many at once as there are cores and as half of the memory can hold.

    Args:
        study: What they share.
        jobs: To be run; those with results that are kept are not.
        kept: Where results are, and go as soon as they are there.
        notify: Told how far they have come.
        check_stop: Called before every step, from any thread; may raise to end them all.
        stage: What progress is called.
    """
    left = [job for job in jobs if kept.get(study.protocol, job) is None]
    ticks = Ticks(notify, check_stop, sum(study.num_steps(job) for job in left), stage)
    # The longest first, so that no core is left alone with one at the end.
    left.sort(key=study.job_bytes, reverse=True)
    run_jobs({job: partial(_carry_out, study, job, kept, ticks) for job in left}, ticks, _num_at_once(study, left))
    found = {job: kept.get(study.protocol, job) for job in jobs}
    return {job: result for job, result in found.items() if result is not None}


def run_jobs(jobs: Mapping[Key, Callable[[], Value]], ticks: Ticks, num_at_once: int) -> dict[Key, Value]:
    """Runs jobs on threads of their own; where one fails, or the process is interrupted, all end at their next tick.

    Args:
        jobs: Each calls ``ticks`` before every step.
        ticks: Of all jobs together.
        num_at_once: As many run at a time.
    """
    with ThreadPoolExecutor(num_at_once, initializer=_habits) as pool:
        futures = {key: pool.submit(job) for key, job in jobs.items()}
        try:
            ended, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
            failed = next((one.exception() for one in ended if one.exception()), None)
            if failed is not None:
                raise failed
        except BaseException:
            ticks.end()
            pool.shutdown(cancel_futures=True)
            raise
        return {key: future.result() for key, future in futures.items()}


def _carry_out(study: Study, job: Job, kept: KeptTrials, ticks: Ticks) -> None:
    kept.put(study.protocol, job, study.run(job, ticks))


def _num_at_once(study: Study, jobs: Sequence[Job]) -> int:
    largest = max((study.job_bytes(job) for job in jobs), default=1)
    memory = memory_bytes()
    return num_cores() if memory is None else max(1, min(num_cores(), memory // 2 // largest))


def _habits() -> None:
    """What torch keeps for each thread by itself."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
