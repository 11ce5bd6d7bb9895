"""The last blocks of a frozen network and the head trained on, from maps that were computed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.errors import DivergedError, StoppedError
from whyconv.pretrained.features import Seen, SeenPart, mean_over_views
from whyconv.pretrained.joining import Head
from whyconv.pretrained.networks import get_head, put_head
from whyconv.pretrained.tail import Tail
from whyconv.results import EpochRecord, Notify
from whyconv.settings import Numbers, Plan, View, steps_per_epoch
from whyconv.training import augment
from whyconv.training.cost import cost, costs
from whyconv.training.history import History
from whyconv.training.keeping import is_as_good
from whyconv.training.optimizers import build_optimizer, rate_fraction, set_rates
from whyconv.training.views import from_afar

_FORWARD_BATCH = 128
NUMBERS: dict[Numbers, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Tuning:
    """How the tuning ended.

    Attributes:
        best_epoch: Of the run, whose weights are in the network; the head is epoch 1.
        num_epochs: Of the run, carried out.
        num_steps: Carried out.
        reason: "planned", or "clock".
    """

    best_epoch: int
    num_epochs: int
    num_steps: int
    reason: Literal["planned", "clock"]


class TunedNetwork(nn.Module):
    """Last blocks and head in one.

    Args:
        tail: From a map to features.
        head: Where the last layer starts from.
    """

    def __init__(self, tail: Tail, head: Head) -> None:
        super().__init__()
        self.tail = tail
        self.last = nn.Linear(*head.weights.shape)
        put_head(self.last, head)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (channels, n, places) to logits (n, classes)."""
        return self.last(self.tail(x))

    def features(self, maps: NDArray[np.float16], numbers: Numbers = "float32") -> NDArray[np.float32]:
        """Features (n, d) of maps (n, c, places), without gradients."""
        with torch.inference_mode():
            starts = range(0, len(maps), _FORWARD_BATCH)
            parts = [self.tail(as_planes(maps[start : start + _FORWARD_BATCH], numbers)).numpy() for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.last.weight[0])), np.float32)


def tune(  # noqa: PLR0913
    network: TunedNetwork,
    train: SeenPart,
    validation: SeenPart,
    plan: Plan,
    *,
    history: History | None,
    began: float,
    notify: Notify,
    stop_requested: Callable[[], int] = lambda: 0,
    deadline: float,
    last_step: int | None = None,
) -> Tuning:
    """Lowers J from epoch 2 of the plan on; leaves the weights of the best of these epochs in ``network``.

    In an epoch each picture is seen by one view, in the next by the next one. Best is the latest epoch of the second
    half whose J on validation is within one standard error of the least, as in a training from scratch.

    Args:
        network: Changed in place.
        train: With maps.
        validation: With maps; may be empty, then without.
        plan: Every number.
        history: Where each step's J and each epoch's record go.
        began: When training began, on the clock of ``time.perf_counter``.
        notify: Told of every epoch.
        stop_requested: Asked after every step; what it returns but 0 is the exit code of the stop.
        deadline: On the same clock; it ends after the step in which this is reached.
        last_step: At which it ends; None: by the plan.

    Raises:
        StoppedError: A stop was requested.
        DivergedError: J is no longer a number.
    """
    session = _Session(network, train, validation, plan, deadline)
    if last_step is not None:
        session.last_step = min(session.last_step, last_step)
    recipe = plan.training
    for epoch in range(2, recipe.epochs + 1):
        if session.is_over:
            break
        first = session.step + 1
        losses, num_right, num_seen = session.run_epoch(epoch, stop_requested)
        record = session.end_epoch(epoch, losses, num_right / max(1, num_seen), time.perf_counter() - began)
        if history is not None:
            history.add_epoch(losses, first, record)
        notify(record)
    network.load_state_dict(session.best)
    return Tuning(session.best_epoch, session.epoch, session.step, "clock" if session.is_late else "planned")


