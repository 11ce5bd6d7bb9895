"""A run on a frozen network, carried out by its plan: features, head, tuning, and which of them validation keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.errors import ModelFileError
from whyconv.model_file import Metadata
from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.pretrained.backbone import Backbone
from whyconv.pretrained.features import Bank, SeenPart, mean_over_views
from whyconv.pretrained.head import fit_heads, mean_cost
from whyconv.pretrained.joining import Head, join
from whyconv.pretrained.networks import FrozenWithHead, get_head, with_head
from whyconv.pretrained.tail import Tail
from whyconv.pretrained.tuning import TunedNetwork, features_of, tune
from whyconv.results import EpochRecord, Note, Notify
from whyconv.settings import FrozenPlan, Plan
from whyconv.training.evaluate import fit_temperature
from whyconv.training.history import History, cut_history
from whyconv.training.outcome import Outcome
from whyconv.training.pixel_rows import LabelledPixels, evenly_chosen, some
from whyconv.training.run_folder import METRICS, MOST_EXAMPLES

# Of the tuning: what must fit into the time for it to be begun.
_WORTH_FRACTION = 2 / 3
_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Learned:
    """What a run on a frozen network has come to.

    Attributes:
        backbone: The frozen network.
        head: Its last layer.
        tuned: Weights and biases of the convolutions that are not the frozen ones, by name.
        network: All of it in torch.
        logits: Of the validation part, the mean over the views (n, classes).
        features: Of training pictures that answers can be likened to, the mean over the views (n, d); they are
            ``MOST_EXAMPLES``, evenly chosen, of those that were looked at.
        validation_features: The same of the validation part (n, d).
        frozen_features: Of all training pictures that were looked at, by the network before any of it was tuned: no
            label has gone into them (n, d).
    """

    backbone: Backbone
    head: Head
    tuned: dict[str, tuple[Tensor, Tensor]]
    network: nn.Module
    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    validation_features: NDArray[np.float32]
    frozen_features: NDArray[np.float32]

    def as_file(self, plan: Plan, metadata: Metadata) -> bytes:
        """The recognizer as the content of an ONNX file."""
        tensors = {f"{name}.weight": pair[0].numpy() for name, pair in self.tuned.items()}
        tensors |= {f"{name}.bias": pair[1].numpy() for name, pair in self.tuned.items()}
        return join(self.backbone, plan.network, self.head, metadata, tensors).SerializeToString()


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a run on a frozen network learns from, and how it is watched.

    Attributes:
        plan: With ``frozen``.
        bank: Of the frozen network; answers that are in it are used.
        published: Gives the published network in torch; None for a file of the user's, which cannot be tuned.
        folder: The run folder.
        notify: Told of stages and epochs.
        stop_requested: Asked between steps; what it returns but 0 is the exit code of the stop.
        deadline: On the clock of ``time.perf_counter``. Tuning of which less than two thirds would be done by then is
            skipped; else it ends there.
        seconds_to_tune: As measured before; 0: not known.
        last_step: At which tuning ends, as where the clock had ended it; 0: it is skipped; None: by the plan.
    """

    plan: Plan
    bank: Bank
    published: Callable[[], EfficientNetLite0] | None
    folder: Path
    notify: Notify
    stop_requested: Callable[[], int]
    deadline: float
    seconds_to_tune: float = 0.0
    last_step: int | None = None

    @cached_property
    def history(self) -> History:
        """Where epochs are written."""
        return History(self.folder / METRICS, self.notify)

    @property
    def frozen(self) -> FrozenPlan:
        """That part of the plan."""
        assert self.plan.frozen is not None
        return self.plan.frozen

    def show(self, name: str, data: LabelledPixels) -> SeenPart:
        """What the frozen network says about every view of a part."""
        views = [
            self.bank.look(name, data, view, notify=self.notify, stop_requested=self.stop_requested)
            for view in self.plan.network.views
        ]
        return SeenPart(views, data.labels)


