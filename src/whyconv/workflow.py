"""From a folder of labelled pictures to a run: what the command line, ``whyconv.train`` and the estimator call."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from whyconv.errors import DataError, ParityError
from whyconv.finishing import finish, read_summary
from whyconv.images.prepare import PicturePolicy
from whyconv.inspection import inspect
from whyconv.machine import num_cores
from whyconv.nets import build_network
from whyconv.planning import Material, make_plan
from whyconv.results import Note, Notify, RunSummary, ignore
from whyconv.scoring import score_own_test, score_pictures
from whyconv.settings import Plan, TrainSettings
from whyconv.training.loop import Outcome, train_network
from whyconv.training.pictures import Division, channels_for, divide, load_parts, side_for
from whyconv.training.run_folder import WEIGHTS, new_run_folder, read_plan, write_plan
from whyconv.training.start import start_network
from whyconv.training.stopping import stop_requests


def train(settings: TrainSettings | str | Path, notify: Notify = ignore, **wanted: object) -> RunSummary:
    """Makes a recognizer from labelled pictures.

    Args:
        settings: What was asked; or just the pictures, with settings by name: ``train("pets/", minutes=5)``.
        notify: Told of notes, progress and epochs.
        **wanted: Fields of ``TrainSettings``, when ``settings`` is a path.

    Returns:
        What the run amounts to; its ``run`` is the folder everything was written to.

    Raises:
        SettingsError: A setting is unknown or out of range.
        DataError: The pictures cannot be trained on.
        StoppedError: Ctrl-C or SIGTERM; the run can be resumed.
        ParityError: The exported file answers otherwise than torch.
    """
    if not isinstance(settings, TrainSettings):
        settings = TrainSettings.of({"pictures": str(settings), **wanted}, where="train")
    began = time.perf_counter()
    # A name that is no network must fail before the pictures are read: sizes here are only for the trial.
    build_network(settings.network, in_channels=3, num_classes=2, side=settings.size or 32)
    threads = settings.threads or num_cores()
    _prepare_torch(threads)
    store = Path(settings.store) if settings.store else None
    folder = new_run_folder(settings.out, settings.pictures)
    notify(Note(key="run_writes_to", values={"run": str(folder)}))
    try:
        inspection = inspect(
            settings.pictures,
            layout=settings.layout,
            label_from=settings.label_from,
            group_by=settings.group_by,
            store=store,
            notify=notify,
            num_threads=threads,
        )
        division = divide(inspection, settings, seed=settings.seed, notify=notify)
        policy = PicturePolicy(side=settings.size or side_for(inspection), channels=channels_for(inspection))
        parts = load_parts(division, policy, store=store, notify=notify, num_threads=threads)
        material = Material(division, policy, *parts)
        plan = make_plan(settings, material, began=began, notify=notify)
    except BaseException:
        _remove_if_empty(folder)
        raise
    return _carry_out(plan, material, folder, began=began, notify=notify)


def train_from_file(path: Path, notify: Notify = ignore, *, out: str = "runs") -> RunSummary:
    """Trains by a plan such as a run's ``run.toml``: same plan, pictures and threads, the same weights.

    Raises:
        SettingsError: The plan cannot be read.
        DataError: The pictures are not those of the plan.
    """
    plan = Plan.read(path)
    folder = new_run_folder(out, plan.pictures.path)
    notify(Note(key="run_writes_to", values={"run": str(folder)}))
    began = time.perf_counter()
    try:
        material = _material_of(plan, notify)
    except BaseException:
        _remove_if_empty(folder)
        raise
    return _carry_out(plan, material, folder, began=began, notify=notify)


def resume(run: Path, notify: Notify = ignore) -> RunSummary:
    """Goes on with a run that was stopped, bit for bit as if it had not been.

    Raises:
        ModelFileError: ``run`` is no run folder.
        DataError: The pictures have changed since.
    """
    plan = read_plan(run)
    notify(Note(key="run_writes_to", values={"run": str(run)}))
    if (run / WEIGHTS).exists():
        notify(Note(key="run_already_done", values={"run": str(run)}))
    return _carry_out(plan, _material_of(plan, notify), run, began=time.perf_counter(), notify=notify, is_new=False)


def evaluate(
    run: Path,
    pictures: str | None = None,
    notify: Notify = ignore,
    *,
    layout: str = "auto",
    label_from: str | None = None,
) -> RunSummary:
    """Scores a run's exported file: on its own test part, or on other labelled pictures.

    Raises:
        ModelFileError: ``run`` is no finished run folder.
        DataError: The pictures cannot be scored; or the run's own have changed since.
    """
    summary = read_summary(run)
    if pictures is None:
        plan = read_plan(run)
        evaluation = score_own_test(run, plan, _divide_again(plan, notify), summary)
    else:
        evaluation = score_pictures(run, pictures, layout=layout, label_from=label_from, notify=notify)
    return summary.model_copy(update={"run": str(run), "test": evaluation})


def _carry_out(
    plan: Plan, material: Material, folder: Path, *, began: float, notify: Notify, is_new: bool = True
) -> RunSummary:
    """Trains by the plan and writes everything that a run consists of."""
    _prepare_torch(plan.threads)
    _tell_plan(plan, notify)
    if is_new:
        write_plan(folder, plan)
    network = start_network(plan)
    with stop_requests() as stop_requested:
        outcome = train_network(
            network,
            material.train.data,
            material.validation.data,
            plan,
            folder=folder,
            notify=notify,
            stop_requested=stop_requested,
        )
    _tell_outcome(outcome, plan, notify)
    summary = finish(folder, network, plan, material, outcome, began=began)
    if summary.parity is not None and not summary.parity.is_equal:
        raise ParityError(
            f"{folder}/model.onnx answers otherwise than torch: {summary.parity.num_same_answer} of "
            f"{summary.parity.n} answers agree, probabilities differ by up to {summary.parity.largest_difference:.2g} "
            f"(allowed {summary.parity.tolerance:g}). Do not use the file; the weights are in {WEIGHTS}."
        )
    return summary


def _prepare_torch(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)


def _divide_again(plan: Plan, notify: Notify) -> Division:
    """Reads and divides the pictures of a plan, and makes sure that they are the same.

    Raises:
        DataError: A picture was added, removed, changed or relabelled.
    """
    asked = plan.pictures
    inspection = inspect(
        asked.path,
        layout=asked.layout,
        label_from=asked.label_from or None,
        group_by=asked.group_by or None,
        store=Path(asked.store) if asked.store else None,
        notify=notify,
        num_threads=plan.threads,
    )
    division = divide(inspection, asked, seed=plan.seed, notify=lambda event: None)
    if division.digest != asked.digest:
        raise DataError(
            f"The pictures in {asked.path} are not those of the plan: some were added, removed, changed or "
            "relabelled. Put them back, or train anew with:  whyconv train " + asked.path
        )
    return division


def _material_of(plan: Plan, notify: Notify) -> Material:
    division = _divide_again(plan, notify)
    policy = PicturePolicy(side=plan.network.side, channels=plan.network.in_channels)
    store = Path(plan.pictures.store) if plan.pictures.store else None
    return Material(
        division, policy, *load_parts(division, policy, store=store, notify=notify, num_threads=plan.threads)
    )


def _tell_plan(plan: Plan, notify: Notify) -> None:
    network, pictures, recipe = plan.network, plan.pictures, plan.training
    sizes = {"num_train": pictures.num_train, "num_validation": pictures.num_validation, "num_test": pictures.num_test}
    shown = {"network": network.name, "side": network.side, "channels": network.in_channels}
    notify(Note(key="run_plan", values=shown | sizes))
    steps = {"optimizer": recipe.optimizer, "learning_rate": recipe.learning_rate, "batch": recipe.batch}
    notify(
        Note(key="run_recipe", values={**steps, "epochs": recipe.epochs, "seed": plan.seed, "threads": plan.threads})
    )


def _tell_outcome(outcome: Outcome, plan: Plan, notify: Notify) -> None:
    if outcome.reason == "no_gain":
        values = {"n": outcome.num_epochs - outcome.best_epoch, "best": outcome.best_epoch}
        notify(Note(key="run_stopped_no_gain", values=values))
    elif outcome.reason == "clock":
        values = {"epoch": outcome.num_epochs, "epochs": plan.training.epochs}
        notify(Note(key="run_stopped_clock", values=values, level="warning"))


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
