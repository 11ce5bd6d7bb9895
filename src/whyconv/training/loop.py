"""The training loop: random weights in, the weights of the best epoch out."""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.errors import DataError, StoppedError, StorageError
from whyconv.results import EpochRecord, Note, Notify, ignore
from whyconv.settings import Plan
from whyconv.texts import as_typed
from whyconv.training.averaging import copied
from whyconv.training.card_steps import CardSteps
from whyconv.training.checkpoint import put_weights, require_fitting, save_state
from whyconv.training.cost import costs
from whyconv.training.device import CPU, lying_on, place_of
from whyconv.training.distributed import ALONE, Group
from whyconv.training.divergence import Divergence
from whyconv.training.going_on import EPOCH, LOSSES, State, state_to_go_on_from
from whyconv.training.history import History, cut_history
from whyconv.training.keeping import is_as_good
from whyconv.training.logits import logits_of
from whyconv.training.optimizers import build_optimizer, rate_fraction, set_rates
from whyconv.training.outcome import Outcome
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.precision import Forward, computing_in
from whyconv.training.rotation import forget_older, state_path
from whyconv.training.run_folder import CHECKPOINTS, METRICS
from whyconv.training.step import Learner, Result, StepRecipe
from whyconv.training.views import from_afar
from whyconv.training.visits import AtHand, Visited
from whyconv.training.waited_steps import WaitedSteps

_CHECKPOINT_SECONDS = 20.0
# However little time there is, so many steps are taken.
LEAST_STEPS = 5
# An epoch that was expected to end in time may be late by this fraction of the time before it is cut short.
_LATE_FRACTION = 0.02


def train_network(  # noqa: PLR0913
    network: nn.Module,
    train: LabelledPixels | Visited,
    validation: LabelledPixels,
    plan: Plan,
    *,
    names: Sequence[str] = (),
    folder: Path | None = None,
    notify: Notify = ignore,
    stop_requested: Callable[[], int] = lambda: 0,
    deadline: float = math.inf,
    group: Group = ALONE,
) -> Outcome:
    """Lowers the mean cross-entropy over the training pictures; leaves the best epoch's weights in ``network``.

    Best is the latest epoch in the second half of the plan whose J on validation is within one standard error of the
    least. With ``folder``, J and a record per epoch go to ``metrics.jsonl``, and the three newest states, each with
    all that is needed to go on, into ``checkpoints/``; where there are states already, the training goes on from the
    newest that is whole, bit for bit.

    Args:
        network: Maps (n, c, side, side) to logits (n, classes); changed in place.
        train: The training part, or what visits it in another way than in passes of random order.
        validation: The validation part; may be empty, then the last epoch counts as best.
        plan: Every number of the recipe.
        names: Of the training pictures, for messages; else they are called as they are visited.
        folder: The run folder.
        notify: Told of every epoch.
        stop_requested: Asked after every step; what it returns but 0 is the exit code of the stop. Several processes
            stop a step later.
        deadline: On the clock of ``time.perf_counter``. It ends before an epoch that would not be done by then, and
            inside one that is late; but not before 5 steps.
        group: The processes that train together, each on its share of every batch, all of which call this with the
            same plan, pictures and network. The leader's ``folder``, ``deadline`` and ``notify`` count.

    Raises:
        StoppedError: A stop was requested; the state was saved when there is a ``folder``.
        StorageError: The disk did not take the last state. One that is saved on the way is told and tried again.
        UsageError: The checkpoint is of another plan.
        ModelFileError: The checkpoint cannot be used.
        DataError: Pictures cannot be read that are read while it trains; the state was saved likewise.
        DivergedError: J is no longer a number; the step is not taken. Where the plan has single steps left out: J was
            no number many times in a row.
    """
    place = place_of(plan) if group.have_cards else CPU
    with lying_on(place, network):
        session = _Session(network, train, validation, plan, names, folder, deadline, notify, group, place)
        session.begin()
        before = session.seconds
        with session.asking():
            while (reason := session.ended()) is None:
                session.run_epoch(stop_requested)
        session.save()
        network.load_state_dict(session.best_weights)
    skipped = tuple(session.divergence.skipped)
    return Outcome(session.best_epoch, session.epoch, session.step, session.seconds, reason, skipped, before)


