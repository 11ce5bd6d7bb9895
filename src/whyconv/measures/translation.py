"""Does a moved picture keep its answer? Every shift of every picture, and what the answers have in common.

A network that always gives one answer is perfectly consistent, and a more accurate one is more consistent for that
alone. So the fraction of equal answers never stands alone: agreement beyond chance, joint rates with the truth and the
worst shift stand beside it.

References:
    Zhang, *Making convolutional networks shift-invariant again* (2019), arXiv 1904.11486, for consistency of pairs.
    Azulay, Weiss, *Why do deep convolutional networks generalize so poorly to small image transformations?* (2019),
    arXiv 1805.12177, for changes of the first answer. Cohen, *A coefficient of agreement for nominal scales* (1960),
    for kappa.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.errors import UsageError, nearest
from whyconv.measures.modules import evaluating
from whyconv.measures.shifting import (
    Shift,
    all_shifts,
    mover,
    require_labels,
    require_reach,
    require_tensor,
    usual_reach,
    window_side,
)
from whyconv.results import Estimate
from whyconv.results.translation import ShiftKind, ShiftScore, Translation, TranslationProtocol
from whyconv.training.intervals import bootstrap_ends, share, wilson

_NUM_DRAWS = 2000
_MOST_NUMBERS = 4_000_000  # of moved pictures that are asked about at a time
_TINY = 1e-12


def translation(
    network: nn.Module,
    pictures: Tensor,
    labels: Sequence[int] | NDArray[np.int64],
    kind: ShiftKind = "crop",
    *,
    reach: int | None = None,
    seed: int = 0,
) -> Translation:
    """Asks a network about every shift of every picture.

    Args:
        network: Maps (n, c, h, w) to logits (n, classes); asked in evaluation mode, and afterwards as it was.
        pictures: As the network takes them (n, c, h, w), n >= 2; for "crop" larger by ``reach`` pixels on every side.
        labels: Their classes (n,).
        kind: What comes in where they have moved away, see ``TranslationProtocol``.
        reach: Farthest shift each way, in pixels; None: 8, at most a quarter of the side. For "crop" it has to be
            given, as it says what the network looks at.
        seed: Of the draws of pictures that make the intervals.

    Returns:
        Rates in [0, 1], each with a 95 % interval over pictures: Wilson's, where a picture counts a fraction at the
        effective number of pictures. Pictures are taken to be independent: hand over one of each group of copies.

    Raises:
        UsageError: There are fewer than 2 pictures, not as many labels, or no room for the shifts;
            ``reach`` does not fit ``kind``; the network's answers are no finite logits of the labels' classes.
    """
    answers, protocol = ask(network, pictures, labels, kind, reach=reach, seed=seed)
    return scored(answers, protocol)


def ask(
    network: nn.Module,
    pictures: Tensor,
    labels: Sequence[int] | NDArray[np.int64],
    kind: ShiftKind,
    *,
    reach: int | None = None,
    seed: int = 0,
) -> tuple[Answers, TranslationProtocol]:
    """Asks as ``translation`` does, and returns the answers themselves: two networks can be compared by them.

    Args:
        network: As in ``translation``.
        pictures: As in ``translation``.
        labels: As in ``translation``.
        kind: As in ``translation``.
        reach: As in ``translation``.
        seed: As in ``translation``.

    Raises:
        UsageError: As in ``translation``.
    """
    _require(pictures, labels, kind)
    require_reach(reach)
    if kind == "crop" and reach is None:
        raise UsageError("'crop' needs reach: how many pixels there are on every side of what the network looks at.")
    if kind == "fractional" and reach is not None:
        raise UsageError(f"'fractional' moves by quarters of a pixel, up to one: leave reach = {reach} out.")
    size = (pictures.shape[2], pictures.shape[3])
    if reach is None:
        reach = 1 if kind == "fractional" else usual_reach(*size)
    side = window_side(kind, size, reach)
    shifts = all_shifts(kind, reach)
    truth = np.asarray(labels, np.int64)
    answers = _answers(network, pictures, truth, kind, reach, shifts)
    protocol = TranslationProtocol(
        kind=kind,
        shifts=shifts,
        side=side,
        n=len(truth),
        dtype=str(pictures.dtype).removeprefix("torch."),
        seed=seed,
        num_draws=_NUM_DRAWS,
    )
    return answers, protocol


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered: to the unmoved pictures (n,), to the moved ones (n, shifts), and how probabilities changed.

    ``truth`` (n,): the right answers. ``true_changes`` (n,): of the true class, mean over shifts; ``largest_change``:
    of any class.
    """

    truth: NDArray[np.int64]
    unmoved: NDArray[np.int64]
    moved: NDArray[np.int64]
    true_changes: NDArray[np.float64]
    largest_change: float


