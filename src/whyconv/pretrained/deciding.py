"""The plan of a run on a frozen network: views, pictures, tuned blocks and epochs out of the time there is.

Everything is decided before step 1, from a measurement; where no time is asked for, all of it is done.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.nets.pretrained import LICENSE, PACKAGE, PICTURES
from whyconv.planning import Material, decide_flip, pictures_plan, require_two
from whyconv.pretrained.backbone import Backbone
from whyconv.pretrained.drawing import cut_name
from whyconv.pretrained.features import Bank
from whyconv.pretrained.head import fit_heads
from whyconv.pretrained.published import CUTS
from whyconv.pretrained.speeds import Speeds, measure
from whyconv.results import Note, Notify
from whyconv.settings import (
    PRETRAINED,
    AugmentPlan,
    FrozenPlan,
    NetworkPlan,
    Numbers,
    Plan,
    TrainingPlan,
    TrainSettings,
    View,
    steps_per_epoch,
)
from whyconv.training.pixel_rows import evenly_chosen, some
from whyconv.training.probe import MirrorTrial
from whyconv.training.recipe import class_offsets
from whyconv.training.run_folder import MOST_EXAMPLES
from whyconv.training.views import from_afar

# Strongest first; of features divided by one number.
PENALTIES = (0.3, 0.1, 0.03, 0.01, 0.003)
ITERATIONS = 60
BATCH, LEARNING_RATE, WEIGHT_DECAY = 32, 4e-4, 0.05
# Less than half an epoch brings nothing over the head.
EPOCHS, LEAST_EPOCHS = 8, 0.5
# Epochs of tuning that must fit beside so many views of every picture: more of them bring more than a further view.
_EPOCHS_BESIDE = {4: EPOCHS, 2: 4, 1: 1}
COMPARED, LEAST_COMPARED = 256, 32
_TRIAL_ITERATIONS, _TIMED_ITERATIONS = 40, 6
# Of the minutes asked for: what is kept for export, scores and report, and what speeds may be mistaken by.
_ENDING_SECONDS, _ENDING_FRACTION, _SLACK = 4.0, 0.03, 0.9
# Of the time: what looking may take where nothing is tuned; the heads take the rest.
_LOOKING_FRACTION = 0.85
_LEAST_PICTURES = 200
_VIEWS: tuple[tuple[View, ...], ...] = (
    ("upright", "mirrored", "closer", "closer_mirrored"),
    ("upright", "mirrored"),
    ("upright",),
)
_UNMIRRORED: tuple[tuple[View, ...], ...] = (("upright", "closer"), ("upright",))


@dataclass(frozen=True)
class Share:
    """What is done in the time there is.

    Attributes:
        views: Of each picture.
        looked_at: Training pictures; 0: all.
        first_block: That is tuned; -1: none.
        epochs: Of tuning; the last may be done in part.
        compared: Pictures that torch is asked about too.
        numbers: That tuning computes in.
        seconds_to_tune: As measured.
    """

    views: tuple[View, ...]
    looked_at: int
    first_block: int
    epochs: float
    compared: int
    numbers: Numbers
    seconds_to_tune: float = 0.0


@dataclass(frozen=True, eq=False)
class Decision:
    """The plan, and what carrying it out needs besides.

    Attributes:
        plan: Of the run.
        seconds_to_tune: As measured; 0: not known.
        deadline: When tuning must be over, on the clock of ``time.perf_counter``.
    """

    plan: Plan
    seconds_to_tune: float
    deadline: float


def decide(  # noqa: PLR0913
    settings: TrainSettings,
    material: Material,
    bank: Bank,
    published: Callable[[], EfficientNetLite0] | None,
    *,
    threads: int,
    began: float,
    notify: Notify,
) -> Decision:
    """Decides everything before step 1.

    Where mirroring is left to the validation part, and a mirrored view fits into the time, a head is learned on the
    pictures as they are and asked about mirrored ones; what the frozen network said for that is kept in the bank.

    Args:
        settings: What was asked.
        material: The prepared pictures.
        bank: Of the frozen network.
        published: Gives it in torch; None for a file of the user's.
        threads: Of the processor.
        began: ``time.perf_counter()`` at the start of the command, from which minutes count.
        notify: Told of what was decided, and why.

    Raises:
        DataError: The training part is too small.
    """
    require_two(material.train)
    counts = [len(part) for part in (material.train, material.validation, material.test)]
    network = published() if published is not None else None
    cuts = CUTS if network is not None else ()
    speeds = measure(bank.network, network, material.train.data.pixels, cuts, settings.batch or BATCH)
    end = math.inf
    if settings.minutes is not None:
        end = began + settings.minutes * 60 * (1 - _ENDING_FRACTION) - _ENDING_SECONDS
    is_whole = bank.network.backbone.takes_levels
    may_flip = settings.flips == "on" or (settings.flips == "auto" and counts[1] > 0)
    first = share_out(counts, speeds, end - time.perf_counter(), flips=may_flip, is_whole=is_whole)
    bank.cut = cut_name(first.first_block) if first.first_block >= 0 else ""
    flip = _is_mirrored(settings, material, bank, first, notify)
    share = first
    if "mirrored" in first.views and not flip:
        share = share_out(counts, speeds, end - time.perf_counter(), flips=False, is_whole=is_whole, as_=first)
    ending = len(share.views) * speeds.ending(counts[2], share.compared)
    if math.isfinite(end) and share.first_block >= 0:
        # How long looking takes is known best when it is done.
        ending += closing(share, share.first_block, counts, speeds)
        head = _look(material, bank, share, notify)
        share = tuned_in(end - ending - head - time.perf_counter(), share, share.first_block, counts, speeds)
    _tell(settings, bank.network.backbone, share, counts, notify)
    plan = _plan(settings, material, bank.network.backbone, share, threads=threads)
    return Decision(plan, share.seconds_to_tune, end - ending)


def without_tuning(plan: Plan) -> Plan:
    """The plan of a run whose tuning was skipped, as one that does not tune."""
    assert plan.frozen is not None
    training = plan.training.model_copy(update={"epochs": 1})
    return plan.model_copy(update={"training": training, "frozen": plan.frozen.model_copy(update={"first_block": -1})})


def share_out(
    counts: list[int], speeds: Speeds, seconds: float, *, flips: bool, is_whole: bool = False, as_: Share | None = None
) -> Share:
    """Shares out the time between views and tuning.

    As many views as leave enough time for tuning from the deepest block: all for eight epochs, two for four. Otherwise
    one view, and at least one epoch from whatever block it fits from. Where nothing can be tuned, as many views as
    leave some time for the heads; with less time than one view of every picture takes, fewer training pictures are
    looked at.

    Args:
        counts: Training, validation and test pictures.
        speeds: As measured.
        seconds: Until the run must be over; infinite where no time was asked for.
        flips: Whether mirrored views may be used.
        is_whole: Whether the network takes whole gray levels: views from closer, which are rounded to them, would not
            be the same in torch and in the file.
        as_: An earlier share, whose pictures and blocks stay: the network has been asked by it.
    """
    choices = _VIEWS if flips else _UNMIRRORED
    if is_whole:
        choices = tuple(dict.fromkeys(tuple(from_afar(each)) for each in choices))
    most = 0.03 * seconds / speeds.per_look_in_torch / len(choices[0])
    compared = int(min(COMPARED, max(LEAST_COMPARED, most)))
    train = as_.looked_at or counts[0] if as_ is not None else counts[0]
    rest = counts[1] * speeds.per_look + speeds.ending(counts[2], compared)

    def looking(views: tuple[View, ...], pictures: int) -> float:
        return len(views) * (pictures * speeds.per_look + rest)

    blocks = list(speeds.per_picture) if as_ is None else [as_.first_block] if as_.first_block >= 0 else []
    for views in choices:
        share = Share(views, train if train < counts[0] else 0, -1, 0, compared, speeds.numbers)
        for block in blocks if views == choices[-1] else blocks[:1]:
            left = seconds - looking(views, train) - closing(share, block, counts, speeds)
            tuned = tuned_in(left, share, block, counts, speeds)
            if tuned.epochs >= _EPOCHS_BESIDE[len(views)]:
                return tuned
    views = next((each for each in choices if looking(each, train) <= _LOOKING_FRACTION * seconds), choices[-1])
    if as_ is None and looking(views, train) > _LOOKING_FRACTION * seconds:
        fits = int((_LOOKING_FRACTION * seconds - rest) / speeds.per_look)
        train = min(counts[0], max(_LEAST_PICTURES, fits))
    return Share(views, train if train < counts[0] else 0, -1, 0, compared, speeds.numbers)


def tuned_in(seconds: float, share: Share, block: int, counts: list[int], speeds: Speeds) -> Share:
    """The share with the epochs of tuning from a block that fit into so many seconds; too few: nothing is tuned."""
    train, per_picture = share.looked_at or counts[0], speeds.per_picture[block]
    per_epoch = train * per_picture
    # After each, the views from afar of the validation part, forward only.
    validating = counts[1] * len(from_afar(share.views)) * per_picture / 3
    available = max(0.0, min(seconds * _SLACK, EPOCHS * (per_epoch + validating)))
    whole = int(available / (per_epoch + validating) + 1e-9)
    left = available - whole * (per_epoch + validating)
    epochs = whole + max(0.0, left - validating) / per_epoch
    if epochs < LEAST_EPOCHS:
        return replace(share, first_block=-1, epochs=0.0, seconds_to_tune=0.0)
    return replace(share, first_block=block, epochs=epochs, seconds_to_tune=available)


def closing(share: Share, block: int, counts: list[int], speeds: Speeds) -> float:
    """Seconds that follow tuning: all views of the examples, and in float32 of the validation part, forward only."""
    examples = min(MOST_EXAMPLES, share.looked_at or counts[0])
    return len(share.views) * (2 * counts[1] + examples) * speeds.per_picture[block] / 3


def _look(material: Material, bank: Bank, share: Share, notify: Notify) -> float:
    """Asks the frozen network all that the run will want to know of the training and the validation pictures.

    Returns:
        Seconds that the heads will take to learn, from a few iterations.
    """
    data = some(material.train.data, evenly_chosen(len(material.train), share.looked_at))
    features = [bank.look("train", data, view, notify=notify).features for view in share.views]
    for view in share.views:
        bank.look("validation", material.validation.data, view, notify=notify)
    began = time.perf_counter()
    list(fit_heads(features, data.labels, [0.0] * len(_classes(material)), PENALTIES[:1], _TIMED_ITERATIONS))
    return (time.perf_counter() - began) * len(PENALTIES) * ITERATIONS / _TIMED_ITERATIONS


def _is_mirrored(settings: TrainSettings, material: Material, bank: Bank, share: Share, notify: Notify) -> bool:
    """Whether mirrored pictures are used: as asked, or as a trial shows; never where no view is mirrored."""
    if settings.flips == "off":
        return False
    is_asked = settings.flips == "on"
    if not is_asked and not len(material.validation):
        notify(Note(key="run_flips_unknown"))
        return False
    if "mirrored" not in share.views:
        notify(Note(key="start_flips_on_no_time", level="warning") if is_asked else Note(key="start_flips_no_time"))
        return False
    return is_asked or decide_flip(_try_mirror(material, bank, share, notify), _classes(material), notify)


def _try_mirror(material: Material, bank: Bank, share: Share, notify: Notify) -> MirrorTrial:
    """Answers of a head that never saw a mirrored picture, on validation as it is and mirrored."""
    notify(Note(key="start_trial"))
    rows = evenly_chosen(len(material.train), share.looked_at)
    data = some(material.train.data, rows)
    train = bank.look("train", data, "upright", notify=notify)
    classes = len(_classes(material))
    penalty = PENALTIES[len(PENALTIES) // 2]
    (head,) = fit_heads([train.features], data.labels, [0.0] * classes, [penalty], _TRIAL_ITERATIONS)
    as_is, mirrored = (
        head.logits(bank.look("validation", material.validation.data, view, notify=notify).features).argmax(axis=1)
        for view in _VIEWS[1]
    )
    truth = material.validation.data.labels.astype(np.int64)
    return MirrorTrial(truth, as_is, mirrored, seconds_per_step=0.0, seconds_per_picture=0.0)


def _plan(settings: TrainSettings, material: Material, backbone: Backbone, share: Share, *, threads: int) -> Plan:
    counts = np.bincount(material.train.data.labels, minlength=len(_classes(material))).tolist()
    is_published = backbone.start == PRETRAINED
    training = _training(settings, share, class_offsets(counts, settings.balance), len(material.train))
    return Plan(
        seed=settings.seed,
        threads=threads,
        language=settings.language,
        pictures=pictures_plan(settings, material),
        network=NetworkPlan(
            name=backbone.name,
            start=backbone.start,
            start_digest=backbone.digest,
            in_channels=3,
            side=backbone.side,
            classes=_classes(material),
            mean=list(backbone.mean),
            std=list(backbone.std),
            views=list(share.views),
        ),
        augment=AugmentPlan(
            flip="mirrored" in share.views, shift_fraction=0, min_area=1, max_aspect=1, max_degrees=0, color=0
        ),
        training=training,
        frozen=FrozenPlan(
            origin=PACKAGE if is_published else backbone.name,
            license=LICENSE if is_published else "",
            pictures=PICTURES if is_published else "",
            penalties=list(PENALTIES),
            iterations=ITERATIONS,
            first_block=share.first_block if training.epochs > 1 else -1,
            numbers=share.numbers,
            looked_at=share.looked_at,
            compared=share.compared,
        ),
    )


def _training(settings: TrainSettings, share: Share, offsets: list[float], num_train: int) -> TrainingPlan:
    """The recipe of the tuning; epoch 1 of the run is the head."""
    optimizer = settings.optimizer or "adamw"
    batch = max(2, min(settings.batch or BATCH, num_train))
    per_epoch = steps_per_epoch(share.looked_at or num_train, batch)
    steps = int(share.epochs * per_epoch)
    epochs = settings.epochs or 1 + math.ceil(steps / per_epoch)
    return TrainingPlan(
        optimizer=optimizer,
        epochs=epochs,
        steps=0 if settings.epochs or steps % per_epoch == 0 else steps,
        batch=batch,
        learning_rate=settings.learning_rate or LEARNING_RATE,
        schedule="cosine",
        momentum=0.9,
        weight_decay=WEIGHT_DECAY if optimizer == "adamw" else 0.0,
        warmup_fraction=0.1,
        label_smoothing=0.1,
        average=0.0,
        patience=max(10, epochs),
        class_offsets=offsets,
    )


def _tell(settings: TrainSettings, backbone: Backbone, share: Share, counts: list[int], notify: Notify) -> None:
    if backbone.rank == 4:  # a map, of which the file does not say where its places are
        axes = dict(zip(("first", "second"), backbone.places, strict=True))
        notify(Note(key="start_map", values={**axes, "width": backbone.width}))
    if settings.minutes is None:
        return
    values = {"minutes": settings.minutes, "views": len(share.views)}
    if share.first_block >= 0:
        values |= {"epochs": round(share.epochs, 1), "seconds": share.seconds_to_tune}
        notify(Note(key="start_budget", values=values))
    else:
        notify(Note(key="start_budget_head", values=values))
    if share.looked_at:
        notify(Note(key="start_some", values={"n": share.looked_at, "of": counts[0]}, level="warning"))


def _classes(material: Material) -> list[str]:
    return list(material.division.inspection.pictures.classes)
