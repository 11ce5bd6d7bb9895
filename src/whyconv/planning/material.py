"""The pictures of a run, and what a plan says of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy
from whyconv.results import Notify
from whyconv.settings import PicturesPlan, Plan, TrainSettings
from whyconv.training.distributed import ALONE, Group
from whyconv.training.pictures import Division, Part
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.streamed import Stream, StreamedPictures
from whyconv.training.visits import Visited


@dataclass(frozen=True, eq=False)
class Material:
    """The pictures of a run, divided and prepared.

    Attributes:
        division: Of the pictures that are at hand.
        policy: How they were prepared.
        train: Those that are learned from; of a stream, some of them.
        validation: That decide what is kept.
        test: That are scored.
        stream: Where what is learned from is read from shards.
        reading_seconds: That this takes for each picture, as measured; else 0.
        time_steps: Where several processes train together: gives the seconds of a step by a plan.
    """

    division: Division
    policy: PicturePolicy
    train: Part
    validation: Part
    test: Part
    stream: Stream | None = None
    reading_seconds: float = 0.0
    time_steps: Callable[[Plan], float] | None = None

    @property
    def num_train(self) -> int:
        """Pictures that are learned from."""
        return len(self.train if self.stream is None else self.stream)

    def counts(self) -> list[int]:
        """Of each class, the pictures that are learned from."""
        if self.stream is not None:
            return [int(count) for count in self.stream.counts()]
        num_classes = len(self.division.inspection.pictures.classes)
        return [int(count) for count in np.bincount(self.train.data.labels, minlength=num_classes)]

    @contextmanager
    def visited(self, plan: Plan, notify: Notify, group: Group = ALONE) -> Iterator[LabelledPixels | Visited]:
        """What a training by ``plan`` learns from; of a stream, what is read ahead is given up at the end."""
        if self.stream is None:
            yield self.train.data
            return
        recipe = plan.training
        steps = min(recipe.steps or recipe.epochs * plan.steps_per_epoch, recipe.stop_after or sys.maxsize)
        pictures = StreamedPictures(self.stream, recipe.batch, plan.threads, notify, steps=steps, group=group)
        try:
            yield pictures
        finally:
            pictures.close()


def require_two(train: Part) -> None:
    """Makes sure that there is something to learn from.

    Raises:
        DataError: The training part is too small.
    """
    if len(train) < 2:
        are = "picture is" if len(train) == 1 else "pictures are"
        raise DataError(f"Only {len(train)} {are} left for training. Expected at least 2; add pictures.")


def pictures_plan(settings: TrainSettings, material: Material) -> PicturesPlan:
    """That part of a plan which says which pictures, and how they were read and divided."""
    return PicturesPlan(
        path=str(Path(settings.pictures).resolve()),
        layout=settings.layout,
        label_from=settings.label_from or "",
        group_by=settings.group_by or "",
        strict=settings.strict,
        validation_fraction=material.division.validation_fraction,
        test_fraction=settings.test_fraction,
        store=str(Path(settings.store).resolve()) if settings.store else "",
        digest=material.division.digest,
        num_train=material.num_train,
        num_validation=len(material.validation),
        num_test=len(material.test),
    )