def learn(lesson: Lesson, train: LabelledPixels, validation: LabelledPixels) -> tuple[Outcome, Learned]:
    """Carries out a plan with a frozen network.

    Epoch 1 is the head. Where the plan tunes, the tuned blocks are kept if J on validation, each at its best
    temperature, is lower than that of the head alone.

    Args:
        lesson: What is learned from.
        train: The training part.
        validation: The validation part; may be empty, then the middle penalty and the tuned blocks are kept.

    Raises:
        StoppedError: A stop was requested; ``--resume`` begins again.
    """
    began = time.perf_counter()
    cut_history(lesson.folder / METRICS, 0)
    rows = evenly_chosen(len(train), lesson.frozen.looked_at)
    seen = lesson.show("train", some(train, rows)), lesson.show("validation", validation)
    head = _learn_head(lesson, *seen, began)
    alone = _without_tuning(lesson, head, *seen)
    if lesson.frozen.first_block < 0 or lesson.last_step == 0:
        return _outcome(began, reason="planned" if lesson.last_step is None else "clock"), alone
    if time.perf_counter() + _WORTH_FRACTION * lesson.seconds_to_tune > lesson.deadline:
        lesson.notify(Note(key="start_tuning_skipped", level="warning"))
        return _outcome(began, reason="clock"), alone
    return _learn_tail(lesson, alone, *seen, began)