def _require(pictures: Tensor, labels: Sequence[int] | NDArray[np.int64], kind: str) -> None:
    kinds = get_args(ShiftKind)
    if kind not in kinds:
        raise UsageError(f"kind is {kind!r}: expected one of {', '.join(kinds)}.{nearest(str(kind), kinds)}")
    require_tensor(pictures)
    if not pictures.is_floating_point():
        raise UsageError(f"Pictures are {pictures.dtype}; expected real numbers, as the network takes them.")
    if pictures.ndim != 4 or len(pictures) < 2:
        raise UsageError(
            f"Translation needs at least 2 pictures (n, c, h, w), for its intervals are over pictures; got an array of "
            f"shape {tuple(pictures.shape)}."
        )
    require_labels(labels, len(pictures))
    if np.asarray(labels).dtype.kind not in "iu":
        raise UsageError(f"Labels are {np.asarray(labels).dtype}; expected whole numbers, classes counted from 0.")
    if min(labels) < 0:
        raise UsageError(f"A label is {min(labels)}; expected classes counted from 0.")


def _answers(
    network: nn.Module,
    pictures: Tensor,
    truth: NDArray[np.int64],
    kind: ShiftKind,
    reach: int,
    shifts: Sequence[Shift],
) -> Answers:
    """Some pictures at a time, so that memory does not grow with their number."""
    parts: list[Answers] = []
    step = max(1, _MOST_NUMBERS // pictures[0].numel())
    with evaluating(network), torch.inference_mode():
        for start in range(0, len(pictures), step):
            move = mover(pictures[start : start + step], kind, reach)
            rows = torch.from_numpy(truth[start : start + step])[:, None]
            unmoved = _probabilities(network, move((0.0, 0.0)), int(truth.max()))
            changes, largest = torch.zeros(len(rows), dtype=torch.float64), 0.0
            moved = torch.empty(len(rows), len(shifts), dtype=torch.int64)
            for index, shift in enumerate(shifts):
                found = _probabilities(network, move(shift), int(truth.max()))
                moved[:, index] = found.argmax(dim=1)
                change = (found - unmoved).abs()
                changes += change.gather(1, rows)[:, 0]
                largest = max(largest, float(change.max()))
            first = unmoved.argmax(dim=1).numpy()
            parts.append(Answers(rows[:, 0].numpy(), first, moved.numpy(), changes.numpy() / len(shifts), largest))
    return Answers(
        truth,
        np.concatenate([part.unmoved for part in parts]),
        np.concatenate([part.moved for part in parts]),
        np.concatenate([part.true_changes for part in parts]),
        max(part.largest_change for part in parts),
    )


def _probabilities(network: nn.Module, x: Tensor, last_label: int) -> Tensor:
    logits: Tensor = network(x)
    if logits.ndim != 2 or len(logits) != len(x) or logits.shape[1] <= last_label or not logits.isfinite().all():
        raise UsageError(
            f"The network gives an array of shape {tuple(logits.shape)} for {len(x)} pictures, or numbers that are not "
            f"finite. Expected finite logits (n, classes), of at least {last_label + 1} classes as the labels have."
        )
    return logits.double().softmax(dim=1)


def scored(answers: Answers, protocol: TranslationProtocol) -> Translation:
    """Returns the rates of answers, with their intervals."""
    truth = answers.truth
    same = answers.moved == answers.unmoved[:, None]
    right = answers.moved == truth[:, None]
    is_right = answers.unmoved == truth
    return Translation(
        protocol=protocol,
        accuracy=share(is_right),
        shifted_accuracy=share(right.mean(axis=1)),
        consistency=share(same.mean(axis=1)),
        pair_consistency=share(_alike(answers)),
        worst_case=share(same.all(axis=1)),
        correct_and_same=share((right & is_right[:, None]).mean(axis=1)),
        worst_case_correct=share(right.all(axis=1) & is_right),
        kappa=_kappa(answers, draws_of(protocol)),
        probability_change=share(answers.true_changes),
        largest_change=answers.largest_change,
        by_shift=[
            ShiftScore(shift=shift, consistency=float(kept), accuracy=float(found))
            for shift, kept, found in zip(protocol.shifts, same.mean(axis=0), right.mean(axis=0), strict=True)
        ],
    )


def draws_of(protocol: TranslationProtocol) -> NDArray[np.int64]:
    """How often each picture is drawn in each draw of n pictures (draws, n); the same ones for the same protocol."""
    return np.random.default_rng(protocol.seed).multinomial(
        protocol.n, np.full(protocol.n, 1 / protocol.n), protocol.num_draws
    )


def _alike(answers: Answers) -> NDArray[np.float64]:
    """Of each picture, the share of pairs among its moved and unmoved versions that are answered alike (n,)."""
    every = np.concatenate([answers.unmoved[:, None], answers.moved], axis=1)
    count = every.shape[1]
    times = np.stack([(every == label).sum(axis=1) for label in range(int(every.max()) + 1)], axis=1)
    return np.asarray((times * (times - 1)).sum(axis=1) / (count * (count - 1)))


def _kappa(answers: Answers, draws: NDArray[np.int64]) -> Estimate:
    """Wilson's interval of the agreement, at the number of pictures that makes it spread as kappa does, less chance.

    How much chance agrees is held fixed for the ends, and counts in the spread, which is that of the draws.
    """
    n = len(answers.unmoved)
    observed, expected = (float(each[0]) for each in agreement(answers, np.full((1, n), 1 / n)))
    left = 1 - expected
    if left <= _TINY:
        return Estimate(value=0.0, low=0.0, high=0.0, n=n)
    weights = draws / n
    # A draw without the rarer answers has nothing beyond chance, and says nothing of how kappa spreads.
    is_telling = agreement(answers, weights)[1] < 1 - _TINY
    variance = float(kappa(answers, weights[is_telling]).var()) * left**2 * n / (n - 1) if is_telling.any() else 0.0
    spread = observed * (1 - observed)
    effective = n if min(variance, spread) <= _TINY**2 else spread / variance
    low, high = (min(1.0, (end - expected) / left) for end in wilson(observed, max(1.0, effective)))
    return Estimate(value=min(1.0, (observed - expected) / left), low=low, high=high, n=n)


def kappa(answers: Answers, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Agreement of moved and unmoved answers beyond chance, for pictures that weigh differently.

    (observed - expected) / (1 - expected) agreement; 0 where chance agrees always.

    Args:
        answers: To n pictures.
        weights: Of the pictures, each row adding up to 1 (draws, n).

    Returns:
        One number for each row, at most 1.
    """
    observed, expected = agreement(answers, weights)
    left = 1 - expected
    # Where chance agrees always, there is nothing beyond it.
    return np.where(left > _TINY, (observed - expected) / np.maximum(left, _TINY), 0.0)


def agreement(answers: Answers, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often moved and unmoved answers agree (draws,), and how often chance would make them (draws,)."""
    classes = np.arange(int(max(answers.unmoved.max(), answers.moved.max())) + 1)
    unmoved = (answers.unmoved[:, None] == classes).astype(np.float64)
    moved = np.stack([(answers.moved == label).mean(axis=1) for label in classes], axis=1)
    observed = weights @ (answers.moved == answers.unmoved[:, None]).mean(axis=1)
    return observed, ((weights @ unmoved) * (weights @ moved)).sum(axis=1)


def estimate(value: float, drawn: NDArray[np.float64], n: int) -> Estimate:
    """A value over n pictures, with what pictures drawn anew gave as its interval (bootstrap, expanded percentiles)."""
    low, high = np.quantile(drawn, bootstrap_ends(n))
    return Estimate(value=value, low=float(low), high=float(high), n=n)
