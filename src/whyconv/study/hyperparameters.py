"""Filter size, stride, padding, number of filters, pooling: what each does to accuracy, parameters and time.

A budgeted design, not a grid: a small network in the center, settings that differ from it in one factor of its first
layer, and some that differ in several, drawn at random, from which main effects follow by least squares.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from whyconv.errors import DataError
from whyconv.machine import num_cores
from whyconv.results import Estimate, Notify, Progress, ignore
from whyconv.results.hyperparameters import (
    HyperparameterProtocol,
    Hyperparameters,
    SettingLeftOut,
    SettingScore,
)
from whyconv.study.draws import SquarePictures, scored_rows
from whyconv.study.effects import main_effects
from whyconv.study.settings_design import Planned, build_layer_network, design
from whyconv.study.split import accuracy_of, difference
from whyconv.study.steps import Scored, require_parts, score, take_steps
from whyconv.training.intervals import mean
from whyconv.training.torch_habits import torch_habits

_PROBE_STEPS = 2
# What scoring adds to the steps.
_SCORING = 1.15


def study_hyperparameters(
    pictures: SquarePictures,
    protocol: HyperparameterProtocol | None = None,
    notify: Notify = ignore,
    *,
    seconds: float = math.inf,
    check_stop: Callable[[], None] = lambda: None,
) -> Hyperparameters:
    """Trains the settings of a design, as many as there is time for.

    Args:
        pictures: In their parts, at the side that is wanted.
        protocol: What is trained; None for the usual.
        notify: Told how far it has come.
        seconds: For the whole of it. The center comes first, then one factor at a time, then the random settings;
            those for which there is no time are left out and listed.
        check_stop: Called before every step; may raise to end it all.

    Raises:
        DataError: A part is empty, or the pictures are too small for the center.
    """
    began = time.perf_counter()
    protocol = protocol or HyperparameterProtocol()
    require_parts(pictures, "A study of hyperparameters")
    with torch_habits(num_cores()):
        bench = _Bench(pictures, protocol, check_stop)
        trained, left_out = _train_all(bench, began + seconds, notify)
    scores = _scores(trained)
    effects, residual = main_effects(
        [one.setting for one in scores], [one.accuracy.value for one in scores], protocol.center
    )
    return Hyperparameters(
        protocol=protocol,
        side=(bench.shape[1], bench.shape[2]),
        num_train=len(pictures.train),
        num_validation=len(scored_rows(pictures.validation, protocol.most_scored)),
        num_test=len(scored_rows(pictures.test, protocol.most_scored)),
        scores=scores,
        effects=effects,
        residual=residual,
        left_out=left_out,
        seconds=round(time.perf_counter() - began, 1),
    )


@dataclass(frozen=True)
class _Trained:
    """One setting with the learning rate that validation chose: test accuracy and step time of every seed."""

    planned: Planned
    by_seed: list[float]
    step_seconds: list[float]
    learning_rate: float
    is_rate_at_edge: bool
    parameters: int
    layer_parameters: int


def _train_all(bench: _Bench, deadline: float, notify: Notify) -> tuple[list[_Trained], list[SettingLeftOut]]:
    """Setting by setting; the center whatever it takes."""
    trained: list[_Trained] = []
    left_out = []
    plan = design(bench.protocol)
    for done, planned in enumerate(plan):
        notify(Progress(stage="hyperparameters", done=done, total=len(plan)))
        network = bench.build(planned, seed=0)
        if network is None:
            left_out.append(SettingLeftOut(setting=planned.setting, role=planned.role, cause="too_small"))
            continue
        needed = bench.predict_seconds(network)
        if trained and time.perf_counter() + needed > deadline:
            left = SettingLeftOut(setting=planned.setting, role=planned.role, cause="time", seconds=needed)
            left_out.append(left)
            continue
        trained.append(bench.train(planned))
    notify(Progress(stage="hyperparameters", done=len(plan), total=len(plan)))
    return trained, left_out


class _Bench:
    """Trains settings on the same pictures by the same protocol."""

    def __init__(
        self, pictures: SquarePictures, protocol: HyperparameterProtocol, check_stop: Callable[[], None]
    ) -> None:
        self.pictures, self.protocol, self.check_stop = pictures, protocol, check_stop
        channels, high, wide = pictures.numbers(pictures.train, np.zeros(1, np.int64)).shape[1:]
        self.shape = (channels, high, wide)
        if self.build(Planned(protocol.center, "center"), seed=0) is None:
            raise DataError(f"Pictures of {high} x {wide} pixels are too small for the center of the design.")

    def build(self, planned: Planned, seed: int) -> nn.Sequential | None:
        """The network with random weights."""
        torch.manual_seed(seed)
        return build_layer_network(planned.setting, self.shape, self.pictures.num_classes, self.protocol.second_filters)

    def predict_seconds(self, network: nn.Module) -> float:
        """Of training a setting with all rates and seeds, by a few steps."""
        seconds = self._steps(network, 1 + _PROBE_STEPS, self.protocol.learning_rates[0], 0)
        each = min(seconds[1:])  # the first has things to set up
        return _SCORING * each * self.protocol.steps * len(self.protocol.learning_rates) * self.protocol.num_seeds

    def train(self, planned: Planned) -> _Trained:
        """All seeds with every rate; what is reported is of the rate that validation chose."""
        rates = self.protocol.learning_rates
        runs = [[self._run(planned, rate, seed) for seed in self._seeds()] for rate in rates]
        merits = [
            tuple(np.mean([validation.merit for validation, _, _ in by_seed], axis=0).tolist()) for by_seed in runs
        ]
        best = max(range(len(rates)), key=lambda rate: merits[rate])
        network = self.build(planned, seed=0)
        assert network is not None
        return _Trained(
            planned=planned,
            by_seed=[test.accuracy for _, test, _ in runs[best]],
            step_seconds=[seconds for _, _, seconds in runs[best]],
            learning_rate=rates[best],
            is_rate_at_edge=len(rates) > 2 and best in (0, len(rates) - 1),
            parameters=sum(each.numel() for each in network.parameters()),
            layer_parameters=sum(each.numel() for each in network[0].parameters()),
        )

    def _run(self, planned: Planned, rate: float, seed: int) -> tuple[Scored, Scored, float]:
        """One training: scores on validation and test, and the median of its steps' seconds."""
        network = self.build(planned, seed)
        assert network is not None
        seconds = self._steps(network, self.protocol.steps, rate, seed)
        parts = (self.pictures.validation, self.pictures.test)
        validation, test = (score(network, self.pictures, part, self.protocol.most_scored) for part in parts)
        return validation, test, float(np.median(seconds))

    def _seeds(self) -> range:
        return range(self.protocol.seed, self.protocol.seed + self.protocol.num_seeds)

    def _steps(self, network: nn.Module, steps: int, rate: float, seed: int) -> list[float]:
        batch = self.protocol.batch
        return take_steps(network, self.pictures, steps=steps, batch=batch, rate=rate, seed=seed, tick=self.check_stop)


def _scores(trained: Sequence[_Trained]) -> list[SettingScore]:
    center = trained[0]
    return [
        SettingScore(
            setting=one.planned.setting,
            role=one.planned.role,
            accuracy=_over_seeds(accuracy_of(one.by_seed)),
            difference=None if one is center else _over_seeds(difference(one.by_seed, center.by_seed)),
            parameters=one.parameters,
            layer_parameters=one.layer_parameters,
            step_seconds=mean(one.step_seconds, over="seeds"),
            learning_rate=one.learning_rate,
            is_rate_at_edge=one.is_rate_at_edge,
        )
        for one in trained
    ]


def _over_seeds(estimate: Estimate) -> Estimate:
    return estimate.model_copy(update={"over": "seeds"})
