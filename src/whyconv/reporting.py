"""Gathers what a run's report and model card are made of, and has them written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.counting.network import count_if_possible
from whyconv.errors import ModelFileError
from whyconv.measures.trace import trace
from whyconv.nets.invariant import fitting_side
from whyconv.nets.windowed import without_windows
from whyconv.planning import Material, threads_for
from whyconv.report import (
    LayerRow,
    MistakenPicture,
    ReportContent,
    SeenPicture,
    SuspectPicture,
    write_card,
    write_report,
)
from whyconv.results import Note, RunSummary, Search
from whyconv.settings import AugmentPlan, FrozenPlan, NetworkPlan, OptimizerName, Plan, TrainSettings
from whyconv.training.history import read_history
from whyconv.training.optimizers import FORMULAS
from whyconv.training.pictures import Part, side_for
from whyconv.training.realistic import num_windows
from whyconv.training.recipe import LEAST_EPOCHS, MOST_EPOCHS, PICTURES_SEEN, Facts, training_plan
from whyconv.training.run_folder import METRICS, SEARCH
from whyconv.untrusted import json_in, mistakes_in, sound_json_in

_NUM_SEEN = 24
_INITIAL = {name: f"plan_initial_{name}" for name in ("swift", "plain", "lesson")}
_INITIAL["plain_circular"] = "plan_initial_plain"
_ASKED = {"epochs": "plan_asked_epochs"}
# Entries whose rule does not say "else": it holds whatever was asked for.
_STATED = ("sides", "precision", "flips", "label_smoothing", "average", "patience", "augmentation", "schedule")


def write_pages(folder: Path, summary: RunSummary, network: nn.Module, plan: Plan, material: Material) -> None:
    """Writes ``report.html`` and ``MODEL_CARD.md`` of a run."""
    looking = without_windows(network)
    losses, epochs = read_history(folder / METRICS)
    search = read_search(folder)
    layers = layer_rows(looking, plan)
    content = ReportContent(
        run=folder.name,
        summary=summary,
        epochs=epochs,
        losses=losses,
        plan=plan_rows(plan, material),
        reasons=plan_reasons(plan, material, is_searched=search is not None),
        check=material.division.inspection.report,
        seen=_seen(material.train, plan),
        most_confused=_mistaken(summary, material),
        suspects=_suspected(summary, material),
        detectors=first_detectors(network),
        layers=layers,
        num_other_parameters=num_other_parameters(looking, layers),
        **counted(looking, plan),
        environment=_environment(folder),
        data_digest=plan.pictures.digest,
        search=search,
    )
    write_report(folder / "report.html", replace(content, summary=_for_page(summary)), plan.language)
    write_card(folder / "MODEL_CARD.md", content, plan.language)


def _for_page(summary: RunSummary) -> RunSummary:
    """The summary with the classes that the confusion table is about; of up to 300 these are all."""
    scores = {"validation": summary.validation, "test": summary.test}
    fewer = {
        name: score.model_copy(update={"classes": [one for one in score.classes if one.name in set(score.tabled)]})
        for name, score in scores.items()
        if score is not None and score.tabled
    }
    return summary.model_copy(update=fewer)


def read_search(folder: Path) -> Search | None:
    """What was searched before the run, from its folder; None where nothing was.

    Raises:
        ModelFileError: It is damaged.
    """
    path = folder / SEARCH
    try:
        return Search.model_validate_json(sound_json_in(path)) if path.exists() else None
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged: {mistakes_in(error)}. Take it away to go on without it.") from None


def _environment(folder: Path) -> dict[str, Any]:
    try:
        found = json_in(folder / "environment.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def first_detectors(network: nn.Module) -> NDArray[Any] | None:
    """Weights of the first 2-d convolution, (filters, kh, kw, c); None where there is none."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return np.asarray(module.weight.detach().permute(0, 2, 3, 1).numpy())
    return None


def counted(network: nn.Module, plan: Plan) -> dict[str, Any]:
    """The network's connections and what they share, as fields of the content: or why they could not be counted."""
    sizes = plan.network
    side = sizes.window or sizes.side
    found = count_if_possible(lambda: trace(network, (sizes.in_channels, side, side)), sizes.name)
    return {"not_counted": found} if isinstance(found, str) else {"network": found}


