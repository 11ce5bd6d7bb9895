"""The pictures of a plan that is there: as they were, or, where that is accepted, as they are now."""

from __future__ import annotations

import math
from pathlib import Path

from whyconv.errors import SettingsError
from whyconv.planning.material import Material, require_two
from whyconv.planning.streaming import stream_again
from whyconv.results import Note, Notify
from whyconv.settings import Plan
from whyconv.training.manifest import compare, read_manifest
from whyconv.training.pictures import Division, divide_again, divide_as, parts_of, require_classes
from whyconv.training.recipe import class_offsets
from whyconv.training.run_folder import PLAN


def require_agreeing(plan: Plan, path: Path) -> None:
    """Refuses a plan whose steps do not end in the last of its epochs: it says two things of how long it trains.

    A frozen start counts its steps from the second epoch on.

    Raises:
        SettingsError: They do not.
    """
    recipe, each = plan.training, plan.steps_per_epoch
    if plan.frozen is not None or not recipe.steps or (recipe.epochs - 1) * each < recipe.steps <= recipe.epochs * each:
        return
    raise SettingsError(
        f"{path}: training.epochs = {recipe.epochs} makes {recipe.epochs * each:,} steps, {each:,} each, and "
        f"training.steps = {recipe.steps}. Put steps = 0 for whole epochs, or epochs = "
        f"{math.ceil(recipe.steps / each)} for these steps."
    )


def material_of(plan: Plan, notify: Notify, path: Path | None) -> Material:
    """The pictures of a plan, at the side that its network sees; ``path`` is that of its file.

    Raises:
        DataError: They have changed.
        SettingsError: They have not, and the plan counts them otherwise.
    """
    return _counted(plan, _prepared(plan, divide_again(plan, notify, path), notify), path)


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
        SettingsError: The pictures are the same, and the plan counts them otherwise.
    """
    division = divide_as(plan, notify)
    require_classes(plan, division)
    if division.digest == plan.pictures.digest:
        return plan, _counted(plan, _prepared(plan, division, notify), path)
    before = read_manifest(path.parent)
    told = str(compare(before, division.rows())) if before is not None else ""
    notify(Note(key="run_pictures_accepted", values={"changes": told or "..."}, level="warning"))
    material = _prepared(plan, division, notify)
    require_two(material.train)
    return _brought_up_to_date(plan, material), material


def _prepared(plan: Plan, division: Division, notify: Notify) -> Material:
    policy, parts = parts_of(plan, division, notify, read_once=plan.frozen is not None)
    return Material(division, policy, *parts, stream=stream_again(plan, division, policy, notify))


def _counted(plan: Plan, material: Material, path: Path | None) -> Material:
    """The pictures of a plan, which must be as many as it says: epochs and steps follow from that."""
    wrong = {name: number for name, number in _numbers(material).items() if getattr(plan.pictures, name) != number}
    if wrong:
        told = ", ".join(f"pictures.{name} = {getattr(plan.pictures, name)}" for name in wrong)
        raise SettingsError(
            f"{path or PLAN}: {told}: expected {', '.join(map(str, wrong.values()))}, as these pictures are divided. "
            "These numbers follow from the pictures; put them back. To train on fewer, name other pictures."
        )
    return material


def _numbers(material: Material) -> dict[str, int]:
    """What a plan says of how many pictures there are, by its own names."""
    return {
        "num_train": material.num_train,
        "num_validation": len(material.validation),
        "num_test": len(material.test),
    }


def _brought_up_to_date(plan: Plan, material: Material) -> Plan:
    counts = material.counts()
    is_balanced = len(set(plan.training.class_offsets)) > 1
    pictures = {"digest": material.division.digest, **_numbers(material)}
    offsets = class_offsets(counts, "on") if is_balanced else plan.training.class_offsets
    brought = plan.model_copy(update={"pictures": plan.pictures.model_copy(update=pictures)})
    steps = math.ceil(plan.training.steps * brought.steps_per_epoch / plan.steps_per_epoch)
    training = {"class_offsets": offsets, "steps": steps, "stop_after": 0}
    return brought.model_copy(update={"training": plan.training.model_copy(update=training)})
