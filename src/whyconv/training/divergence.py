"""What is done where the cost J is no number: the training ends, or the step is left out, as the plan says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from whyconv.errors import DivergedError
from whyconv.results import Note, Notify, SkippedStep
from whyconv.settings import TrainingPlan
from whyconv.training.run_folder import CHECKPOINTS

# So many left out one after the other are no accident.
MOST_IN_A_ROW = 10
_NAMED, _MOST_TOLD = 8, 5
# Names of pictures that are kept in every state and in the summary; a state may hold megabytes of them, not more.
MOST_KEPT = 10_000
_WORDS = {"cost": "The cost J", "gradient": "The gradient"}


class Divergence:
    """Decides what becomes of steps and weights that are no numbers, and keeps which steps were left out.

    Args:
        recipe: Says whether a step may be left out.
        name_of: Gives the name of a training picture by its row.
        folder: The run folder, named in messages.
        notify: Told of the first steps that are left out.

    Attributes:
        skipped: The steps that were left out, with their pictures as long as these are not too many in all.
    """

    def __init__(
        self, recipe: TrainingPlan, name_of: Callable[[int], str], folder: Path | None, notify: Notify
    ) -> None:
        self._recipe, self._name_of, self._folder, self._notify = recipe, name_of, folder, notify
        self._skips = recipe.on_divergence == "skip"
        self.skipped: list[SkippedStep] = []
        self._num_kept, self._named = 0, list[SkippedStep]()
        self._num_in_a_row = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"skipped": [each.model_dump() for each in self.skipped], "in_a_row": self._num_in_a_row}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over what ``state`` gave; {} is that of a checkpoint of before."""
        self.skipped = [SkippedStep.model_validate(each) for each in state.get("skipped", [])]
        self._num_in_a_row = state.get("in_a_row", 0)
        self._num_kept, self._named = sum(len(each.pictures) for each in self.skipped), list(self.skipped)

    def named(self) -> list[SkippedStep]:
        """The steps left out since this was asked for last, or of a state that is gone on from, with all pictures."""
        named, self._named = self._named, []
        return named

    def buffers_of(self, network: nn.Module) -> list[Tensor]:
        """Copies of what a step changes before it is known to be one to leave out: statistics of normalization."""
        return [value.clone() for value in network.buffers()] if self._skips else []

    def may_step(self, network: nn.Module) -> bool:
        """Whether the gradient is a number; where no step may be left out, the next J tells that for nothing."""
        gradients = [value.grad for value in network.parameters() if value.grad is not None]
        may = not self._skips or bool(torch.nn.utils.get_total_norm(gradients).isfinite())
        self._num_in_a_row *= not may
        return may

    def leave_out(
        self, what: Literal["cost", "gradient"], value: float, step: int, epoch: int, rows: Sequence[int]
    ) -> None:
        """Leaves out the step ``step`` (from 1) of ``epoch`` (from 1) on the training pictures ``rows``.

        Raises:
            DivergedError: The plan has it so, or too many were left out in a row.
        """
        self._num_in_a_row += 1
        place = f"{_WORDS[what]} became {value} at step {step} (epoch {epoch})"
        if not self._skips:
            raise self.error(place, rows)
        if self._num_in_a_row >= MOST_IN_A_ROW:
            raise self.error(f"{place}, as at the {MOST_IN_A_ROW - 1} steps before it, which were left out", rows)
        names = [self._name_of(row) for row in rows]
        left_out = SkippedStep(step=step, what=what, value=str(value), pictures=names)
        self._named.append(left_out)
        self._num_kept += len(names)
        self.skipped.append(left_out if self._num_kept <= MOST_KEPT else left_out.model_copy(update={"pictures": []}))
        if len(self.skipped) <= _MOST_TOLD:
            values = {"step": step, "value": str(value), "pictures": _first(names)}
            self._notify(Note(key=f"run_step_skipped_{what}", values=values, level="warning"))

    def require_numbers(self, tensors: Iterable[Tensor], step: int, epoch: int, rows: Sequence[int]) -> None:
        """Makes sure that weights are numbers after ``step``, which was taken on the training pictures ``rows``.

        Raises:
            DivergedError: They are not.
        """
        for tensor in tensors:
            if tensor.is_floating_point() and not tensor.isfinite().all():
                worst = math.nan if tensor.isnan().any() else math.inf
                raise self.error(f"A weight became {worst} at step {step} (epoch {epoch})", rows)

    def error(self, what: str, rows: Sequence[int] = ()) -> DivergedError:
        """The error that ends a training, with what to do; ``rows`` where it was a step on these pictures."""
        advice = f"A lower --learning-rate than {self._recipe.learning_rate:g} should help"
        advice += ", and --on-divergence skip leaves single steps out" if rows and not self._skips else ""
        pictures = f" The pictures of this step: {_first([self._name_of(row) for row in rows])}." if rows else ""
        where = self._folder or "the run folder"
        return DivergedError(f"{what}. {advice}; what was saved before is in {where}/{CHECKPOINTS}.{pictures}", rows)


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