class _Session:
    """The state of one training: everything in it is in the checkpoint, or follows from the plan."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        network: nn.Module,
        train: LabelledPixels | Visited,
        validation: LabelledPixels,
        plan: Plan,
        names: Sequence[str],
        folder: Path | None,
        deadline: float,
        notify: Notify,
        group: Group,
        device: torch.device = CPU,
    ) -> None:
        self.group, self.device = group, device
        self.network, self.validation, self.plan = network, validation, plan
        self.visited: Visited = AtHand(train) if isinstance(train, LabelledPixels) else train
        self.folder, self.notify = folder, notify
        self.history = History(folder / METRICS, notify) if folder else None
        self.divergence = Divergence(
            plan.training, names.__getitem__ if names else self.visited.name_of, folder, notify
        )
        recipe = plan.training
        self.optimizer = build_optimizer(
            recipe.optimizer,
            network,
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            other_learning_rate=recipe.other_learning_rate,
            processes=group,
            rounds=recipe.precision == "bfloat16",
        )
        self.num_steps = recipe.steps or recipe.epochs * self.visited.steps_per_epoch(recipe.batch)
        self.last_step = min(self.num_steps, recipe.stop_after or self.num_steps)
        self.step_recipe = StepRecipe(plan, self.num_steps, self.device)
        self.begun: deque[tuple[list[int], Result]] = deque()
        self.deadline = deadline
        self.latest = deadline + _LATE_FRACTION * max(0.0, deadline - time.perf_counter())
        self.is_out_of_time = False
        self.averaged = copy.deepcopy(network)
        self.ask: Forward = self.network
        self.ask_averaged: Forward = self.averaged
        self.best_weights = copied(network)
        self.epoch = self.step = self.best_epoch = 0
        self.least: Tensor | None = None
        self.seconds = 0.0
        self.losses: list[float] = []
        self.num_right = 0
        self.rows: list[int] = []  # of the last step that was taken
        self.saved_at = -math.inf

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Inside, the networks compute in the plan's precision."""
        precision = self.plan.training.precision
        networks = computing_in(precision, self.network), computing_in(precision, self.averaged)
        with networks[0] as ask, networks[1] as self.ask_averaged, self.group.computing(self.network, ask) as self.ask:
            self.steps = self._steps()
            try:
                yield
            finally:
                self.steps.close()

    def _steps(self) -> WaitedSteps | CardSteps:
        """Where single steps may be left out, and where several processes agree, each is waited for."""
        nets = self.network, self.averaged, self.ask
        learner = Learner(*nets, self.optimizer, self.step_recipe, self.visited, self.plan, self.divergence)
        if self.device != CPU and self.group.size == 1 and self.plan.training.on_divergence is None:
            return CardSteps(learner)
        return WaitedSteps(learner, self.group)

    @contextmanager
    def _saving_if_unread(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            self.save()
            self.group.meet()  # no launcher that ends all where one ends comes before the state is there
            raise DataError(f"{error} {self._how_to_go_on()}") from error

    def ended(self) -> Literal["planned", "no_gain", "clock"] | None:
        recipe = self.plan.training
        if self.losses:
            return None  # inside an epoch, which is to be ended
        if self.step >= self.last_step:
            return "planned"
        if self.is_out_of_time:
            return "clock"  # also where the epoch that was cut short was the last one
        if self.epoch >= recipe.epochs:
            return "planned"
        if self.epoch - self.best_epoch >= recipe.patience:
            return "no_gain"
        if self.epoch and self.step >= LEAST_STEPS:
            is_late = time.perf_counter() + self.seconds / self.epoch > self.deadline
            self.is_out_of_time = bool(self.group.greatest([is_late])[0])
        return "clock" if self.is_out_of_time else None

    def run_epoch(self, stop_requested: Callable[[], int]) -> None:
        began = time.perf_counter() - self.seconds
        epoch, seed = self.epoch + 1, self.plan.seed
        visits = self.visited.visits(seed, epoch, self.plan.training.batch)
        first_step = self.epoch * len(visits.sizes)
        for step in range(self.step - first_step, min(len(visits.sizes), self.last_step - first_step)):
            with self._saving_if_unread():
                self._take_step(visits.rows(step), visits.draws(step))
            self.seconds = time.perf_counter() - began
            code, is_late = self.group.greatest_lately([stop_requested(), time.perf_counter() > self.latest])
            if code:
                self.save()
                raise StoppedError(self._how_to_go_on(), exit_code=code)
            if self.step >= LEAST_STEPS and is_late:
                self.is_out_of_time = True
                break
        self._settle()
        num_seen = sum(size for size, loss in zip(visits.sizes, self.losses, strict=False) if math.isfinite(loss))
        self._end_epoch(epoch, first_step, num_seen, began)

    def _take_step(self, visited: NDArray[np.int64], draws: NDArray[np.float32]) -> None:
        # Dropout and the like draw from torch's own numbers: a function of (seed, step), so that a training
        # that goes on after a stop draws the same.
        drawn = (self.plan.seed * 1_000_003 + self.step) * self.group.size + self.group.rank
        torch.manual_seed(drawn % 2**63)
        set_rates(self.optimizer, self._rate_fraction(self.step))
        self.begun.append((visited.tolist(), self.steps.take(visited, draws, self.step, self.epoch)))
        self.step += 1
        self._settle(self.steps.num_ahead)

    def _settle(self, most: int = 0) -> None:
        """Waits for the steps that were begun, but for the last ``most`` of them."""
        while len(self.begun) > most:
            rows, found = self.begun.popleft()
            value, num_right = found()
            self.losses.append(value)
            self.num_right += num_right
            self.rows = rows if math.isfinite(value) else self.rows

    def _rate_fraction(self, step: int) -> float:
        recipe = self.plan.training
        return rate_fraction(recipe.schedule, step, self.num_steps, recipe.warmup_fraction)

    def _require_weights(self) -> None:
        weights = (*self.network.parameters(), *self.averaged.parameters())
        self.divergence.require_numbers(weights, self.step, self.epoch + bool(self.losses), self.rows)

    def _end_epoch(self, epoch: int, first_step: int, num_seen: int, began: float) -> None:
        self._require_weights()
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        if not finite:
            raise self.divergence.error(f"No step of epoch {epoch} could be taken: the cost J of each is no number")
        losses, accuracy = self._validate()
        self.epoch = epoch
        # While the learning rate is high, a small validation part may favor an epoch by luck: in the first half
        # of the plan the newest weights are the ones kept.
        is_early = epoch <= self.plan.training.epochs // 2
        is_best = losses is None or is_early or self.least is None or is_as_good(losses, self.least)
        if is_best:
            self.best_epoch, self.best_weights = epoch, copied(self.averaged)
        if losses is not None and not is_early and (self.least is None or losses.mean() < self.least.mean()):
            self.least = losses
        self.seconds = time.perf_counter() - began
        record = EpochRecord(
            epoch=epoch,
            num_epochs=self.plan.training.epochs,
            step=self.step,
            loss=sum(finite) / len(finite),
            train_accuracy=self.num_right / num_seen,
            validation_loss=None if losses is None else float(losses.mean()),
            validation_accuracy=accuracy,
            # Not as the optimizer has it: a training that was stopped after the last step of an epoch has a new one.
            learning_rate=self._rate_fraction(self.step - 1) * self.optimizer.param_groups[0]["highest"],
            seconds=round(self.seconds, 3),
            is_best=is_best,
        )
        skipped = self.divergence.named()
        if self.history is not None:
            self.history.add_epoch(self.losses, first_step + 1, record, skipped)
        self.losses, self.num_right = [], 0
        self.notify(record)
        if self.seconds - self.saved_at > _CHECKPOINT_SECONDS:
            self._try_to_save()

    def _validate(self) -> tuple[Tensor | None, float | None]:
        if not len(self.validation):
            return None, None
        plan = self.plan.network.model_copy(update={"views": from_afar(self.plan.network.views)})
        self.averaged.eval()
        own = self.validation.pixels[self.group.part(len(self.validation))]
        found = torch.from_numpy(logits_of(self.ask_averaged, own, plan, self.device))
        logits = self.group.whole(found, len(self.validation))
        labels = torch.from_numpy(self.validation.labels.astype(np.int64))
        losses = costs(logits, labels, self.step_recipe.class_offsets.cpu(), self.plan.training.label_smoothing)
        if not math.isfinite(mean := float(losses.mean())):
            place = f"step {self.step} (epoch {self.epoch + 1})"
            raise self.divergence.error(f"The cost J on validation became {mean} at {place}")
        return losses, (logits.argmax(dim=1) == labels).float().mean().item()

    def _try_to_save(self) -> None:
        """Saves, unless the disk does not take it: the training is worth more than one state of it."""
        try:
            self.save()
        except StorageError as error:
            self.saved_at = self.seconds  # not again after every epoch
            self.notify(Note(key="run_state_not_saved", values={"reason": str(error)}, level="warning"))

    def save(self) -> None:
        """Saves all that is needed to go on.

        Raises:
            DivergedError: A weight is no number; the states before it are as they were.
            StorageError: The disk does not take it; the same.
        """
        if self.folder is None or self.history is None:
            return
        self._settle()
        self._require_weights()
        self.history.write()  # no state is ahead of its history
        progress = {
            "plan": self.plan.digest,
            "is_out_of_time": self.is_out_of_time,
            "epoch": self.epoch,
            "step": self.step,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "num_right": self.num_right,
            "divergence": self.divergence.state(),
        }
        tensors = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best_weights,
            EPOCH: {LOSSES: torch.tensor(self.losses, dtype=torch.float64)},
            "least": {} if self.least is None else {"losses": self.least},
        }
        save_state(state_path(self.folder / CHECKPOINTS, self.step), tensors, self.optimizer, progress)
        forget_older(self.folder / CHECKPOINTS)
        self.saved_at = self.seconds

    def begin(self) -> None:
        """Goes back to the newest state in the run folder, where there is one."""
        state = state_to_go_on_from(self.folder, self.plan, self.optimizer, self.group, self.notify)
        if state is not None:
            self._take_over(state)
        if self.folder is not None:
            cut_history(self.folder / METRICS, self.epoch)

    def _take_over(self, state: State) -> None:
        tensors, progress = state.tensors, state.progress
        put_weights(state.path, self.network, tensors["network"])
        put_weights(state.path, self.averaged, tensors["averaged"])
        require_fitting(state.path, self.optimizer)
        self.best_weights = tensors["best"]
        self.epoch, self.step, self.best_epoch = progress["epoch"], progress["step"], progress["best_epoch"]
        self.least = tensors.get("least", {}).get("losses")
        self.seconds, self.losses, self.num_right = progress["seconds"], progress["losses"], progress["num_right"]
        self.is_out_of_time = progress["is_out_of_time"]
        self.divergence.restore(progress.get("divergence", {}))

    def _how_to_go_on(self) -> str:
        saved = f" All is saved. Go on with:  whyconv train --resume {as_typed(self.folder)}" if self.folder else ""
        return f"Stopped at step {self.step} of {self.num_steps} (epoch {self.epoch + 1}).{saved}"
