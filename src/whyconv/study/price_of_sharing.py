"""The price of sharing: each convolution of a trained network untied and trained on, against leaving it tied.

The untied layer begins with the shared filter at every place, so that the network answers as before. From then on every
place learns by itself. All other layers learn in both networks alike, on the same batches in the same order.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from whyconv.errors import ParityError, UsageError, nearest
from whyconv.machine import memory_bytes, num_cores
from whyconv.nets.layers import LocallyConnected2d
from whyconv.nets.twins import local_twin
from whyconv.results import Estimate, Notify, Progress, ignore
from whyconv.results.price import FilterDrift, LayerLeftOut, LayerPrice, PriceOfSharing, PriceProtocol
from whyconv.study import drift
from whyconv.study.draws import SquarePictures, scored_rows
from whyconv.study.layer_calls import ReachedConvolution, reached_convolutions
from whyconv.study.split import accuracy_of, difference
from whyconv.study.steps import (
    Scored,
    answers,
    evaluating,
    require_parts,
    score,
    take_steps,
)
from whyconv.training.intervals import fraction, mean, paired
from whyconv.training.torch_habits import torch_habits

# Kept of an untied layer while it is trained: weights, gradients, Adam's two moments, and copies to compare with.
_COPIES = 8
_PROBE_STEPS = 2
# What scoring adds to the steps.
_SCORING = 1.15
# Largest difference of answers before any training, as a fraction of the largest answer; single precision.
ROUNDING = 1e-3

CheckStop = Callable[[], None]


def price_of_sharing(  # noqa: PLR0913
    network: nn.Module,
    pictures: SquarePictures,
    protocol: PriceProtocol | None = None,
    notify: Notify = ignore,
    *,
    layers: Sequence[str] | None = None,
    seconds: float = math.inf,
    check_stop: CheckStop = lambda: None,
) -> PriceOfSharing:
    """Measures what each convolution gains when its filters may differ from place to place.

    Args:
        network: Trained; maps (n, c, h, w) to logits (n, classes). It is not changed.
        pictures: In their parts, with the mean and deviation that the network was trained with.
        protocol: How many steps, rates and seeds; None for the usual ones.
        notify: Told how far it has come.
        layers: Names of the convolutions that are asked about; None for all.
        seconds: For the whole of it; convolutions for which there is no time are left out: the first and the last come
            first, then those between, far from one another.
        check_stop: Called before every step; may raise to end it all.

    Raises:
        UsageError: There is no such convolution.
        DataError: A part of the pictures is empty.
        ParityError: An untied network answers otherwise than before although nothing was trained.
    """
    began = time.perf_counter()
    protocol = protocol or PriceProtocol()
    require_parts(pictures, "The price of sharing")
    with torch_habits(num_cores()):
        comparison = _Comparison(network, pictures, protocol, check_stop)
        before = score(network, pictures, pictures.test, protocol.most_scored)
        found, left_out = _measure_layers(comparison, layers, began + seconds, notify)
    return PriceOfSharing(
        protocol=protocol,
        accuracy_before=fraction(int(before.is_right.sum()), len(before.is_right)),
        num_train=len(pictures.train),
        num_validation=len(scored_rows(pictures.validation, protocol.most_scored)),
        num_test=len(before.is_right),
        layers=found,
        left_out=left_out,
        seconds=round(time.perf_counter() - began, 1),
    )


def _measure_layers(
    comparison: _Comparison, layers: Sequence[str] | None, deadline: float, notify: Notify
) -> tuple[list[LayerPrice], list[LayerLeftOut]]:
    """Those that can be measured in time, in the network's order, and those that cannot."""
    convolutions = _chosen(comparison, layers)
    found: dict[str, LayerPrice] = {}
    left_out: dict[str, LayerLeftOut] = {}
    for done, index in enumerate(far_apart(len(convolutions))):
        one = convolutions[index]
        notify(Progress(stage="price", done=done, total=len(convolutions)))
        reason = _why_not(one, comparison.protocol) or comparison.untie(one)
        if isinstance(reason, nn.Module):
            needed = comparison.predict_seconds(reason)
            if time.perf_counter() + needed > deadline:
                reason = LayerLeftOut(layer=one.name, cause="time", seconds=needed)
            else:
                found[one.name] = comparison.price(one, reason)
        if isinstance(reason, LayerLeftOut):
            left_out[one.name] = reason
    notify(Progress(stage="price", done=len(convolutions), total=len(convolutions)))
    names = [one.name for one in convolutions]
    return [found[name] for name in names if name in found], [left_out[name] for name in names if name in left_out]


