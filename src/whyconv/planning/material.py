"""The pictures of a run, and what a plan says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whyconv.images.prepare import PicturePolicy
from whyconv.settings import PicturesPlan, TrainSettings
from whyconv.training.pictures import Division, Part


@dataclass(frozen=True, eq=False)
class Material:
    """The pictures of a run, divided and prepared."""

    division: Division
    policy: PicturePolicy
    train: Part
    validation: Part
    test: Part


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
        num_train=len(material.train),
        num_validation=len(material.validation),
        num_test=len(material.test),
    )