class _Session:
    """The state of one tuning."""

    def __init__(
        self, network: TunedNetwork, train: SeenPart, validation: SeenPart, plan: Plan, deadline: float
    ) -> None:
        recipe = plan.training
        self.network, self.train, self.validation, self.plan = network, train, validation, plan
        self.deadline = deadline
        assert plan.frozen is not None
        self.numbers = plan.frozen.numbers
        self.offsets = torch.tensor(recipe.class_offsets, dtype=torch.float32)
        self.optimizer = build_optimizer(
            recipe.optimizer,
            network,
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self.num_steps = recipe.steps or (recipe.epochs - 1) * steps_per_epoch(len(train), recipe.batch)
        self.last_step = min(self.num_steps, recipe.stop_after or self.num_steps)
        self.step, self.epoch, self.best_epoch = 0, 1, 1
        self.is_late = False
        self.best = _copied(network)
        self.least: Tensor | None = None

    @property
    def is_over(self) -> bool:
        return self.is_late or self.step >= self.last_step

    def run_epoch(self, epoch: int, stop_requested: Callable[[], int]) -> tuple[list[float], int, int]:
        """Takes the steps of an epoch; returns J of each, how many answers were right, and of how many."""
        order = augment.epoch_order(self.plan.seed, epoch, len(self.train))
        batches = augment.epoch_batches(order, self.plan.training.batch)
        losses: list[float] = []
        num_right = num_seen = 0
        for rows in batches[: self.last_step - self.step]:
            loss, right = self._take_step(epoch, np.sort(rows))
            losses.append(loss)
            num_right, num_seen = num_right + right, num_seen + len(rows)
            if code := stop_requested():
                raise StoppedError("Stopped.", exit_code=code)
            if time.perf_counter() > self.deadline:
                self.is_late = self.step < self.last_step
                break
        return losses, num_right, num_seen

    def _take_step(self, epoch: int, rows: NDArray[np.int64]) -> tuple[float, int]:
        recipe, views = self.plan.training, self.train.views
        turn = (rows + epoch) % len(views)
        parts = [as_planes(_maps(views[view])[rows[turn == view]], self.numbers) for view in range(len(views))]
        labels = torch.from_numpy(
            np.concatenate([self.train.labels[rows[turn == view]] for view in range(len(views))]).astype(np.int64)
        )
        set_rates(self.optimizer, rate_fraction("cosine", self.step, self.num_steps, recipe.warmup_fraction))
        logits = self.network(torch.cat(parts, dim=1))
        loss = cost(logits, labels, self.offsets, recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.step += 1
        if not np.isfinite(value := loss.item()):
            raise DivergedError(
                f"The cost J became {value} at step {self.step} of the tuning. A lower --learning-rate than "
                f"{recipe.learning_rate:g} should help."
            )
        return value, int((logits.detach().argmax(dim=1) == labels).sum())

    def end_epoch(self, epoch: int, losses: list[float], train_accuracy: float, seconds: float) -> EpochRecord:
        """Validates, and keeps the weights where they are as good as the best."""
        found, accuracy = self._validate()
        recipe = self.plan.training
        is_early = epoch - 1 <= (recipe.epochs - 1) // 2
        is_best = found is None or is_early or self.least is None or is_as_good(found, self.least)
        if is_best:
            self.best_epoch, self.best = epoch, _copied(self.network)
        if found is not None and not is_early and (self.least is None or found.mean() < self.least.mean()):
            self.least = found
        self.epoch = epoch
        return EpochRecord(
            epoch=epoch,
            num_epochs=recipe.epochs,
            step=self.step,
            loss=sum(losses) / max(1, len(losses)),
            train_accuracy=train_accuracy,
            validation_loss=None if found is None else float(found.mean()),
            validation_accuracy=accuracy,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=round(seconds, 3),
            is_best=is_best,
        )

    def _validate(self) -> tuple[Tensor | None, float | None]:
        if not len(self.validation):
            return None, None
        views = from_afar(self.plan.network.views)
        logits = logits_of(self.network, self.validation, self.plan, views, self.numbers)
        labels = torch.from_numpy(self.validation.labels.astype(np.int64))
        found = costs(torch.from_numpy(logits), labels, self.offsets, self.plan.training.label_smoothing)
        return found, float((logits.argmax(axis=1) == self.validation.labels).mean())


def logits_of(
    network: TunedNetwork, part: SeenPart, plan: Plan, views: Sequence[View], numbers: Numbers = "float32"
) -> NDArray[np.float32]:
    """Logits (n, classes) of a part: the mean over some views of the plan."""
    return get_head(network.last).logits(features_of(network, part, plan, views, numbers))


def features_of(
    network: TunedNetwork, part: SeenPart, plan: Plan, views: Sequence[View], numbers: Numbers = "float32"
) -> NDArray[np.float32]:
    """Features (n, d) of a part: the mean over some views of the plan."""
    if not len(part):
        return np.zeros((0, network.last.in_features), np.float32)
    chosen = [seen for seen, view in zip(part.views, plan.network.views, strict=True) if view in views]
    return mean_over_views(network.features(_maps(seen), numbers) for seen in chosen)


def as_planes(maps: NDArray[np.float16], numbers: Numbers = "float32") -> Tensor:
    """Maps (n, c, places) as (c, n, places), in other numbers."""
    return torch.from_numpy(np.ascontiguousarray(maps)).permute(1, 0, 2).to(NUMBERS[numbers]).contiguous()


def _maps(seen: Seen) -> NDArray[np.float16]:
    assert seen.maps is not None
    return seen.maps


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in network.state_dict().items()}
