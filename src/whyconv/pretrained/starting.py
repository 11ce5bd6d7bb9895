"""A start from a frozen network, from the question what it is to the run that was learned on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from whyconv.errors import ModelFileError
from whyconv.images.prepare import PicturePolicy
from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.planning import Material
from whyconv.pretrained.backbone import Backbone, FrozenNetwork
from whyconv.pretrained.choosing import open_backbone
from whyconv.pretrained.deciding import decide
from whyconv.pretrained.drawing import cut_name
from whyconv.pretrained.features import Bank
from whyconv.pretrained.learning import Learned, Lesson, learn
from whyconv.pretrained.published import published_network
from whyconv.results import Notify
from whyconv.settings import PRETRAINED, Plan, TrainSettings
from whyconv.training.outcome import Outcome
from whyconv.training.torch_habits import torch_habits


@dataclass(eq=False)
class FrozenStart:
    """A frozen network that a run starts from, and what is known of it so far.

    Attributes:
        backbone: The network.
        bank: What it has said about the run's pictures.
        published: Gives it in torch; None for a file of the user's.
        deadline: When tuning must be over, on the clock of ``time.perf_counter``.
        seconds_to_tune: As measured; 0: not known.
    """

    backbone: Backbone
    bank: Bank
    published: Callable[[], EfficientNetLite0] | None
    deadline: float = field(default=math.inf)
    seconds_to_tune: float = 0.0

    @property
    def policy(self) -> PicturePolicy:
        """How pictures are prepared for the network."""
        return PicturePolicy(side=self.backbone.side, channels=3)

    def decide(
        self, settings: TrainSettings, material: Material, *, threads: int, began: float, notify: Notify
    ) -> Plan:
        """Makes the plan; the arguments and errors are those of ``planning.make_plan``."""
        with torch_habits(threads):
            decision = decide(
                settings, material, self.bank, self.published, threads=threads, began=began, notify=notify
            )
        self.deadline, self.seconds_to_tune = decision.deadline, decision.seconds_to_tune
        return decision.plan

    def learn(
        self,
        plan: Plan,
        material: Material,
        folder: Path,
        *,
        notify: Notify,
        stop_requested: Callable[[], int],
        last_step: int | None = None,
    ) -> tuple[Outcome, Learned]:
        """Carries out a plan; ``last_step`` where the clock had ended the tuning before.

        Raises:
            ModelFileError: The network is not the one of the plan.
            StoppedError: A stop was requested.
        """
        _require_same(plan, self.backbone)
        assert plan.frozen is not None
        self.bank.cut = cut_name(plan.frozen.first_block) if plan.frozen.first_block >= 0 else ""
        lesson = Lesson(
            plan=plan,
            bank=self.bank,
            published=self.published,
            folder=folder,
            notify=notify,
            stop_requested=stop_requested,
            deadline=self.deadline,
            seconds_to_tune=self.seconds_to_tune,
            last_step=last_step,
        )
        return learn(lesson, material.train.data, material.validation.data)


def open_start(
    start: str | None, store: Path | None, threads: int, *, folder: Path, size: int | None = None
) -> FrozenStart | None:
    """Opens the frozen network that ``start`` names; None where it names none.

    Args:
        start: Of the settings or of a plan.
        store: The cache folder; None is the default one.
        threads: Of the processor.
        folder: Where what is too large for memory may lie.
        size: Side of the pictures that was asked for, in pixels.

    Raises:
        UsageError: The network takes pictures of another side.
        MissingExtraError: Published weights are neither in the cache nor installed.
        ModelFileError: The file cannot be used.
    """
    backbone = open_backbone(start, store, threads, size)
    if backbone is None:
        return None
    published = partial(published_network, store) if start == PRETRAINED else None
    return FrozenStart(backbone, Bank(FrozenNetwork(backbone, threads), folder), published)


def open_start_of(plan: Plan, folder: Path) -> FrozenStart:
    """Opens the frozen network of a plan; the errors are those of ``open_start``."""
    store = Path(plan.pictures.store) if plan.pictures.store else None
    start = open_start(plan.network.start, store, plan.threads, folder=folder, size=plan.network.side)
    assert start is not None
    return start


def _require_same(plan: Plan, backbone: Backbone) -> None:
    if plan.network.start_digest != backbone.digest:
        raise ModelFileError(
            f"{backbone.start} is not the network that this plan starts from: its content has changed. Put that one "
            "back, or train anew with --start."
        )