def _chosen(comparison: _Comparison, layers: Sequence[str] | None) -> list[ReachedConvolution]:
    rows = np.zeros(1, np.int64)
    picture = comparison.pictures.numbers(comparison.pictures.train, rows)
    convolutions = reached_convolutions(comparison.network, picture)
    known = {one.name: one for one in convolutions}
    for name in layers or ():
        if name not in known:
            raise UsageError(f"There is no convolution '{name}' that a picture reaches.{nearest(name, known)}")
    return convolutions if layers is None else [known[name] for name in dict.fromkeys(layers)]


def far_apart(count: int) -> list[int]:
    """0 .. count - 1 so that the first ones lie far apart: both ends, the middle, the middles of what is between."""
    order = [0, count - 1][: min(count, 2)]
    while len(order) < count:
        taken = sorted(order)
        gaps = [(high - low, low) for low, high in pairwise(taken)]
        widest, low = max(gaps, key=lambda gap: (gap[0], -gap[1]))
        order.append(low + widest // 2)
    return order


def training_bytes(one: ReachedConvolution) -> int:
    """What the training of a convolution's locally connected twin keeps in memory: the weights, several times."""
    return one.num_untied_parameters * one.module.weight.element_size() * _COPIES


def _why_not(one: ReachedConvolution, protocol: PriceProtocol) -> LayerLeftOut | None:
    if one.places == (1, 1):
        return LayerLeftOut(layer=one.name, cause="one_place")
    if not one.module.weight.requires_grad:
        return LayerLeftOut(layer=one.name, cause="fixed")
    needed = training_bytes(one)
    memory = memory_bytes()
    if needed > min(protocol.most_bytes, math.inf if memory is None else memory // 2):
        return LayerLeftOut(layer=one.name, cause="memory", num_bytes=needed)
    return None


@dataclass(frozen=True, eq=False)
class _Arm:
    """One kind of network trained with every learning rate and seed: scores [rate][seed], and untied filters."""

    validation: list[list[Scored]]
    test: list[list[Scored]]
    train: list[list[Scored]]
    filters: list[list[drift.Floats]]

    @classmethod
    def of(cls, num_rates: int) -> Self:
        """Nothing trained yet."""
        rates = range(num_rates)
        return cls([[] for _ in rates], [[] for _ in rates], [[] for _ in rates], [[] for _ in rates])

    def merit(self, rate: int) -> tuple[float, float]:
        """Mean accuracy on validation, and the loss between equals."""
        every = np.array([one.merit for one in self.validation[rate]])
        return float(every[:, 0].mean()), float(every[:, 1].mean())


class _Comparison:
    """A trained network trained on: with everything tied, once for all layers; and with a layer untied."""

    def __init__(
        self, network: nn.Module, pictures: SquarePictures, protocol: PriceProtocol, check_stop: CheckStop
    ) -> None:
        self.network, self.pictures, self.protocol, self.check_stop = network, pictures, protocol, check_stop
        self._tied: _Arm | None = None
        self._tied_step = 0.0

    def untie(self, one: ReachedConvolution) -> nn.Module | LayerLeftOut:
        """The network with one layer untied; or why it has no such twin."""
        rows = np.arange(min(4, len(self.pictures.test)))
        x = self.pictures.numbers(self.pictures.test, rows)
        try:
            twin = local_twin(self.network, tuple(x.shape[1:]), only=one.name)
        except UsageError as error:
            return LayerLeftOut(layer=one.name, cause="no_twin", reason=str(error))
        with evaluating(twin), evaluating(self.network), torch.no_grad():
            tied, untied = (answers(each, x, self.pictures.num_classes) for each in (self.network, twin))
        apart = float((tied - untied).abs().max() / tied.abs().max().clamp_min(1e-30))
        if not apart <= ROUNDING:
            raise ParityError(
                f"{one.name} untied, before any training, changes the answers by {apart:.2g} of the largest (allowed "
                f"{ROUNDING:g}): the locally connected layer computes something else here. Please report this."
            )
        return twin

    def predict_seconds(self, twin: nn.Module) -> float:
        """Of measuring a layer, by a few steps; with the tied trainings where they are still to come."""
        if self._tied is None and not self._tied_step:
            self._tied_step = self._step_seconds(self.network)
        each = self._step_seconds(twin) + (self._tied_step if self._tied is None else 0.0)
        num_trainings = len(self.protocol.learning_rates) * self.protocol.num_seeds
        return _SCORING * each * self.protocol.steps * num_trainings

    def price(self, one: ReachedConvolution, twin: nn.Module) -> LayerPrice:
        """Trains everything that a layer's price is made of."""
        if self._tied is None:
            self._tied = self._train(self.network)
        tied, untied = self._tied, self._train(twin, one.name)
        rates = range(len(self.protocol.learning_rates))
        rate = max(rates, key=lambda one: tuple(np.add(tied.merit(one), untied.merit(one))))
        own = max(rates, key=tied.merit), max(rates, key=untied.merit)
        layer = twin.get_submodule(one.name) if one.name else twin
        assert isinstance(layer, LocallyConnected2d)
        return LayerPrice(
            layer=one.name,
            kernel=layer.kernel_size,
            places=one.places,
            tied_parameters=one.num_parameters,
            untied_parameters=one.num_untied_parameters,
            learning_rate=self.protocol.learning_rates[rate],
            is_rate_at_edge=len(rates) > 1 and rate in (rates[0], rates[-1]),
            tied=_accuracy(tied.test[rate]),
            untied=_accuracy(untied.test[rate]),
            gain=_paired(untied.test[rate], tied.test[rate]),
            gain_over_pictures=paired(_right(untied.test[rate]) - _right(tied.test[rate])),
            gain_at_own_rates=_paired(untied.test[own[1]], tied.test[own[0]]),
            loss_change=_over_seeds(
                [b.loss - a.loss for a, b in zip(tied.train[rate], untied.train[rate], strict=True)]
            ),
            drift=_drifted(layer, untied.filters[rate]),
        )

    def _train(self, network: nn.Module, layer: str | None = None) -> _Arm:
        arm = _Arm.of(len(self.protocol.learning_rates))
        for index, rate in enumerate(self.protocol.learning_rates):
            for seed in range(self.protocol.seed, self.protocol.seed + self.protocol.num_seeds):
                copied = copy.deepcopy(network)
                self._steps(copied, self.protocol.steps, rate, seed)
                parts = (self.pictures.validation, self.pictures.test, self.pictures.train)
                for kept, part in zip((arm.validation, arm.test, arm.train), parts, strict=True):
                    kept[index].append(score(copied, self.pictures, part, self.protocol.most_scored))
                if layer is not None:
                    trained = copied.get_submodule(layer) if layer else copied
                    assert isinstance(trained, LocallyConnected2d)
                    arm.filters[index].append(drift.filters_of(trained))
        return arm

    def _step_seconds(self, network: nn.Module) -> float:
        seconds = self._steps(copy.deepcopy(network), 1 + _PROBE_STEPS, self.protocol.learning_rates[0], 0)
        return min(seconds[1:])  # the first has things to set up

    def _steps(self, network: nn.Module, steps: int, rate: float, seed: int) -> list[float]:
        batch = self.protocol.batch
        return take_steps(network, self.pictures, steps=steps, batch=batch, rate=rate, seed=seed, tick=self.check_stop)


def _drifted(before: LocallyConnected2d, filters: Sequence[drift.Floats]) -> FilterDrift:
    """What the filters of all seeds say."""
    live, start = drift.meets_data(before), drift.filters_of(before)
    maps = np.stack([drift.drift_map(each, live) for each in filters])
    direction, share = drift.leading_direction(np.mean(filters, axis=0), live)
    by_seed = [drift.cosines_by_distance(each, start, live) for each in filters]
    cosines = [
        first[0].model_copy(
            update={name: float(np.mean([getattr(one, name) for one in first])) for name in ("filters", "changes")}
        )
        for first in zip(*by_seed, strict=True)
    ]
    return FilterDrift(
        by_place=maps.mean(0).tolist(),
        mean=_over_seeds(maps.mean((1, 2)).tolist()),
        direction=direction.tolist(),
        direction_share=share,
        cosines=cosines,
    )


def _accuracy(scores: Sequence[Scored]) -> Estimate:
    return accuracy_of(_accuracies(scores)).model_copy(update={"over": "seeds"})


def _accuracies(scores: Sequence[Scored]) -> list[float]:
    return [one.accuracy for one in scores]


def _paired(first: Sequence[Scored], second: Sequence[Scored]) -> Estimate:
    found = difference(_accuracies(first), _accuracies(second))
    return found.model_copy(update={"over": "seeds"})


def _right(scores: Sequence[Scored]) -> NDArray[np.float64]:
    """For each picture, the share of the seeds that answer it rightly (n,)."""
    return np.asarray(np.mean([one.is_right for one in scores], axis=0))


def _over_seeds(values: Sequence[float]) -> Estimate:
    return mean(values, over="seeds")
