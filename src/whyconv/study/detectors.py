"""Is a detector useful all over the picture? Where each one fires, and what its silence costs.

A detector is one filter of a convolution behind its activation. It is silenced by zeros in its map: in one quadrant, or
at all places. Where no activation is found, its map is that behind the normalization that follows.

References:
    Zhou, Sun, Bau, Torralba, *Revisiting the importance of individual units in CNNs via ablation* (2018), arXiv
    1806.02891, for what silence costs. Zeiler, Fergus, *Visualizing and understanding convolutional networks* (2014),
    arXiv 1311.2901, for the patches that excite a unit most. Shannon, *A mathematical theory of communication* (1948),
    for the entropy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError, nearest
from whyconv.machine import num_cores
from whyconv.results import Estimate, Notify, Progress, ignore
from whyconv.results.detectors import QUADRANTS, Detector, DetectorProtocol, Detectors, LayerDetectors
from whyconv.study.draws import SquarePictures, scored_rows
from whyconv.study.layer_calls import ReachedConvolution, answers_of, reached_convolutions
from whyconv.study.patches import PlacedField, placed_field, strongest_patches
from whyconv.study.steps import answers, evaluating, require_parts
from whyconv.training.intervals import bootstrap_ends, fraction, mean, paired
from whyconv.training.torch_habits import torch_habits

_AT_ONCE = 256

Floats = NDArray[np.float64]
Region = tuple[slice, slice]


def study_detectors(
    network: nn.Module,
    pictures: SquarePictures,
    protocol: DetectorProtocol | None = None,
    notify: Notify = ignore,
    *,
    layers: Sequence[str] | None = None,
    check_stop: Callable[[], None] = lambda: None,
) -> Detectors:
    """Looks at the detectors of some convolutions on the test pictures.

    Args:
        network: Trained; maps (n, c, h, w) to logits (n, classes); asked in evaluation mode, and afterwards as it was.
        pictures: With the mean and deviation that the network was trained with; only the test part is used.
        protocol: How many pictures and detectors; None for the usual ones.
        notify: Told how far it has come.
        layers: Names of convolutions; None for the first and the last one with at least 2 x 2 places.
        check_stop: Called before each silence; may raise to end it all.

    Raises:
        UsageError: There is no such convolution.
        DataError: There are fewer than 2 test pictures.
    """
    began = time.perf_counter()
    protocol = protocol or DetectorProtocol()
    require_parts(pictures, "A look at detectors", validation=False)
    rows = scored_rows(pictures.test, protocol.most_scored)
    with torch_habits(num_cores()), evaluating(network), torch.no_grad():
        stage = _Stage(network, pictures, rows, protocol, check_stop)
        chosen, left_out = _chosen(stage, layers)
        found = []
        for done, one in enumerate(chosen):
            notify(Progress(stage="detectors", done=done, total=len(chosen)))
            found.append(stage.look_at(one))
        notify(Progress(stage="detectors", done=len(chosen), total=len(chosen)))
    return Detectors(
        protocol=protocol,
        n=len(rows),
        accuracy=fraction(int(stage.is_right.sum()), len(rows)),
        layers=found,
        left_out=left_out,
        seconds=round(time.perf_counter() - began, 1),
    )


def _chosen(stage: _Stage, layers: Sequence[str] | None) -> tuple[list[ReachedConvolution], dict[str, str]]:
    convolutions = reached_convolutions(stage.network, stage.pictures.numbers(stage.pictures.test, stage.rows[:1]))
    known = {one.name: one for one in convolutions}
    for name in layers or ():
        if name not in known:
            raise UsageError(f"There is no convolution '{name}' that a picture reaches.{nearest(name, known)}")
    reasons = {one.name: reason for one in convolutions if (reason := _why_not(one))}
    if layers is not None:
        asked = list(dict.fromkeys(layers))
        return [known[name] for name in asked if name not in reasons], {
            name: reasons[name] for name in asked if name in reasons
        }
    usable = [one for one in convolutions if one.name not in reasons]
    return usable[:1] + usable[1:][-1:], {}


def _why_not(one: ReachedConvolution) -> str:
    if min(one.places) < 2:
        return f"its map has {one.places[0]} x {one.places[1]} places, and quadrants need 2 x 2"
    return f"it is called {one.num_calls} times for one picture" if one.num_calls > 1 else ""


@dataclass(frozen=True, eq=False)
class _Maps:
    """What all detectors of a layer answered: |answer| of each picture (n, channels, h, w), and the greatest answers.

    ``best`` (n, channels) with their ``places`` (n, channels, 2).
    """

    sizes: NDArray[np.float32]
    best: Floats
    places: NDArray[np.int64]


class _Stage:
    """A network, the test pictures it is asked about, and who is answered rightly with nothing silenced."""

    def __init__(
        self,
        network: nn.Module,
        pictures: SquarePictures,
        rows: NDArray[np.int64],
        protocol: DetectorProtocol,
        check_stop: Callable[[], None],
    ) -> None:
        self.network, self.pictures, self.rows = network, pictures, rows
        self.protocol, self.check_stop = protocol, check_stop
        self.is_right, self.losses = self._ask()
        draws = np.random.default_rng(protocol.seed)
        n = len(rows)
        self.draws = draws.multinomial(n, np.full(n, 1 / n), protocol.num_draws) / n

    def look_at(self, one: ReachedConvolution) -> LayerDetectors:
        """Everything about one layer."""
        shape = tuple(self.pictures.numbers(self.pictures.test, self.rows[:1]).shape[1:])
        field = placed_field(self.network, one.name, shape)
        means = self._mean_answers(one)
        strongest = np.argsort(-means, kind="stable")[: self.protocol.most_detectors]
        maps = self._maps(one, strongest)
        return LayerDetectors(
            layer=one.name,
            activation=one.activation,
            is_activated=one.is_activated,
            places=one.places,
            field=field.size,
            num_detectors=len(means),
            detectors=[
                self._detector(one, maps, index, int(channel), field) for index, channel in enumerate(strongest)
            ],
        )

    def _detector(self, one: ReachedConvolution, maps: _Maps, index: int, channel: int, field: PlacedField) -> Detector:
        own = maps.sizes[:, index].astype(np.float64)
        whole = (slice(None), slice(None))
        silenced = [self._silenced(one, channel, region) for region in (*quadrants(one.places), whole)]
        lost, rises = zip(*silenced, strict=True)
        num_patches = self.protocol.num_patches if own.any() else 0
        return Detector(
            channel=channel,
            mean_answer=float(own.mean()),
            spread=_spread(own, self.draws),
            map=own.mean(0).tolist(),
            lost=lost[:4],
            lost_everywhere=lost[4],
            loss_rises=rises[:4],
            loss_rise_everywhere=rises[4],
            patches=strongest_patches(maps.best[:, index], maps.places[:, index], self.rows, field, num_patches),
        )

    def _silenced(self, one: ReachedConvolution, channel: int, region: Region) -> tuple[Estimate, Estimate]:
        """Accuracy lost, and rise of the cross-entropy, when a detector is silenced in a region of its map."""
        self.check_stop()

        def silence(answer: Tensor) -> None:
            answer[:, channel, region[0], region[1]] = 0

        with answers_of(self.network, one, silence):
            is_right, losses = self._ask()
        lost = paired(self.is_right.astype(np.float64) - is_right)
        return lost, mean((losses - self.losses).tolist()).model_copy(update={"over": "pictures"})

    def _ask(self) -> tuple[NDArray[np.bool_], Floats]:
        """Who is answered rightly (n,), and the cross-entropy of each in nats (n,)."""
        labels = torch.from_numpy(self.pictures.test.labels[self.rows].astype(np.int64))
        every = [answers(self.network, x, self.pictures.num_classes).mean(1) for x in self._batches()]
        logits = torch.cat(every).double()
        losses = functional.cross_entropy(logits, labels, reduction="none")
        return np.asarray((logits.argmax(1) == labels).numpy()), np.asarray(losses.numpy())

    def _mean_answers(self, one: ReachedConvolution) -> Floats:
        """Mean of |answer| over places and pictures (channels,)."""
        means = [maps.abs().double().mean((2, 3)) for maps in self._answers(one)]
        return np.asarray(torch.cat(means).mean(0).numpy())

    def _maps(self, one: ReachedConvolution, channels: NDArray[np.int64]) -> _Maps:
        sizes, best, places = [], [], []
        for maps in self._answers(one):
            own = maps[:, torch.from_numpy(channels)]
            greatest, at = own.flatten(2).max(2)
            sizes.append(own.abs().numpy())
            best.append(greatest.double().numpy())
            places.append(np.stack(np.divmod(at.numpy(), one.places[1]), axis=-1))
        return _Maps(np.concatenate(sizes), np.concatenate(best), np.concatenate(places))

    def _answers(self, one: ReachedConvolution) -> Iterator[Tensor]:
        """The layer's maps behind its activation (some, channels, h, w)."""
        noted: list[Tensor] = []
        for x in self._batches():
            # A layer behind may work in place.
            with answers_of(self.network, one, lambda answer: noted.append(answer.clone())):
                self.network(x)
            yield noted.pop()

    def _batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self.rows), _AT_ONCE):
            yield self.pictures.numbers(self.pictures.test, self.rows[start : start + _AT_ONCE])


