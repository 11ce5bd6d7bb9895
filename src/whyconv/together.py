"""Several processes, one run: the leader plans, writes and tells; the others train their share of every batch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from whyconv.errors import UsageError
from whyconv.planning import Material, material_of
from whyconv.results import RunSummary, ignore
from whyconv.scoring_together import Following
from whyconv.settings import Plan
from whyconv.training.distributed import ALONE, Group, joined, launched
from whyconv.training.loop import train_network
from whyconv.training.outcome import Outcome
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.run_folder import CHECKPOINTS, PLAN, SUMMARY, write_json
from whyconv.training.start import start_network
from whyconv.training.stopping import stop_requests
from whyconv.training.torch_habits import sole_thread, torch_habits
from whyconv.untrusted import json_in, json_values

_LAUNCH = "launch.json"
_TIMED_STEPS = 8


def in_all_processes(lead: Callable[[Group], RunSummary]) -> RunSummary:
    """Carries out a training in the processes that a launcher has started, or in this one where none has.

    Of several threads of a process one trains at a time; ``lead`` is called when it is its turn.

    Args:
        lead: What the leader does; calls ``gather`` before a training that the others take part in.

    Returns:
        What the run amounts to, in every process.

    Raises:
        UsageError: The launcher's variables are wrong.
        LostProcessError: Another process is gone, frozen or out of reach.
    """
    with sole_thread(), joined(launched()) as group:
        if not group.leads:
            return _follow(group)
        summary = lead(group)
        group.told(summary.model_dump_json())
        return summary


def gather(group: Group, plan: Plan, *, reads_file: bool) -> None:
    """Tells the others the plan, and waits until they have its pictures.

    Raises:
        UsageError: There are more processes than pictures in a batch.
    """
    if group.size == 1:
        return
    least = plan.pictures_per_epoch // plan.steps_per_epoch
    if least < group.size:
        raise UsageError(
            f"Batches of {least} pictures cannot be divided among {group.size} processes, each of which needs at least "
            f"one. Start fewer processes, or ask for --batch {group.size} or more."
        )
    group.told(json.dumps({"plan": plan.model_dump(exclude_none=True), "reads_file": reads_file}))
    with group.machine_by_machine():
        pass  # The leader has its pictures already; the others of its machine may read them now.
    group.meet()


def timing_of(group: Group) -> Callable[[Plan], float] | None:
    """What the leader times a step of all processes with; None for a single one."""
    if group.size == 1:
        return None

    def time_steps(plan: Plan) -> float:
        group.told(json.dumps({"time": plan.model_dump(exclude_none=True)}))
        return _seconds_per_step(group, plan)

    return time_steps


def _seconds_per_step(group: Group, plan: Plan) -> float:
    """Median seconds of a few steps that all processes take together, on pictures of noise."""
    sizes, batch = plan.network, max(plan.training.batch, group.size)
    noise = np.random.default_rng(0).integers(0, 256, (batch, sizes.side, sizes.side, sizes.in_channels), np.uint8)
    train = LabelledPixels(noise, np.zeros(batch, np.int32))
    few = {"batch": batch, "epochs": _TIMED_STEPS, "steps": 0, "patience": _TIMED_STEPS, "sides": [], "stop_after": 0}
    asked = plan.model_copy(update={"training": plan.training.model_copy(update=few)})
    ends: list[float] = []

    def note_end() -> int:
        ends.append(time.perf_counter())
        return 0

    with torch_habits(plan.threads):
        network = start_network(asked, reads_file=False, group=group)
        nothing = LabelledPixels(noise[:0], train.labels[:0])
        train_network(network, train, nothing, asked, stop_requested=note_end, group=group)
    return float(np.median(np.diff(ends)))


def note_launch(run: Path) -> None:
    """Keeps in a new run folder which launch it is of, so that a later attempt goes on with it."""
    if (launch := launched()) is not None:
        write_json(run / CHECKPOINTS / _LAUNCH, {"launch": launch.name})


def run_of_this_launch(out: str) -> Path | None:
    """The run that an earlier attempt of the same launch has begun and not ended; None in the first attempt."""
    launch = launched()
    if launch is None or not launch.attempt:
        return None
    found = [path.parent.parent for path in Path(out).glob(f"*/{CHECKPOINTS}/{_LAUNCH}") if _is_of(path, launch.name)]
    begun = [run for run in found if (run / PLAN).exists() and not (run / SUMMARY).exists()]
    return max(begun, key=lambda run: (run / PLAN).stat().st_mtime_ns, default=None)


def _is_of(path: Path, name: str) -> bool:
    try:
        told = json_in(path)
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("launch") == name


def _follow(group: Group) -> RunSummary:
    """What a process does that does not lead: trains and answers along where it is told to; waits for the outcome."""
    while "time" in (told := json_values(group.told())):
        _seconds_per_step(group, Plan.of(told["time"], where="the leader's draft"))
    if "plan" in told:
        plan = Plan.of(told["plan"], where="the leader's plan")
        with torch_habits(plan.threads):
            following = _train_along(group, plan, reads_file=told["reads_file"])
            while "ask" in (told := json_values(group.told())):
                following.follow(told)
    return RunSummary.model_validate(told)


def _train_along(group: Group, plan: Plan, *, reads_file: bool) -> Following:
    with group.machine_by_machine():
        material = material_of(plan, ignore, None)
    group.meet()
    with stop_requests() as stop_requested:
        network = start_network(plan, pixels=material.train.data.pixels, reads_file=reads_file, group=group)
        train_on(network, material, plan, stop_requested=stop_requested, group=group)
    return Following(network, plan, material, group)


def train_on(network: nn.Module, material: Material, plan: Plan, **words: Any) -> Outcome:  # noqa: ANN401
    """``train_network`` on the training and validation part; ``words`` are the rest of what it takes."""
    names = material.train.names if material.stream is None else ()
    with material.visited(plan, words.get("notify", ignore), words.get("group", ALONE)) as train:
        return train_network(network, train, material.validation.data, plan, names=names, **words)
