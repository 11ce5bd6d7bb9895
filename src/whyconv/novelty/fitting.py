"""From training and validation pictures to a number that is above 1 for pictures unlike them. NumPy only.

Test pictures have no part in it: which of two measures of the network's own (or both) is used is judged by classes that
are taken away, one after the other, and whose validation pictures are then to be told from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from whyconv.answer_sets import conformal_rank
from whyconv.novelty.looks import Pixels, looks
from whyconv.novelty.normal import NormalScale, normal_scale

Floats = NDArray[np.float64]
Measure = Literal["both", "energy", "neighbors"]

ACCEPTED = 0.95
NEIGHBORS = 10
# Features that travel in the file: at most so many pictures, and numbers.
_MOST_KNOWN, _MOST_NUMBERS, _LEAST_KNOWN = 1000, 2_000_000, 100
# What the looks of validation pictures may be like: the farthest one in a hundred is not.
_LOOKS_ACCEPTED = 0.99
# Inside of their bounds looks are to say next to nothing: so steeply they fall there.
_LOOKS_STEEPNESS = 4.0
# Of the area under the curve: less is no reason to do without one of the two measures.
_BETTER_BY = 0.005
_MOST_CLASSES_TAKEN = 20
_TINY, _ROUNDING = 1e-6, 1e-4


@dataclass(frozen=True, eq=False)
class KnownPictures:
    """Pictures with all that is known about them.

    Attributes:
        pixels: uint8 (n, side, side, channels), as the network takes them; read a few at a time.
        labels: Classes (n,).
        features: What the last layer decides from (n, d).
        logits: Divided by the temperature (n, classes); not needed of training pictures.
    """

    pixels: Pixels
    labels: NDArray[np.int32]
    features: NDArray[np.float32]
    logits: NDArray[np.floating] | None = None


@dataclass(frozen=True, eq=False)
class Novelty:
    """All that the number is computed from.

    Attributes:
        measure: What of the network is used.
        known: Features of training pictures, of length 1, float16 (pictures, d).
        num_neighbors: The distance to the one so many-th nearest of them counts.
        centers: Of "energy" and "neighbors": the median over the validation pictures, less which they are taken.
        spreads: And what they are then divided by: from there to the point that 95 % stay below.
        look_scale: On which the training pictures' looks are normal.
        look_limit: The strangeness of a look that 99 % of the validation pictures stay below.
        threshold: Of the network's own number: so many validation pictures are below it, with looks inside of their
            bounds, that 95 % are accepted.
        n: Validation pictures.
        judged: Area under the curve of each measure in the trials without a class, in [0, 1]; "probability" is that
            of the first answer's, for comparison.
    """

    measure: Measure
    known: NDArray[np.float16]
    num_neighbors: int
    centers: Mapping[str, float]
    spreads: Mapping[str, float]
    look_scale: NormalScale
    look_limit: float
    threshold: float
    n: int
    judged: Mapping[str, float]

    def of(self, pictures: KnownPictures) -> Floats:
        """The number for each picture (n,): 1 is the most that is accepted; the median of known ones is near 0."""
        assert pictures.logits is not None
        look = self.look_scale.strangeness(looks(pictures.pixels)) / self.look_limit
        steep = 1 + self.look_steepness * (look - 1)
        return np.asarray(np.maximum(self.own(pictures) + 1 - self.threshold, np.minimum(look, steep)))

    def own(self, pictures: KnownPictures) -> Floats:
        """What the network's own features and logits say (n,): 0 for the median of known pictures."""
        assert pictures.logits is not None
        distances = neighbor_distance(pictures.features, self.known, self.num_neighbors)
        raw = {"energy": energy(pictures.logits), "neighbors": distances}
        raw = {name: (raw[name] - self.centers[name]) / self.spreads[name] for name in raw}
        return (raw["energy"] + raw["neighbors"]) / 2 if self.measure == "both" else raw[self.measure]

    @property
    def look_steepness(self) -> float:
        """How steeply the part of the looks falls inside of its bounds."""
        return _LOOKS_STEEPNESS


