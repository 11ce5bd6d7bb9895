"""A plan, its pictures and a run folder -> a trained network and everything that a run consists of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from torch import nn

from whyconv.errors import StoppedError, UsageError
from whyconv.files import digest
from whyconv.finishing import finish, read_summary
from whyconv.planning import Material
from whyconv.pretrained import FrozenStart, Learned, open_start_of
from whyconv.results import Note, Notify, RunSummary
from whyconv.settings import Plan
from whyconv.telling import tell_outcome, tell_plan
from whyconv.texts import as_typed
from whyconv.together import gather, note_launch, train_on
from whyconv.training.checkpoint import load_weights
from whyconv.training.distributed import ALONE, Group
from whyconv.training.manifest import write_manifest
from whyconv.training.outcome import Outcome
from whyconv.training.rotation import states
from whyconv.training.run_folder import CHECKPOINTS, PLAN, SUMMARY, WEIGHTS, write_plan
from whyconv.training.start import start_network
from whyconv.training.stopping import stop_requests, stops_say_how_to_go_on
from whyconv.training.torch_habits import torch_habits


def carry_out(  # noqa: PLR0913
    plan: Plan,
    material: Material,
    folder: Path,
    *,
    began: float,
    notify: Notify,
    is_new: bool = True,
    start: FrozenStart | None = None,
    end: float = math.inf,
    only_model: bool = False,
    threads: int | None = None,
    group: Group = ALONE,
) -> RunSummary:
    """Trains by the plan and writes everything that a run consists of.

    Args:
        plan: Of the run.
        material: Its pictures.
        folder: The run folder, whose lock is held.
        began: When the command began, on the clock of ``time.perf_counter``.
        notify: Told of notes, progress and epochs.
        is_new: Whether the folder has no plan yet.
        start: The frozen network that the run starts from, where it is open already.
        end: Deadline of the training, on the same clock.
        only_model: No report, maps, tables or examples.
        threads: Of the processor; by default those of the plan.
        group: The processes that train together; this one leads them.

    Raises:
        StoppedError: Ctrl-C, SIGTERM or SIGHUP.
        UsageError: The plan was changed since the run ended.
    """
    with torch_habits(threads or plan.threads):
        network = None
        group = _who_trains(group, plan, folder, notify)
        if plan.frozen is None:
            pixels, reads_file = material.train.data.pixels, not _has_weights(folder)
            gather(group, plan, reads_file=reads_file)
            network = start_network(plan, notify, pixels=pixels, reads_file=reads_file, group=group)
        tell_plan(plan, notify)
        with stops_say_how_to_go_on(f"whyconv train --resume {as_typed(folder)}"):
            if is_new:
                _write_beginning(folder, plan, material)
            with stop_requests() as stop_requested:
                learned = None
                if network is None:
                    outcome, learned = _learn(plan, material, folder, start, notify, stop_requested)
                    network = learned.network
                elif (ended := _ended_before(folder, network, plan)) is not None:
                    outcome = ended
                else:
                    outcome = train_on(
                        network,
                        material,
                        plan,
                        folder=folder,
                        notify=notify,
                        stop_requested=stop_requested,
                        deadline=end,
                        group=group,
                    )
                if code := stop_requested():
                    raise StoppedError("Stopped.", exit_code=code)
            tell_outcome(outcome, plan, notify)
            return finish(
                *(folder, network, plan, material, outcome),
                began=began,
                only_model=only_model,
                learned=learned,
                group=group,
            )


def _who_trains(group: Group, plan: Plan, folder: Path, notify: Notify) -> Group:
    """Others have no part in a training that has ended, or that learns on features of a frozen network."""
    if group.size > 1 and plan.frozen is not None:
        notify(Note(key="run_frozen_alone", values={"processes": group.size}, level="warning"))
    return ALONE if plan.frozen is not None or (folder / SUMMARY).exists() else group


def _write_beginning(folder: Path, plan: Plan, material: Material) -> None:
    """What a run folder has before step 1."""
    write_manifest(folder, material.division.rows())
    write_plan(folder, plan)
    note_launch(folder)


def _learn(
    plan: Plan,
    material: Material,
    folder: Path,
    start: FrozenStart | None,
    notify: Notify,
    stop_requested: Callable[[], int],
) -> tuple[Outcome, Learned]:
    """Learns on the plan's frozen network; where the run had ended before, the same once more.

    Raises:
        UsageError: The plan was changed since.
    """
    summary = _summary_of(folder, plan) if (folder / SUMMARY).exists() else None
    last_step = summary.num_steps if summary is not None and summary.stopped == "clock" else None
    start = start or open_start_of(plan, folder / CHECKPOINTS)
    outcome, learned = start.learn(
        plan, material, folder, notify=notify, stop_requested=stop_requested, last_step=last_step
    )
    if summary is not None:
        outcome = replace(outcome, seconds=summary.seconds, had_ended=True)
    return outcome, learned


def _has_weights(folder: Path) -> bool:
    """Whether the run has weights of its own already, so that those it started from are not needed."""
    return (folder / SUMMARY).exists() or bool(states(folder / CHECKPOINTS))


def _ended_before(folder: Path, network: nn.Module, plan: Plan) -> Outcome | None:
    """Puts the weights of a finished run into ``network``; None where its training has not ended.

    Raises:
        UsageError: The plan was changed since.
    """
    if not (folder / SUMMARY).exists():
        return None
    summary = _summary_of(folder, plan)
    load_weights(folder / WEIGHTS, network)
    return Outcome(
        summary.best_epoch,
        summary.num_epochs,
        summary.num_steps,
        summary.seconds,
        what_ended(summary, plan) or "planned",
        tuple(summary.skipped_steps),
        had_ended=True,
    )


def _summary_of(folder: Path, plan: Plan) -> RunSummary:
    """Reads the summary of a run that has ended, and makes sure that it was made by ``plan``."""
    summary = read_summary(folder)
    if not is_made_by(summary, plan, folder / PLAN):
        raise UsageError(
            f"{folder}/run.toml is not the plan that this run was made by. Put it back as it was; to train anew by the "
            f"changed plan:  whyconv train --config {as_typed(folder / PLAN)}"
        )
    return summary


def what_ended(summary: RunSummary, plan: Plan) -> Literal["", "planned", "no_gain", "clock"]:
    """Why a training ended; also where an earlier version took an end by the clock in the last epoch for the plan's."""
    recipe = plan.training
    whole = recipe.epochs * plan.steps_per_epoch
    planned = min(recipe.steps or whole, whole)
    is_short = 0 < summary.num_steps < min(planned, recipe.stop_after or planned)
    return "clock" if summary.stopped == "planned" and is_short and plan.frozen is None else summary.stopped


def is_made_by(summary: RunSummary, plan: Plan, path: Path) -> bool:
    """Whether a run was made by the plan in a file: an older whyconv left out what has come into plans since."""
    return summary.plan_digest in {plan.digest, digest(path)}
