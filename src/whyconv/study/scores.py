"""From trainings to what they say: scores, losses under controls, gains in both orders, curves, overfitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from whyconv.results import (
    CONTROLS,
    CORNERS,
    PLACES,
    ArmName,
    ControlLoss,
    Corner,
    CornerScore,
    CurveExponent,
    DataRatio,
    PicturesNeeded,
    Place,
    SquareProtocol,
)
from whyconv.study.controls import UNMOVED
from whyconv.study.curves import crossing, draw_weights, exponent, log_needed, ratio, targets
from whyconv.study.overfitting import gap_differences, gaps, memorized
from whyconv.study.protocol import Training, all_trainings, same_training, scored_arms, trained_as
from whyconv.study.split import accuracy_of, difference, split_gain
from whyconv.study.trials import Glance, JobResult
from whyconv.study.tuning import Tuned

# Pairs of corners whose needs are compared: the product of the second and the third is the first.
COMPARED: tuple[tuple[Corner, Corner], ...] = (
    ("dense", "convolution"),
    ("dense", "local"),
    ("local", "convolution"),
    ("dense", "shared_global"),
    ("shared_global", "convolution"),
)


def scores_of(
    protocol: SquareProtocol,
    trials: Mapping[Training, JobResult],
    same_steps: Mapping[Training, JobResult],
    tuned: Mapping[Training, Tuned],
) -> list[CornerScore]:
    """Scores of all trainings, those included that are like another one.

    Args:
        protocol: What was trained.
        trials: Of those carried out, at their own end.
        same_steps: The same after as many steps for all.
        tuned: Their settings.
    """
    scores = []
    for training in all_trainings(protocol):
        if training.arm == "random_labels":
            continue
        trained = trained_as(training, protocol)
        both, like = (trials[trained], same_steps[trained]), tuned[trained]
        scores.append(_score(training, protocol, both, like))
        if training.arm == "shifts" and "averaged" in {arm for _, arm in scored_arms(protocol)}:
            scores.append(_score(training._replace(arm="averaged"), protocol, both, like))
    return scores


def told_by(
    scores: Sequence[CornerScore], trials: Mapping[Training, JobResult], protocol: SquareProtocol, chance: float
) -> dict[str, Any]:
    """What ``Square`` says beside the scores, by the names of its fields.

    Args:
        scores: Of all trainings.
        trials: Of those carried out.
        protocol: What was trained.
        chance: Accuracy of always answering the largest class.
    """
    plain = {(one.place, one.arm, one.n_train, one.corner): one.by_draw for one in scores if one.control is None}
    arms = scored_arms(protocol)
    splits = [
        split_gain({corner: plain[place, arm, n, corner] for corner in CORNERS}, place, n, arm)
        for place, arm in arms
        for n in protocol.sizes
    ]
    told: dict[str, Any] = {"losses": _losses(scores, protocol), "splits": splits}
    told |= {"needed": [], "ratios": [], "exponents": []}
    if ("still", "averaged") in arms:
        helped = plain["still", "averaged", protocol.sizes[-1], "dense"]
        structured = plain["still", "plain", protocol.sizes[-1], "convolution"]
        told["shifts_beside_structure"] = difference(helped, structured)
    for place, arm in arms:
        curves = {corner: np.array([plain[place, arm, n, corner] for n in protocol.sizes]) for corner in CORNERS}
        for name, found in _curves_told(curves, protocol, place, arm, chance).items():
            told[name] += found
    return told | _overfitting_told(trials, protocol)


def _end(history: Sequence[Glance]) -> float:
    test = history[-1].test
    assert test is not None
    return test


def _best(history: Sequence[Glance]) -> float:
    """Test accuracy at the glance whose kept pictures are answered best; between equals the least loss."""
    test = max(history, key=lambda glance: (glance.kept, -glance.kept_loss)).test
    assert test is not None
    return test


def _score(
    training: Training, protocol: SquareProtocol, results: tuple[JobResult, JobResult], tuned: Tuned
) -> CornerScore:
    """``results``: at its own end, and after the same steps for all."""
    own = results[0]
    if training.arm == "averaged":  # asked at the end alone
        by_draw, same_steps, best = own.averaged, results[1].averaged, own.averaged
    else:
        by_draw, same_steps = ([_end(one) for one in result.glances] for result in results)
        best = [_best(one) for one in own.glances]
    return CornerScore(
        corner=training.corner,
        place=training.place,
        control=training.control,
        arm=training.arm,
        n_train=training.n_train,
        accuracy=accuracy_of(by_draw),
        by_draw=by_draw,
        best_accuracy=accuracy_of(best),
        best_by_draw=best,
        same_steps_accuracy=accuracy_of(same_steps),
        same_steps_by_draw=same_steps,
        num_steps=protocol.steps * tuned.times,
        train_accuracy=accuracy_of([history[-1].train for history in own.glances]),
        learning_rate=tuned.settings.learning_rate,
        decay=tuned.settings.decay,
        is_rate_at_edge=tuned.is_rate_at_edge,
        same_as=same_training(training, protocol)[0],
    )


def _losses(scores: Sequence[CornerScore], protocol: SquareProtocol) -> list[ControlLoss]:
    largest = [one for one in scores if one.n_train == protocol.sizes[-1] and one.arm == "plain"]
    at = {(one.corner, one.place, one.control): one for one in largest}
    return [
        ControlLoss(
            corner=corner,
            place=place,
            control=control,
            is_unmoved=corner in UNMOVED[control],
            points=difference(at[corner, place, control].by_draw, at[corner, place, None].by_draw),
        )
        for place in protocol.controlled
        for control in CONTROLS
        for corner in CORNERS
    ]


def _curves_told(
    curves: Mapping[Corner, np.ndarray], protocol: SquareProtocol, place: Place, arm: ArmName, chance: float
) -> dict[str, list[Any]]:
    sizes, n = protocol.sizes, protocol.num_draws
    weights = draw_weights(n, protocol.seed)
    best = max(float(curve.mean(1).max()) for curve in curves.values())
    told: dict[str, list[Any]] = {"needed": [], "ratios": [], "exponents": []}
    for target in targets(best, chance) if len(sizes) > 1 else []:
        logs = {corner: log_needed(sizes, curve, target, weights) for corner, curve in curves.items()}
        told["needed"] += [
            PicturesNeeded(place=place, arm=arm, corner=corner, target=target, pictures=crossing(found, sizes, n))
            for corner, found in logs.items()
        ]
        told["ratios"] += [
            DataRatio(
                place=place,
                arm=arm,
                corner=corner,
                beside=beside,
                target=target,
                times=ratio(logs[corner], logs[beside], sizes, n),
            )
            for corner, beside in COMPARED
        ]
    for corner, curve in curves.items():
        if found := exponent(sizes, curve, weights):
            told["exponents"].append(
                CurveExponent(
                    place=place,
                    arm=arm,
                    corner=corner,
                    exponent=found[0],
                    floor=found[1],
                    is_floor_fitted=len(sizes) >= 5,
                )
            )
    return told


def _overfitting_told(trials: Mapping[Training, JobResult], protocol: SquareProtocol) -> dict[str, Any]:
    largest, smallest = protocol.sizes[-1], protocol.sizes[0]
    told: dict[str, Any] = {"gaps": [], "gap_differences": [], "memorized": []}
    for place in PLACES:
        histories = {
            corner: trials[trained_as(Training(corner, place, None, largest), protocol)].glances for corner in CORNERS
        }
        told["gaps"] += gaps(histories, place, largest)
        told["gap_differences"] += gap_differences(histories, place, largest, COMPARED)
    if "random_labels" in protocol.arms:
        drawn = {
            corner: trials[Training(corner, "still", None, smallest, "random_labels")].glances for corner in CORNERS
        }
        told["memorized"] = memorized(drawn, smallest)
    return told