def fit_novelty(train: KnownPictures, validation: KnownPictures) -> Novelty | None:
    """Learns what pictures are known; None where there are too few validation pictures for 95 % of them.

    References:
        Liu, Wang, Owens, Li, *Energy-based out-of-distribution detection* (2020), arXiv 2010.03759. Sun, Ming, Zhu, Li,
        *Out-of-distribution detection with deep nearest neighbors* (2022), arXiv 2204.06507.
    """
    rank = conformal_rank(len(validation.labels), ACCEPTED)
    if rank is None or validation.logits is None or not len(train.labels):
        return None
    known, labels = _known(train)
    num_neighbors = max(1, min(NEIGHBORS, int(np.bincount(labels)[np.unique(labels)].min())))
    raw = {
        "energy": energy(validation.logits),
        "neighbors": neighbor_distance(validation.features, known, num_neighbors),
    }
    judged = _judge(known, labels, validation, num_neighbors)
    scale = normal_scale(looks(train.pixels))
    strange = scale.strangeness(looks(validation.pixels))
    limit = float(np.sort(strange)[(conformal_rank(len(strange), _LOOKS_ACCEPTED) or len(strange)) - 1])
    novelty = Novelty(
        measure=_best(judged),
        known=known,
        num_neighbors=num_neighbors,
        centers={name: float(np.median(values)) for name, values in raw.items()},
        spreads={name: _spread(values) for name, values in raw.items()},
        look_scale=scale,
        look_limit=max(limit, _TINY),
        threshold=1.0,
        n=len(validation.labels),
        judged=judged,
    )
    own = np.where(strange <= limit, novelty.own(validation), np.inf)
    # A validation picture that lies on the threshold is not to fall to the rounding of the file's numbers.
    return replace(
        novelty, threshold=float(np.sort(own)[rank - 1]) + _ROUNDING, look_limit=novelty.look_limit + _ROUNDING
    )


def energy(logits: NDArray[np.floating]) -> Floats:
    """-ln Σ e^logit (n,): higher where no class is spoken for."""
    most = logits.max(axis=1).astype(np.float64)
    return np.asarray(-most - np.log(np.exp(logits - most[:, None]).sum(axis=1)))


def neighbor_distance(features: NDArray[np.float32], known: NDArray[np.float16], number: int) -> Floats:
    """Distance in [0, 2] from each picture's features, at length 1, to the ``number``-th nearest of ``known`` (n,)."""
    similar = _lengthless(features) @ known.astype(np.float64).T
    nearest = np.partition(similar, -number, axis=1)[:, -number]
    return np.asarray(np.sqrt(np.maximum(0, 2 - 2 * nearest)))


def area_under_curve(known: Floats, unknown: Floats) -> float:
    """How often an unknown one is above a known one, ties counting half, in [0, 1]; 0.5 is blind.

    References:
        Mann, Whitney, *On a test of whether one of two random variables is stochastically larger* (1947).
    """
    order = np.sort(known)
    below = np.searchsorted(order, unknown, side="left") + np.searchsorted(order, unknown, side="right")
    return float(below.sum() / 2 / len(known) / len(unknown))


def _known(train: KnownPictures) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """Features at length 1 of evenly chosen training pictures, and their labels."""
    count, width = train.features.shape
    most = min(count, _MOST_KNOWN, max(_LEAST_KNOWN, _MOST_NUMBERS // width))
    rows = np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
    return _lengthless(train.features[rows]).astype(np.float16), train.labels[rows]


def _lengthless(features: NDArray[np.floating]) -> Floats:
    values = features.astype(np.float64)
    return np.asarray(values / np.maximum(np.sqrt((values**2).sum(axis=1, keepdims=True)), _TINY))


def _spread(values: Floats) -> float:
    return max(float(np.quantile(values, ACCEPTED) - np.median(values)), _TINY)


def _best(judged: Mapping[str, float]) -> Measure:
    """Both, unless one alone was clearly better in the trials."""
    alone = max(get_args(Measure), key=lambda name: judged[name])
    return alone if judged[alone] > judged["both"] + _BETTER_BY else "both"


def _judge(
    known: NDArray[np.float16], labels: NDArray[np.int32], validation: KnownPictures, number: int
) -> dict[str, float]:
    """Mean area under the curve over classes that are taken away, for each measure and the first probability."""
    assert validation.logits is not None
    truth, found = validation.labels, dict[str, list[float]]()
    similar = _lengthless(validation.features) @ known.astype(np.float64).T
    classes = [label for label in np.unique(truth).tolist() if 2 <= (truth == label).sum() <= len(truth) - 2]
    for label in classes[:: -(-len(classes) // _MOST_CLASSES_TAKEN) or 1]:
        rest, away = labels != label, truth == label
        if rest.sum() < number:
            continue
        raw = {
            "energy": energy(np.delete(validation.logits, label, axis=1)),
            "neighbors": -np.partition(similar[:, rest], -number, axis=1)[:, -number],
            "probability": -_first_probability(np.delete(validation.logits, label, axis=1)),
        }
        raw["neighbors"] = np.sqrt(np.maximum(0, 2 + 2 * raw["neighbors"]))
        scaled = [
            (raw[name] - np.median(raw[name][~away])) / _spread(raw[name][~away]) for name in ("energy", "neighbors")
        ]
        raw["both"] = (scaled[0] + scaled[1]) / 2
        for name, values in raw.items():
            found.setdefault(name, []).append(area_under_curve(values[~away], values[away]))
    return {name: float(np.mean(found.get(name, [0.5]))) for name in (*get_args(Measure), "probability")}


def _first_probability(logits: NDArray[np.floating]) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(1 / powers.sum(axis=1))