def quadrants(places: tuple[int, int]) -> list[Region]:
    """The four quarters of a map, in the order of ``QUADRANTS``; the middle of an odd side is in the second half."""
    high, wide = (length // 2 for length in places)
    halves = {"upper": slice(0, high), "lower": slice(high, None), "left": slice(0, wide), "right": slice(wide, None)}
    return [(halves[down], halves[across]) for down, across in (name.split("_") for name in QUADRANTS)]


def entropy_fraction(maps: Floats) -> Floats:
    """Entropy of maps as distributions over places / the logarithm of their number, in [0, 1]; 0 for an empty map.

    Args:
        maps: Not negative (..., places), at least 2 places.
    """
    total = maps.sum(-1, keepdims=True)
    shares = maps / np.where(total > 0, total, 1)
    terms = np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0.0)
    return np.asarray(np.clip(-terms.sum(-1) / np.log(maps.shape[-1]), 0.0, 1.0))


def _spread(maps: Floats, draws: Floats) -> Estimate | None:
    """Entropy fraction of the mean map of (n, h, w), with the interval of pictures drawn anew."""
    flat = maps.reshape(len(maps), -1)
    if not flat.any():
        return None
    value = float(entropy_fraction(flat.mean(0)))
    # Few pictures make the mean map rougher, which lowers the entropy, and drawing them anew does so once more: the
    # interval is turned around the value (basic bootstrap), which makes up for the first by the second.
    high, low = 2 * value - np.quantile(entropy_fraction(draws @ flat), bootstrap_ends(len(maps)))
    return Estimate(value=value, low=max(0.0, min(low, value)), high=min(1.0, max(high, value)), n=len(maps))