def _learn_head(lesson: Lesson, train: SeenPart, validation: SeenPart, began: float) -> Head:
    """Fits a head for each penalty; keeps that with the least J on validation.

    Raises:
        ModelFileError: J is a number with none of them.
    """
    recipe, frozen = lesson.plan.training, lesson.frozen
    offsets = recipe.class_offsets
    penalties = frozen.penalties if len(validation) else frozen.penalties[len(frozen.penalties) // 2 :][:1]
    best, least = None, np.inf
    for penalty, head in zip(
        penalties,
        fit_heads([each.features for each in train.views], train.labels, offsets, penalties, frozen.iterations),
        strict=True,
    ):
        judge = validation if len(validation) else train
        found = mean_cost(_logits(head, judge), judge.labels, offsets)
        if found < least:
            best, least, chosen = head, found, penalty
    if best is None:
        name, size = lesson.bank.network.backbone.name, max(np.abs(each.features).max() for each in train.views)
        raise ModelFileError(
            f"{name}: no head can be learned from its features, J is no finite number. They reach {size:.3g}; expected "
            "numbers that can be squared and added up. Export it with a normalization at its end."
        )
    lesson.notify(Note(key="start_head" if len(validation) else "start_head_middle", values={"penalty": chosen}))
    _record_head(lesson, best, train, validation, began)
    return best


def _record_head(lesson: Lesson, head: Head, train: SeenPart, validation: SeenPart, began: float) -> None:
    """Epoch 1 of the history; J with the label smoothing of the other epochs."""
    recipe = lesson.plan.training

    def scores(part: SeenPart) -> tuple[float, float]:
        logits = _logits(head, part)
        right = float((logits.argmax(axis=1) == part.labels).mean())
        return mean_cost(logits, part.labels, recipe.class_offsets, recipe.label_smoothing), right

    loss, accuracy = scores(train)
    validation_loss, validation_accuracy = scores(validation) if len(validation) else (None, None)
    record = EpochRecord(
        epoch=1,
        num_epochs=recipe.epochs,
        step=0,
        loss=loss,
        train_accuracy=accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        learning_rate=0.0,
        seconds=round(time.perf_counter() - began, 3),
        is_best=True,
    )
    lesson.history.add_epoch([], 1, record)
    lesson.notify(record)


def _learn_tail(
    lesson: Lesson, alone: Learned, train: SeenPart, validation: SeenPart, began: float
) -> tuple[Outcome, Learned]:
    assert lesson.published is not None
    maps = train.views[0].maps
    assert maps is not None
    side = round(maps.shape[2] ** 0.5)
    network = TunedNetwork(Tail(lesson.published(), lesson.frozen.first_block, side), alone.head)
    ending = tune(
        network,
        train,
        validation,
        lesson.plan,
        history=lesson.history,
        began=began,
        notify=lesson.notify,
        stop_requested=lesson.stop_requested,
        deadline=lesson.deadline,
        last_step=lesson.last_step,
    )
    outcome = Outcome(
        ending.best_epoch, ending.num_epochs, ending.num_steps, time.perf_counter() - began, ending.reason
    )
    features = features_of(network, validation, lesson.plan, lesson.plan.network.views)
    logits = get_head(network.last).logits(features)
    if len(validation) and not _pays(lesson, alone.logits, logits, validation.labels):
        return replace(outcome, best_epoch=1), alone
    return outcome, _with_tuning(lesson, network, features, train, alone)


def _pays(lesson: Lesson, alone: NDArray[np.float32], tuned: NDArray[np.float32], labels: NDArray[np.int32]) -> bool:
    """Whether the tuned blocks have the lower J on validation, each at its best temperature; tells both."""
    offsets = np.array(lesson.plan.training.class_offsets, np.float32)
    costs = [
        mean_cost(logits / fit_temperature(logits, labels), labels, [0.0] * len(offsets))
        for logits in (alone + offsets, tuned + offsets)
    ]
    values = {"head": costs[0], "tuned": costs[1]}
    if costs[1] < costs[0]:
        lesson.notify(Note(key="start_tuning_kept", values=values))
        return True
    lesson.notify(Note(key="start_tuning_left", values=values))
    return False


def _without_tuning(lesson: Lesson, head: Head, train: SeenPart, validation: SeenPart) -> Learned:
    """The head on the network as it was."""
    if lesson.published is None:
        network: nn.Module = FrozenWithHead(lesson.bank.network, head)
    else:
        network = with_head(lesson.published(), head, {})
    return Learned(
        backbone=lesson.bank.network.backbone,
        head=head,
        tuned={},
        network=network.eval(),
        logits=_logits(head, validation),
        features=mean_over_views(each.features[_examples(train)] for each in train.views),
        validation_features=mean_over_views(each.features for each in validation.views),
        frozen_features=mean_over_views(each.features for each in train.views),
    )


def _with_tuning(
    lesson: Lesson, network: TunedNetwork, validation_features: NDArray[np.float32], train: SeenPart, alone: Learned
) -> Learned:
    """The network with the tuned blocks and the head put in."""
    assert lesson.published is not None
    head, examples, numbers = get_head(network.last), _examples(train), lesson.frozen.numbers
    tuned = {name: (weight, bias) for name, weight, bias in network.tail.convolutions()}
    return Learned(
        backbone=lesson.bank.network.backbone,
        head=head,
        tuned=tuned,
        network=with_head(lesson.published(), head, tuned),
        logits=head.logits(validation_features),
        features=mean_over_views(
            network.features(each.maps[examples], numbers) for each in train.views if each.maps is not None
        ),
        validation_features=validation_features,
        frozen_features=alone.frozen_features,
    )


def _examples(train: SeenPart) -> NDArray[np.int64]:
    return evenly_chosen(len(train), MOST_EXAMPLES)


def _logits(head: Head, part: SeenPart) -> NDArray[np.float32]:
    """Logits (n, classes): the mean over the views; so many rows at once as memory never feels."""
    blocks = [slice(start, start + _ROWS) for start in range(0, max(1, len(part)), _ROWS)]
    return np.concatenate([head.logits(mean_over_views(each.features[rows] for each in part.views)) for rows in blocks])


def _outcome(began: float, reason: Literal["planned", "clock"]) -> Outcome:
    """Of a run whose head is all there is."""
    return Outcome(1, 1, 0, time.perf_counter() - began, reason)