def layer_rows(network: nn.Module, plan: Plan) -> list[LayerRow]:
    """Every module without children that the network calls, in the order of the calls; none of TorchScript's."""
    rows: list[LayerRow] = []
    names = {module: name for name, module in network.named_modules() if not list(module.children())}

    def note(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        size = sum(parameter.numel() for parameter in module.parameters())
        rows.append(LayerRow(names[module], _kind(module), shape, size))

    told = [module for module in names if not isinstance(module, nn.Identity | torch.jit.ScriptModule)]
    hooks = [module.register_forward_hook(note) for module in told]
    sizes = plan.network
    side = sizes.window or sizes.side
    try:
        network.eval()
        with torch.inference_mode():
            network(torch.zeros(1, sizes.in_channels, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    return rows


def num_other_parameters(network: nn.Module, rows: Sequence[LayerRow]) -> int:
    """How many parameters no row has: those of modules with children, and of modules that are not called as such."""
    listed = {parameter for row in rows for parameter in network.get_submodule(row.name).parameters()}
    return sum(parameter.numel() for parameter in set(network.parameters()) - listed)


def _kind(module: nn.Module) -> str:
    name, size = type(module).__name__, getattr(module, "kernel_size", None)
    if size is None:
        return name
    dims = re.search(r"([123])d$", name)
    sizes = size if isinstance(size, tuple | list) else (size,) * (int(dims[1]) if dims else 2)
    return f"{name} {'x'.join(map(str, sizes))}"


def plan_rows(plan: Plan, material: Material) -> dict[str, Any]:
    """What was decided before step 1, in the order in which it is shown."""
    if plan.frozen is not None:
        return frozen_rows(plan, plan.frozen, material)
    network, recipe, pictures = plan.network, plan.training, plan.pictures
    steps, rises = recipe.stop_after or recipe.steps, recipe.warmup_fraction > 0
    return {
        "network": network.name,
        **({"members": network.members} if network.members > 1 else {}),
        "side": network.side,
        **({"windows": _windows(network)} if network.window else {}),
        **({"sides": ", ".join(map(str, recipe.sides))} if recipe.sides else {}),
        "channels": network.in_channels,
        "fit": Note(key=f"plan_fit_{material.policy.fit}"),
        "batch": recipe.batch,
        "epochs": recipe.epochs,
        **({"steps": steps} if steps else {}),
        "optimizer": recipe.optimizer,
        "formula": _formula(recipe.optimizer),
        "learning_rate": recipe.learning_rate,
        **({"other_learning_rate": recipe.other_learning_rate} if recipe.other_learning_rate else {}),
        "precision": recipe.precision,
        "schedule": Note(key=f"plan_schedule_{recipe.schedule}"),
        **({"warmup": Note(key="plan_warmup", values={"share": recipe.warmup_fraction})} if rises else {}),
        "weight_decay": recipe.weight_decay,
        "label_smoothing": recipe.label_smoothing,
        "average": recipe.average,
        "patience": recipe.patience,
        "initialization": _initialization(network),
        "balance": len(set(recipe.class_offsets)) > 1,
        "flips": plan.augment.flip,
        "augmentation": _augmentation(plan.augment),
        "seed": plan.seed,
        "threads": plan.threads,
        "num_train": pictures.num_train,
        "num_validation": pictures.num_validation,
        "num_test": pictures.num_test,
    }


def frozen_rows(plan: Plan, frozen: FrozenPlan, material: Material) -> dict[str, Any]:
    """The same of a run on a frozen network."""
    network, recipe, pictures = plan.network, plan.training, plan.pictures
    values = {"origin": frozen.origin, "license": frozen.license, "pictures": frozen.pictures}
    origin = Note(key="plan_start_published" if frozen.license else "plan_start_file", values=values)
    # Without pictures to choose by nothing is chosen.
    judged = "" if pictures.num_validation else "_unjudged"
    penalties = ", ".join(f"{each:g}" for each in frozen.penalties)
    tuned = {
        "tuned": Note(key=f"plan_tuned{judged}", values={"block": frozen.first_block, "epochs": recipe.epochs - 1}),
        **({"steps": recipe.steps} if recipe.steps else {}),
        "batch": recipe.batch,
        "optimizer": recipe.optimizer,
        "formula": _formula(recipe.optimizer),
        "learning_rate": recipe.learning_rate,
        "schedule": Note(key=f"plan_schedule_{recipe.schedule}"),
        "weight_decay": recipe.weight_decay,
        "label_smoothing": recipe.label_smoothing,
    }
    return {
        "network": network.name,
        "start": origin,
        "start_digest": network.start_digest,
        "side": network.side,
        "channels": network.in_channels,
        "fit": Note(key=f"plan_fit_{material.policy.fit}"),
        "views": ", ".join(network.views),
        "head": Note(key=f"plan_head{judged}", values={"penalties": penalties}),
        **({"looked_at": frozen.looked_at} if frozen.looked_at else {}),
        **(tuned if frozen.first_block >= 0 else {"tuned": Note(key="plan_tuned_none")}),
        "balance": len(set(recipe.class_offsets)) > 1,
        # Nothing but the views shows it mirrored pictures, whatever a plan of before says.
        "flips": "mirrored" in network.views,
        "seed": plan.seed,
        "threads": plan.threads,
        "num_train": pictures.num_train,
        "num_validation": pictures.num_validation,
        "num_test": pictures.num_test,
    }


def _formula(optimizer: OptimizerName) -> str | Note:
    """A step in symbols; of muon, what it leaves to another in words."""
    formula = FORMULAS[optimizer]
    return Note(key="plan_formula_muon", values={"formula": formula}) if optimizer == "muon" else formula


def _windows(network: NetworkPlan) -> Note:
    return Note(key="plan_windows", values={"window": network.window, "windows": num_windows(network)})


def _initialization(network: NetworkPlan) -> Note:
    if network.start:
        values = {"file": Path(network.start).name, "digest": network.start_digest}
        return Note(key="plan_initial_file", values=values)
    return Note(key=_INITIAL.get(network.name, "plan_initial_own"))


def _augmentation(augment: AugmentPlan) -> Note:
    is_still = augment.shift_fraction == augment.max_degrees == augment.color == 0
    is_whole = augment.min_area == augment.max_aspect == 1
    if is_still and is_whole:
        return Note(key="plan_augmentation_none")
    values = augment.model_dump()
    return Note(key="plan_augmentation_cutout" if values.get("cutout_fraction") else "plan_augmentation", values=values)


def plan_reasons(plan: Plan, material: Material, *, is_searched: bool = False) -> dict[str, Note]:
    """For entries of the plan that a rule decides: the rule; or that they were asked for, or found by a search."""
    if plan.frozen is not None:
        return {"flips": Note(key="plan_rule_start_flips"), "side": Note(key="plan_rule_start_side")}
    network, recipe = plan.network, plan.training
    facts = _facts(plan, material)
    # What the rules give for this network; and, as the learning rate follows from them, for this optimizer, batch and
    # number of steps.
    asked = TrainSettings(pictures="", network=network.name, start=network.start or None)
    ruled = training_plan(asked, facts)
    chosen = asked.model_copy(update={"optimizer": recipe.optimizer, "batch": recipe.batch})
    rate = training_plan(chosen, facts, epochs=recipe.epochs, steps=recipe.steps).learning_rate
    weighs, would_weigh = (len(set(one.class_offsets)) > 1 for one in (recipe, ruled))
    pairs = {
        "network": (network.name, TrainSettings.model_fields["network"].default),
        "side": (network.side, _usual_side(network, material)),
        "batch": (recipe.batch, ruled.batch),
        "epochs": (recipe.epochs, ruled.epochs),
        "optimizer": (recipe.optimizer, ruled.optimizer),
        "learning_rate": (f"{recipe.learning_rate:.4g}", f"{rate:.4g}"),
        "balance": (
            weighs,
            Note(key="report_yes" if would_weigh else "report_no") if weighs != would_weigh else weighs,
        ),
        "threads": (plan.threads, threads_for(network.side)),
    }
    rules = {
        name: Note(key=f"plan_rule_{name}")
        if planned == given
        else Note(key=_ASKED.get(name, "plan_asked"), values={"rule": given})
        for name, (planned, given) in pairs.items()
    }
    if is_searched:
        rules["learning_rate"] = Note(key="plan_searched")
        rules["epochs"] = Note(key="plan_searched_epochs", values={"rule": ruled.epochs})
    if rules["epochs"].key == "plan_rule_epochs":
        seen = {"total": PICTURES_SEEN, "least": LEAST_EPOCHS, "most": MOST_EPOCHS}
        rules["epochs"] = Note(key="plan_rule_epochs", values=seen)
    return rules | {name: Note(key=f"plan_rule_{name}") for name in _STATED if name != "sides" or recipe.sides}


def _facts(plan: Plan, material: Material) -> Facts:
    counts = np.bincount(material.train.data.labels, minlength=len(plan.network.classes)).tolist()
    return Facts(
        counts=counts,
        side=plan.network.side,
        in_channels=plan.network.in_channels,
        epoch_pictures=plan.stream.epoch_pictures if plan.stream is not None else 0,
        is_on_card=plan.device is not None,
    )


def _usual_side(network: NetworkPlan, material: Material) -> int:
    """Of the pictures, and where the network asks for it the next that fits."""
    side = side_for(material.division.inspection)
    return fitting_side(side) if network.name == "plain_circular" else side


def _seen(train: Part, plan: Plan) -> list[SeenPicture]:
    """Training pictures spread over the classes."""
    labels = train.data.labels
    by_class = [np.flatnonzero(labels == index) for index in range(len(plan.network.classes))]
    turns = range(max((len(rows) for rows in by_class), default=0))
    chosen = [int(rows[turn]) for turn in turns for rows in by_class if turn < len(rows)][:_NUM_SEEN]
    return [
        SeenPicture(train.data.pixels[row], train.names[row], plan.network.classes[labels[row]])
        for row in sorted(chosen, key=lambda row: int(labels[row]))
    ]


def _mistaken(summary: RunSummary, material: Material) -> list[MistakenPicture]:
    scored = summary.test or summary.validation
    if scored is None:
        return []
    part = material.test if scored.part == "test" else material.validation
    places = {name: row for row, name in enumerate(part.names)}
    return [
        MistakenPicture(part.data.pixels[places[each.name]], each.name, each.truth, each.answer, each.probability)
        for each in scored.surest_wrong
    ]


def _suspected(summary: RunSummary, material: Material) -> list[SuspectPicture]:
    """The first pictures whose labels are worth a look."""
    parts = {part.name: part for part in (material.train, material.validation, material.test)}
    places = {name: {each: row for row, each in enumerate(part.names)} for name, part in parts.items()}
    first = summary.suspects.first if summary.suspects is not None else []
    return [SuspectPicture(parts[each.part].data.pixels[places[each.part][each.name]], each) for each in first]
