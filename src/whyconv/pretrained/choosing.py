"""Where a training starts from: random weights, a file of weights, or a frozen network that has learned before."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from whyconv.errors import MissingExtraError, UsageError
from whyconv.images.cache import default_folder
from whyconv.inspection import Inspection
from whyconv.nets.pretrained import NETWORK, has_published_weights
from whyconv.pretrained.backbone import Backbone
from whyconv.pretrained.foreign import find_foreign, foreign_backbone
from whyconv.pretrained.published import published_backbone
from whyconv.results import Note, Notify
from whyconv.settings import PRETRAINED, SCRATCH, TrainSettings
from whyconv.training.circular import circular_settings
from whyconv.training.pictures import side_for, used
from whyconv.training.realistic import realistic_settings
from whyconv.training.start_weights import find_start_weights

LEAST_SIDE = 64
# Asked for, they speak of a training from scratch.
_OF_A_RECIPE = ("optimizer", "epochs", "batch", "learning_rate", "size")


def check_start(settings: TrainSettings) -> None:
    """Makes sure that what was asked to start from is there and fits the rest, before any picture is read.

    Raises:
        MissingExtraError: Published weights are asked for and their package is not installed.
        UsageError: What was asked contradicts itself, or the file is a pickle.
        ModelFileError: There is no such file.
    """
    start = settings.start
    if start is None or start == SCRATCH:
        return
    is_file = is_feature_network(start)
    if start != PRETRAINED and not is_file:
        find_start_weights(start)
        return
    if start == PRETRAINED and not has_published_weights():
        raise MissingExtraError("--start pretrained", "pretrained")
    if is_file:
        find_foreign(start)
    _refuse_beside(settings, start)
    words = [word for word in ("optimizer", "epochs", "batch", "learning_rate") if getattr(settings, word) is not None]
    if is_file and words:
        flags = ", ".join(f"--{word.replace('_', '-')}" for word in words)
        raise UsageError(f"{flags}: of {start} only a head is learned, which takes no steps. Leave this out.")


def _refuse_beside(settings: TrainSettings, start: str) -> None:
    """Refuses what does not go with any network that has learned before.

    Raises:
        UsageError: It was asked for.
    """
    if settings.on_divergence == "skip":
        raise UsageError(
            f"--on-divergence skip: what is learned on {start} leaves no step out. Leave this out, or train from "
            "scratch with --start scratch."
        )
    if settings.members > 1:
        raise UsageError(
            f"--members {settings.members}: what is learned on {start} is one network. Leave this out, or train from "
            "scratch with --start scratch."
        )
    if "network" in settings.model_fields_set and not (start == PRETRAINED and settings.network == NETWORK):
        raise UsageError(
            f"--start {start} brings its own network, so that --network {settings.network} cannot be had with it. "
            "Leave one of them out."
        )


def is_feature_network(start: str) -> bool:
    """Whether ``start`` names a feature network in an ONNX file."""
    return Path(start).suffix.lower() == ".onnx"


def choose_start(settings: TrainSettings, inspection: Inspection, notify: Notify) -> TrainSettings:
    """The settings with what is started from made plain: "pretrained", a file, or None for random weights.

    Where answers are to be invariant, the network and its side too.

    Where nothing is asked for, published weights are taken for color photos of at least 64 pixels (the median of the
    shorter sides), if they are installed and nothing is asked for that speaks of another training.

    Args:
        settings: What was asked, as ``check_start`` found it.
        inspection: The pictures.
        notify: Told of a choice that was made.
    """
    if settings.invariant == "realistic":
        return realistic_settings(settings, side_for(inspection))
    if settings.invariant is not None:
        return circular_settings(settings, side_for(inspection))
    if settings.start == SCRATCH:
        return settings.model_copy(update={"start": None})
    speaks = "network" in settings.model_fields_set or any(getattr(settings, word) is not None for word in _OF_A_RECIPE)
    speaks = speaks or settings.on_divergence == "skip" or settings.members > 1
    if settings.start is not None or speaks or not _are_photos(inspection):
        return settings
    if not has_published_weights():
        notify(Note(key="start_could"))
        return settings
    notify(Note(key="start_default", values={"network": NETWORK}))
    return settings.model_copy(update={"start": PRETRAINED})


def open_backbone(start: str | None, store: Path | None, threads: int, size: int | None = None) -> Backbone | None:
    """The frozen network that ``start`` names; None where it names none.

    Args:
        start: Of the settings or of a plan.
        store: The cache folder; None is the default one.
        threads: Of the processor.
        size: Side of the pictures that was asked for, in pixels.

    Raises:
        UsageError: The network takes pictures of another side.
        MissingExtraError: Published weights are neither in the cache nor installed.
        ModelFileError: The file cannot be used.
    """
    if start == PRETRAINED:
        backbone = published_backbone(store or default_folder())
    elif start is not None and is_feature_network(start):
        backbone = foreign_backbone(find_foreign(start), threads, size)
    else:
        return None
    if size not in (None, backbone.side):
        raise UsageError(
            f"--size {size}: {backbone.name} takes pictures of {backbone.side} pixels a side. Leave --size out, or "
            "train from scratch with --start scratch."
        )
    return backbone


def _are_photos(inspection: Inspection) -> bool:
    survey = inspection.survey
    shorter = np.minimum(survey.widths, survey.heights)[used(inspection)]
    return inspection.report.channels != "gray" and bool(len(shorter)) and float(np.median(shorter)) >= LEAST_SIDE
