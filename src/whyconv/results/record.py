"""The record every result is made of, the estimate with its interval, and the events of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# Beyond rounding: one picture of ten billion.
_NO_WIDTH = 1e-10


class Record(BaseModel):
    """A frozen record; printing it prints a table of its fields."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")

    def __repr__(self) -> str:
        rows = [(name, getattr(self, name)) for name in type(self).model_fields]
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in rows)

    __str__ = __repr__


def _cell(value: object) -> str:
    if isinstance(value, Record):
        return " ".join(str(value).split("\n")) if isinstance(value, Estimate) else repr(value).replace("\n", "; ")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple) and len(value) > 6:
        return f"{len(value)} entries"
    return str(value)


class Estimate(Record):
    """A measured number with its 95 % interval: accuracies are fractions, and so are differences of them.

    Attributes:
        value: The point estimate.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        n: Number of units the interval is over.
        over: What those units are: "pictures", "seeds", "draws" or "settings".
    """

    value: float
    low: float
    high: float
    n: int
    over: Literal["pictures", "seeds", "draws", "settings"] = "pictures"

    @property
    def has_no_width(self) -> bool:
        """Whether repetitions gave one and the same number, so that their t interval has no width."""
        return self.n > 1 and self.high - self.low < _NO_WIDTH

    @property
    def sign(self) -> Literal[-1, 0, 1]:
        """Of a difference: 1 or -1 where its interval leaves 0 out; 0 where it does not, and where it has no width."""
        if self.has_no_width or self.low <= 0 <= self.high:
            return 0
        return 1 if self.low > 0 else -1

    def __repr__(self) -> str:
        # As JSON has it: not every estimate is a fraction.
        to = " to " if self.low < 0 else "-"
        return f"{self.value:.4g} ({self.low:.4g}{to}{self.high:.4g}, n={self.n} {self.over})"

    __str__ = __repr__


class Note(Record):
    """A sentence for people: ``texts.say(note.key, language, **note.values)``."""

    key: str
    values: dict[str, Any] = Field(default_factory=dict)
    level: Literal["info", "warning"] = "info"

    @field_validator("values")
    @classmethod
    def _notes_again(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Sentences that stand in this one, and come from JSON, are notes as they were."""
        return {name: _as_note(value) for name, value in values.items()}


def _as_note(value: Any) -> Any:  # noqa: ANN401
    return Note.model_validate(value) if isinstance(value, dict) and value.keys() == Note.model_fields.keys() else value


class Progress(Record):
    """How far a stage has come; ``total`` is 0 where it is not known."""

    stage: str
    done: int
    total: int


class EpochRecord(Record):
    """One epoch of training.

    Attributes:
        epoch: Counted from 1.
        num_epochs: As planned.
        step: Optimizer steps so far.
        loss: Mean over the epoch's steps of the J that training brings down, in nats: augmented pictures,
            with label smoothing, and with the offsets of the classes where they are to count alike.
        train_accuracy: Fraction right on the epoch's (augmented) training pictures.
        validation_loss: The same J of the averaged weights on the validation part as it is, in nats; None without one.
        validation_accuracy: Fraction right on the validation part; None without one.
        learning_rate: At the last step.
        seconds: Since training began.
        is_best: Whether this epoch's weights are the ones kept so far.
    """

    epoch: int
    num_epochs: int
    step: int
    loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    is_best: bool


Event = Note | Progress | EpochRecord
Notify = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Default listener: does nothing."""
