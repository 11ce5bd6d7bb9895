"""The pictures of a plan that is there: as they were, or, where that is accepted, as they are now."""

from __future__ import annotations

import math
from pathlib import Path

from whyconv.planning.material import Material, require_two
from whyconv.planning.streaming import stream_again
from whyconv.results import Note, Notify
from whyconv.settings import Plan
from whyconv.training.manifest import compare, read_manifest
from whyconv.training.pictures import Division, divide_again, divide_as, parts_of, require_classes
from whyconv.training.recipe import class_offsets


def material_of(plan: Plan, notify: Notify, path: Path | None) -> Material:
    """The pictures of a plan, at the side that its network sees; ``path`` is that of its file.

    Raises:
        DataError: They have changed.
    """
    return _prepared(plan, divide_again(plan, notify, path), notify)


def accept_changes(plan: Plan, notify: Notify, path: Path) -> tuple[Plan, Material]:
    """The pictures that are there now, and the plan with what it says of them brought up to date.

    What else the plan has of the old ones stays, such as mean and deviation; classes that count alike do so by the new
    numbers, steps are as many passes as before, and where a clock had ended the training it goes on to its end.

    Args:
        plan: Of the run.
        notify: Told what has changed.
        path: Of its file.

    Raises:
        DataError: The classes are others, or too few pictures are left for training.
    """
    division = divide_as(plan, notify)
    require_classes(plan, division)
    if division.digest == plan.pictures.digest:
        return plan, _prepared(plan, division, notify)
    before = read_manifest(path.parent)
    told = str(compare(before, division.rows())) if before is not None else ""
    notify(Note(key="run_pictures_accepted", values={"changes": told or "..."}, level="warning"))
    material = _prepared(plan, division, notify)
    require_two(material.train)
    return _brought_up_to_date(plan, material), material


def _prepared(plan: Plan, division: Division, notify: Notify) -> Material:
    policy, parts = parts_of(plan, division, notify, read_once=plan.frozen is not None)
    return Material(division, policy, *parts, stream=stream_again(plan, division, policy, notify))


def _brought_up_to_date(plan: Plan, material: Material) -> Plan:
    counts = material.counts()
    is_balanced = len(set(plan.training.class_offsets)) > 1
    pictures = {
        "digest": material.division.digest,
        "num_train": material.num_train,
        "num_validation": len(material.validation),
        "num_test": len(material.test),
    }
    offsets = class_offsets(counts, "on") if is_balanced else plan.training.class_offsets
    brought = plan.model_copy(update={"pictures": plan.pictures.model_copy(update=pictures)})
    steps = math.ceil(plan.training.steps * brought.steps_per_epoch / plan.steps_per_epoch)
    training = {"class_offsets": offsets, "steps": steps, "stop_after": 0}
    return brought.model_copy(update={"training": plan.training.model_copy(update=training)})
