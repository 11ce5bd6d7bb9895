"""What a person is told of a run while it goes on: the plan, the profile, the end of the training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from whyconv.images.decode_limit import decode_limit
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import Pictures
from whyconv.planning import Material
from whyconv.results import EpochRecord, Event, Note, Notify, Progress
from whyconv.settings import Plan
from whyconv.training.device import CPU, card_name, place_of
from whyconv.training.outcome import Outcome
from whyconv.training.profile import profile_plan
from whyconv.training.realistic import num_windows


@contextmanager
def reading_profiled(pictures: Pictures, policy: PicturePolicy, num_threads: int, notify: Notify) -> Iterator[Notify]:
    """Times the first pass over the pictures, and compares it with bare decoding at the end.

    Yields:
        Who is to be told of the pass.
    """
    marks: list[float] = []
    num_prepared = 0

    def listen(event: Event) -> None:
        nonlocal num_prepared
        notify(event)
        if isinstance(event, Note) and event.key == "store_size":
            marks.append(time.perf_counter())
        elif isinstance(event, Progress) and event.stage == "store" and event.done == event.total:
            marks.append(time.perf_counter())
            num_prepared = event.total

    yield listen
    if not num_prepared:
        notify(Note(key="profile_read_before"))
        return
    seconds = marks[-1] - marks[0]
    limit = decode_limit(pictures, policy, num_threads=num_threads)
    if limit is None:
        notify(Note(key="profile_read_other", values={"n": num_prepared, "seconds": seconds}))
        return
    bare = limit.seconds_per_picture * num_prepared
    values = {"n": num_prepared, "seconds": seconds, "bare": bare, "fraction": bare / seconds}
    notify(Note(key="profile_read", values=values | {"sampled": limit.num_sampled}))


@contextmanager
def profiled(plan: Plan, material: Material, notify: Notify) -> Iterator[Notify]:
    """Profiles a step before the training, and compares its epochs with that at the end."""
    found = profile_plan(plan, material.train.data)
    notify(Note(key="profile_step", values={**asdict(found), "fraction": found.convolution_fraction}))
    records: list[EpochRecord] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochRecord):
            records.append(event)
        notify(event)

    yield listen
    if records:
        last = records[-1]
        values = {
            "steps": last.step,
            "seconds": last.seconds,
            "above": last.seconds / last.step / found.step_seconds - 1,
        }
        notify(Note(key="profile_epoch", values=values))


def tell_plan(plan: Plan, notify: Notify) -> None:
    """Says what is about to be trained, and by what recipe."""
    network, pictures, recipe = plan.network, plan.pictures, plan.training
    sizes = {"num_train": pictures.num_train, "num_validation": pictures.num_validation, "num_test": pictures.num_test}
    shown = {"network": network.name, "side": network.side, "channels": network.in_channels}
    notify(Note(key="run_plan", values=shown | sizes))
    if plan.frozen is not None and plan.frozen.first_block < 0:
        notify(Note(key="start_plan", values={"views": len(network.views), "seed": plan.seed, "threads": plan.threads}))
        return
    if plan.device is not None and place_of(plan) == CPU:
        notify(Note(key="run_card_gone", level="warning"))
    elif plan.device is not None:
        notify(Note(key="run_card", values={"name": str(card_name())}))
    if network.members > 1:
        notify(Note(key="run_committee", values={"n": network.members}))
    if network.window:
        notify(Note(key="windows_plan", values={"window": network.window, "windows": num_windows(network)}))
    steps = {"optimizer": recipe.optimizer, "learning_rate": recipe.learning_rate, "batch": recipe.batch}
    notify(
        Note(key="run_recipe", values={**steps, "epochs": recipe.epochs, "seed": plan.seed, "threads": plan.threads})
    )


def tell_outcome(outcome: Outcome, plan: Plan, notify: Notify) -> None:
    """Says why a training ended before the end of its plan, where it did."""
    if outcome.reason == "clock" and plan.frozen is not None and not outcome.num_steps:
        return  # told when the tuning was skipped
    if outcome.reason == "no_gain":
        values = {"n": outcome.num_epochs - outcome.best_epoch, "best": outcome.best_epoch}
        notify(Note(key="run_stopped_no_gain", values=values))
    elif outcome.reason == "clock":
        values = {"epoch": outcome.num_epochs, "epochs": plan.training.epochs}
        notify(Note(key="run_stopped_clock", values=values, level="warning"))
