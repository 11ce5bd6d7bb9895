"""From a folder of labelled pictures to a run: what the command line, ``whyconv.train`` and the estimator call."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from os import PathLike, fspath
from pathlib import Path

import torch

from whyconv.carrying_out import carry_out, is_made_by, what_ended
from whyconv.errors import ModelFileError, UsageError
from whyconv.explained import answered
from whyconv.explaining import measure_why, settle_question
from whyconv.finishing import read_summary
from whyconv.images.prepare import PicturePolicy
from whyconv.inspection import Inspection, inspect
from whyconv.machine import num_cores
from whyconv.nets import require_network
from whyconv.own_networks import try_asked, try_planned
from whyconv.planning import (
    SAMPLE,
    Material,
    accept_changes,
    begin_stream,
    deadline,
    material_of,
    require_agreeing,
    tell_order,
)
from whyconv.pretrained import FrozenStart, check_start, choose_start, open_start
from whyconv.pretrained.deciding import without_tuning
from whyconv.results import Note, Notify, RunSummary, ignore
from whyconv.results.why import Why
from whyconv.scoring import score_own_test, score_pictures
from whyconv.settings import Plan, TrainSettings
from whyconv.spare_time import searched_plan
from whyconv.telling import profiled, reading_profiled
from whyconv.texts import as_typed
from whyconv.together import in_all_processes, run_of_this_launch, timing_of
from whyconv.training.device import device_for, why_no_card
from whyconv.training.distributed import Group
from whyconv.training.going_on import refuse_newer
from whyconv.training.pictures import channels_for, divide, divide_again, load_parts, side_for
from whyconv.training.run_folder import (
    CHECKPOINTS,
    PLAN,
    SUMMARY,
    new_run_folder,
    read_plan,
    sole_trainer,
    tell_other_machine,
)
from whyconv.training.stopping import stops_say_how_to_go_on, uninterrupted
from whyconv.training.torch_habits import sole_thread


def train(
    settings: TrainSettings | str | PathLike[str],
    notify: Notify = ignore,
    *,
    only_model: bool = False,
    profile: bool = False,
    **wanted: object,
) -> RunSummary:
    """Makes a recognizer from labelled pictures.

    Args:
        settings: What was asked; or just the pictures, with settings by name: ``train("pets/", minutes=5)``.
        notify: Told of notes, progress and epochs.
        only_model: Write the weights, the exported file and the scores only: no report, maps, tables or examples.
        profile: Tell how near reading comes to bare decoding, a step to its convolutions alone, an epoch to its steps.
        **wanted: Fields of ``TrainSettings``, when ``settings`` is a path; paths among them as text or as ``Path``.

    Returns:
        What the run amounts to; its ``run`` is the folder everything was written to.

    Raises:
        SettingsError: A setting is unknown or out of range.
        UsageError: There are settings beside a ``TrainSettings``.
        DataError: The pictures cannot be trained on.
        ModelFileError: The file of starting weights cannot be used, or does not fit the network.
        StoppedError: Ctrl-C, SIGTERM or SIGHUP; once there is a plan, the run can be resumed.
        DivergedError: The cost J became no number; what was saved before is there.
        ParityError: The exported file answers otherwise than torch.
    """
    asked = _asked(settings, wanted)
    return in_all_processes(lambda group: _train(asked, notify, group, only_model=only_model, profile=profile))


def _asked(settings: TrainSettings | str | PathLike[str], wanted: dict[str, object]) -> TrainSettings:
    if not isinstance(settings, TrainSettings):
        given = {"pictures": settings, **wanted}
        texts = {name: fspath(value) if isinstance(value, PathLike) else value for name, value in given.items()}
        return TrainSettings.of(texts, where="train")
    if wanted:
        raise UsageError(
            f"train was given a TrainSettings, and beside it {', '.join(wanted)}. Expected all settings in the one, or "
            'the pictures with settings by name: train("pets/", minutes=5).'
        )
    return settings


def _train(
    settings: TrainSettings, notify: Notify, group: Group, *, only_model: bool = False, profile: bool = False
) -> RunSummary:
    began = time.perf_counter()
    if (run := run_of_this_launch(settings.out)) is not None:
        return _resume(run, notify, group)
    _require_possible(settings)
    settings = _with_device(settings, group, notify)
    threads = settings.threads or num_cores()
    store = Path(settings.store) if settings.store else None
    with _new_run(settings.out, settings.pictures, notify) as folder:
        settings, drawn = begin_stream(settings, folder, notify)
        inspection = _look_at(settings, store, threads, notify)
        settings = choose_start(settings, inspection, notify)
        told = notify if drawn is None else drawn.tells(notify)
        division = divide(inspection, settings, seed=settings.seed, notify=told)
        start = open_start(settings.start, store, threads, size=settings.size, folder=folder / CHECKPOINTS)
        policy = PicturePolicy(side=settings.size or side_for(inspection), channels=channels_for(inspection))
        policy = policy if start is None else start.policy
        try_asked(settings, policy, inspection.pictures.classes, threads)
        reading = reading_profiled(inspection.pictures, policy, threads, notify) if profile else nullcontext(notify)
        with reading as listener:
            once = start is not None
            parts = load_parts(division, policy, store=store, notify=listener, num_threads=threads, read_once=once)
        stream = drawn.stream(division, policy, settings.seed) if drawn is not None else None
        material = Material(division, policy, *parts, stream=stream, time_steps=timing_of(group))
        plan = _decide(settings, material, start, folder, began=began, notify=notify)
        if stream is not None:
            tell_order(stream, plan.training.batch, notify)
        is_profiled = profile and plan.frozen is None
        with profiled(plan, material, notify) if is_profiled else nullcontext(notify) as listener:
            return carry_out(
                plan,
                material,
                folder,
                began=began,
                notify=listener,
                start=start,
                end=deadline(settings, began),
                only_model=only_model,
                group=group,
            )


def _require_possible(settings: TrainSettings) -> None:
    """Refuses what can be refused before the pictures are read, which may take long."""
    _require_cores(settings.threads)
    require_network(settings.network)
    check_start(settings)


def _require_cores(threads: int | None) -> None:
    """Refuses more threads than there are cores, which only wait for each other, where they are asked for."""
    cores = num_cores()
    if threads is not None and threads > cores:
        raise UsageError(
            f"--threads {threads}: this process may use {cores} core{'' if cores == 1 else 's'}, and more threads wait "
            f"for each other. Expected 1 to {cores}, or none for what suits the pictures."
        )


def _tell_cores(plan: Plan, notify: Notify) -> None:
    """Says that a plan asks for more threads than there are cores: it is carried out as it is, for the same bits."""
    if plan.threads > (cores := num_cores()):
        values = {"threads": plan.threads, "cores": cores}
        notify(Note(key="run_more_threads_than_cores", values=values, level="warning"))


def _with_device(settings: TrainSettings, group: Group, notify: Notify) -> TrainSettings:
    """The settings with "auto" settled."""
    have_cards = settings.device != "cpu" and group.have_cards
    device = device_for(settings.device, have_cards=have_cards, num_processes=group.size)
    if device == "cpu" and have_cards:
        notify(Note(key="run_cards_unused"))
    elif settings.device == "auto" and not have_cards and torch.cuda.is_available():
        notify(Note(key="run_card_unusable", values={"reason": why_no_card()}, level="warning"))
    return settings.model_copy(update={"device": device})


def _look_at(settings: TrainSettings, store: Path | None, threads: int, notify: Notify) -> Inspection:
    return inspect(
        settings.pictures,
        layout=settings.layout,
        label_from=settings.label_from,
        group_by=settings.group_by,
        store=store,
        notify=notify,
        num_threads=threads,
    )


def train_from_file(
    path: Path, notify: Notify = ignore, *, out: str = "runs", accept_changed_data: bool = False
) -> RunSummary:
    """Trains by a plan such as a run's ``run.toml``: same plan, pictures and threads, the same weights.

    No clock ends this training. Where the clock had ended the run that the plan lies in the folder of, the step is
    taken over into the new plan as ``stop_after``.

    Args:
        path: Of the plan.
        notify: Told of notes, progress and epochs.
        out: Folder that the run folder is made in.
        accept_changed_data: Train on the pictures that are there now, where they are not those of the plan.

    Raises:
        SettingsError: The plan cannot be read, or says two things.
        DataError: The pictures are not those of the plan, and that is not accepted, or the classes are others.
    """

    def lead(group: Group) -> RunSummary:
        if (run := run_of_this_launch(out)) is not None:
            return _resume(run, notify, group)
        return _train_from_file(path, notify, group, out=out, accept_changed_data=accept_changed_data)

    return in_all_processes(lead)


def _train_from_file(path: Path, notify: Notify, group: Group, *, out: str, accept_changed_data: bool) -> RunSummary:
    began = time.perf_counter()
    given = Plan.read(path)
    require_agreeing(given, path)
    plan = given if accept_changed_data else _with_the_end_of_its_run(given, path, notify)
    with _new_run(out, plan.pictures.path, notify) as folder:
        if accept_changed_data:
            plan, material = accept_changes(given, notify, path)
            plan = _with_the_end_of_its_run(given, path, notify) if plan is given else plan
        else:
            material = material_of(plan, notify, path)
        _tell_cores(plan, notify)
        try_planned(plan, plan.threads)
        return carry_out(plan, material, folder, began=began, notify=notify, group=group)


def resume(run: Path, notify: Notify = ignore, *, threads: int | None = None) -> RunSummary:
    """Goes on with a run that was stopped, bit for bit as if it had not been; all of the plan, whatever the time.

    A run that the clock has ended stays ended. On another machine, with another torch or number of threads it goes on
    as well, but not bit for bit, which is told.

    Args:
        run: The run folder.
        notify: Told of notes, progress and epochs.
        threads: Of the processor; by default those of the plan.

    Raises:
        ModelFileError: ``run`` is no run folder, or its checkpoint cannot be used.
        UsageError: The plan was changed since.
        WhyconvError: Another process trains in this folder; says which.
        DataError: The pictures have changed since.
    """
    return in_all_processes(lambda group: _resume(run, notify, group, threads=threads))


def _resume(run: Path, notify: Notify, group: Group, *, threads: int | None = None) -> RunSummary:
    began, plan = time.perf_counter(), read_plan(run)
    if threads != plan.threads:
        _require_cores(threads)
    notify(Note(key="run_writes_to", values={"run": str(run)}))
    with sole_trainer(run), stops_say_how_to_go_on(f"whyconv train --resume {as_typed(run)}"):
        if (run / SUMMARY).exists():
            notify(Note(key="run_already_done", values={"run": str(run)}))
        else:
            refuse_newer(run)
            try_planned(plan, threads or plan.threads)
            tell_other_machine(run, threads or plan.threads, plan.device, notify)
            if threads in (None, plan.threads):
                _tell_cores(plan, notify)
        material = material_of(plan, notify, run / PLAN)
        return carry_out(plan, material, run, began=began, notify=notify, is_new=False, threads=threads, group=group)


def evaluate(
    run: Path,
    pictures: str | None = None,
    notify: Notify = ignore,
    *,
    layout: str = "auto",
    label_from: str | None = None,
) -> RunSummary:
    """Scores a run's exported file: on its own test part, or on other labelled pictures.

    Where ``pictures`` are those of the run, its own test part is scored; among others, those that it was trained on
    or validated with are left out.

    Raises:
        UsageError: ``layout`` or ``label_from`` without ``pictures``.
        ModelFileError: ``run`` is no finished run folder.
        DataError: The pictures cannot be scored; or the run's own have changed since.
    """
    if pictures is None and (layout != "auto" or label_from):
        raise UsageError(
            "--layout and --label-from go with PICTURES: the run's own test part is read as its plan says. Name "
            f"labelled pictures:  whyconv evaluate {as_typed(run)} PICTURES"
        )
    summary, plan = read_summary(run), read_plan(run)
    suspects = summary.suspects
    if pictures and layout == "auto" and not label_from and Path(pictures).resolve() == Path(plan.pictures.path):
        notify(Note(key="evaluate_own_pictures"))
        pictures = None
    if pictures is None:
        division = divide_again(plan, notify, run / PLAN)
        evaluation, pictures = score_own_test(run, plan, division, summary), plan.pictures.path
    else:
        if plan.stream is not None:
            notify(Note(key="evaluate_streamed", values={"where": str(run / SAMPLE)}, level="warning"))
        evaluation, suspects = score_pictures(run, pictures, layout=layout, label_from=label_from, notify=notify)
    update = {"run": str(run), "test": evaluation, "parity": None, "evaluated": pictures, "suspects": suspects}
    return summary.model_copy(update=update)


def why(
    run: str | PathLike[str],
    notify: Notify = ignore,
    *,
    side: int | None = None,
    minutes: float | None = None,
    quick: bool = False,
    seed: int = 0,
) -> Why:
    """Measures why convolutions, for a run: on its pictures and on its network.

    On the pictures: the control square and its learning curves. On the network: how far its answers hold when test
    pictures are moved. The run's own division is used; test pictures choose nothing. What was measured before for
    the same question, or for more minutes, is read from ``why.json``, and never replaced by what fewer minutes give.

    Args:
        run: A finished run folder, or what ``train`` returned.
        notify: Told of notes and progress.
        side: Of the square's pictures in pixels, 8, 16 or 32; by default 8 where the run saw fewer than 16, else 16.
        minutes: For all of it, 10 by default; what fits follows from a measurement.
        quick: As little as still has an interval.
        seed: Of the controls, the draws, the starting weights and the order.

    Raises:
        UsageError: A word is out of range.
        ModelFileError: ``run`` is no finished run folder.
        DataError: The pictures have changed since, lack a test part, or are too few.
        StoppedError: Ctrl-C or SIGTERM; what was trained is kept and not trained again.
    """
    run = Path(run)
    read_summary(run)
    plan = read_plan(run)
    question = settle_question(side, minutes, quick, seed, plan.network.side)
    with sole_thread():
        if saved := answered(run, question, plan.pictures.digest, notify):
            return saved
        return measure_why(run, plan, divide_again(plan, notify, run / PLAN), question, notify)


@contextmanager
def _new_run(out: str, pictures: str, notify: Notify) -> Iterator[Path]:
    """Makes a run folder and holds it; takes it away again if an error leaves it without a plan to go on by."""
    folder = new_run_folder(out, pictures)
    try:
        notify(Note(key="run_writes_to", values={"run": str(folder)}))
        with sole_trainer(folder):
            yield folder
    except BaseException:
        with uninterrupted():  # Ctrl-C may come twice
            if not (folder / PLAN).exists():
                shutil.rmtree(folder, ignore_errors=True)
        raise


def _with_the_end_of_its_run(plan: Plan, path: Path, notify: Notify) -> Plan:
    """The plan with the step at which the clock ended its run, if its file lies beside the summary of such a run."""
    try:
        summary = read_summary(path.parent)
    except ModelFileError:
        return plan
    if what_ended(summary, plan) != "clock" or not is_made_by(summary, plan, path):
        return plan
    notify(Note(key="run_repeats_clock", values={"steps": summary.num_steps}))
    if plan.frozen is not None and not summary.num_steps:
        return without_tuning(plan)
    return plan.model_copy(update={"training": plan.training.model_copy(update={"stop_after": summary.num_steps})})


def _decide(
    settings: TrainSettings,
    material: Material,
    start: FrozenStart | None,
    folder: Path,
    *,
    began: float,
    notify: Notify,
) -> Plan:
    """The plan of a training from random weights or a file of them, or on a frozen network."""
    if start is None:
        return searched_plan(settings, material, folder, began=began, notify=notify)
    if settings.device == "cuda":
        notify(Note(key="run_frozen_on_cpu"))
    return start.decide(settings, material, threads=settings.threads or num_cores(), began=began, notify=notify)
