"""Records of every number that is shown: plain pydantic models, whose ``repr`` is the table.

Fractions are in [0, 1]. An estimate never stands alone: it carries its 95 % interval, n, and what the
interval is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from whyconv.texts import say


class Record(BaseModel):
    """A frozen record; printing it prints a table of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr__(self) -> str:
        rows = [(name, getattr(self, name)) for name in type(self).model_fields]
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in rows)

    __str__ = __repr__


SURE = 0.9  # from this probability on, an answer is called sure
_MOST_ROWS = 20


def _cell(value: object) -> str:
    if isinstance(value, Record):
        return " ".join(str(value).split("\n")) if isinstance(value, Estimate) else repr(value).replace("\n", "; ")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple) and len(value) > 6:
        return f"{len(value)} entries"
    return str(value)


class Estimate(Record):
    """A measured fraction or mean with its 95 % interval.

    Attributes:
        value: The point estimate.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        n: Number of units the interval is over.
        over: What those units are: "pictures", "seeds" or "draws".
    """

    value: float
    low: float
    high: float
    n: int
    over: Literal["pictures", "seeds", "draws"] = "pictures"

    def __repr__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}-{100 * self.high:.1f}, n={self.n} {self.over})"

    __str__ = __repr__


class Note(Record):
    """A sentence for people: ``texts.say(note.key, language, **note.values)``."""

    key: str
    values: dict[str, Any] = Field(default_factory=dict)
    level: Literal["info", "warning"] = "info"


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
        loss: Mean over the epoch's steps of the J that training brings down, in nats: augmented pictures, weighed
            by class, with label smoothing.
        train_accuracy: Fraction right on the epoch's (augmented) training pictures.
        validation_loss: Mean cross-entropy of the averaged weights on the validation part as it is, every picture
            counting the same, with the label smoothing of the training, in nats; None without one.
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


class Unreadable(Record):
    """A picture that is left out, and why.

    Attributes:
        name: Of the file.
        reason: In English.
        note: The same in either language, where whyconv decided; None where a decoder did.
    """

    name: str
    reason: str
    note: Note | None = None


class ClassCount(Record):
    """Pictures of one class.

    Attributes:
        name: Of the class.
        num_pictures: That can be read.
        num_by_part: The same in each of the user's own parts ("" is outside them); empty without parts.
        num_different: The same, each group of copies counted once; None where copies were not looked for.
    """

    name: str
    num_pictures: int
    num_by_part: dict[str, int] = Field(default_factory=dict)
    num_different: int | None = None


class SizeRange(Record):
    """Least, median and greatest side in pixels, after turning upright."""

    min: int
    median: int
    max: int


class DuplicateGroup(Record):
    """Pictures that show the same thing: one representative first, then its copies."""

    names: list[str]
    kind: Literal["exact", "near"]
    labels: list[str]
    parts: list[str]


class CheckReport(Record):
    """What ``whyconv check`` found. All counts are exact.

    Attributes:
        where: The path that was asked for.
        layout: How it was read: "class folders", "labels file metadata.csv", ...
        num_pictures: Readable pictures with a label.
        classes: Count of each class.
        widths: Widths in pixels.
        heights: Heights in pixels.
        channels: "gray" when every picture is gray, else "color".
        num_gray: Gray pictures among all.
        formats: Number of files of each format, by content.
        num_turned: Pictures that EXIF orientation turns upright.
        num_scaled: 16-bit or float pictures whose values are scaled to 0-255.
        num_alpha: Pictures with transparency, laid over the stated background.
        num_animated: Files with several frames, of which the first is taken.
        unreadable: Files left out, each with its reason.
        duplicates: Groups of exact or near duplicates, kept on one side of a split.
        mirrored: Pairs that are mirror images of each other; reported, not grouped.
        leaks: Groups that lie across the user's own splits.
        conflicts: Groups whose copies carry different labels.
        skipped: Folders and files that were passed over on purpose.
        notes: Everything else worth a sentence, warnings marked.
        seconds: Time taken.
    """

    where: str
    layout: Note
    num_pictures: int
    classes: list[ClassCount]
    widths: SizeRange | None
    heights: SizeRange | None
    channels: Literal["gray", "color"]
    num_gray: int
    formats: dict[str, int]
    num_turned: int
    num_scaled: int
    num_alpha: int
    num_animated: int
    unreadable: list[Unreadable]
    duplicates: list[DuplicateGroup]
    mirrored: list[tuple[str, str]]
    leaks: list[DuplicateGroup]
    conflicts: list[DuplicateGroup]
    skipped: list[str]
    notes: list[Note]
    seconds: float

    def __repr__(self) -> str:
        layout = say(self.layout.key, **self.layout.values)
        head = f"{self.where}: {self.num_pictures:,} pictures, {len(self.classes):,} classes ({layout})"
        rows = [(one.name, f"{one.num_pictures:,}") for one in self.classes[:_MOST_ROWS]]
        if len(self.classes) > _MOST_ROWS:
            rows.append(("...", f"{len(self.classes) - _MOST_ROWS:,} more classes"))
        rows += [("widths", _sides(self.widths)), ("heights", _sides(self.heights))]
        rows.append(("channels", f"{self.channels}, {self.num_gray:,} gray"))
        rows.append(("formats", ", ".join(f"{name} {count:,}" for name, count in self.formats.items())))
        counts = {"turned": self.num_turned, "scaled": self.num_scaled}
        counts |= {"transparent": self.num_alpha, "animated": self.num_animated}
        counts |= {"unreadable": len(self.unreadable), "groups of copies": len(self.duplicates)}
        counts |= {"mirrored pairs": len(self.mirrored), "groups across parts": len(self.leaks)}
        counts |= {"groups under two labels": len(self.conflicts)}
        rows += [(name, f"{count:,}") for name, count in counts.items() if count]
        width = max(len(name) for name, _ in rows)
        return "\n".join([head, *(f"  {name:<{width}}  {value}" for name, value in rows)])

    __str__ = __repr__


def _sides(sides: SizeRange | None) -> str:
    return f"{sides.min}-{sides.max} pixels, median {sides.median}" if sides else "none"


class ClassScore(Record):
    """How one class fares: recall (its own pictures found) and precision (its answers right).

    ``precision`` is None where the class was never answered, ``recall`` where it has no pictures.
    """

    name: str
    n: int
    recall: Estimate | None
    precision: Estimate | None


class Confusion(Record):
    """``count`` pictures of class ``truth`` were answered as ``answer``."""

    truth: str
    answer: str
    count: int


class WrongAnswer(Record):
    """A picture answered wrongly, and the probability of ``answer``."""

    name: str
    truth: str
    answer: str
    probability: float


class Calibration(Record):
    """How far stated probabilities can be believed.

    Attributes:
        temperature: What the logits are divided by, > 0; fitted on validation.
        error_before: Expected calibration error on the evaluated pictures without it, in [0, 1], lower is better.
        error_after: The same with it.
        n_fit: Validation pictures it was fitted on.
    """

    temperature: float
    error_before: Estimate
    error_after: Estimate
    n_fit: int


class Evaluation(Record):
    """A recognizer's answers on labelled pictures, scored.

    Attributes:
        part: "validation", "test", or "pictures" for others than the run's own.
        n: Pictures that were scored.
        accuracy: Fraction answered rightly.
        balanced_accuracy: Mean over the classes of the fraction found.
        largest_class: The one with most pictures.
        largest_class_fraction: Its share: what always answering it would score.
        loss: Mean cross-entropy in nats, after the temperature, without label smoothing and class weights.
        classes: Each class' own score.
        confusion: Counts (classes, classes): row is the truth, column the answer.
        most_confused: Pairs, most first.
        num_sure_and_wrong: Wrong answers given with a probability of at least ``SURE``.
        surest_wrong: At most 12 wrong answers, surest first, whether sure or not.
        calibration: None where no temperature was fitted.
        left_out: Pictures that were not scored.
    """

    part: str
    n: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    largest_class: str
    largest_class_fraction: float
    loss: float
    classes: list[ClassScore]
    confusion: list[list[int]]
    most_confused: list[Confusion]
    num_sure_and_wrong: int
    surest_wrong: list[WrongAnswer]
    calibration: Calibration | None
    left_out: list[Unreadable] = Field(default_factory=list)

    @property
    def class_names(self) -> list[str]:
        """Names in the order of the rows and columns of ``confusion`` (rows are the truth)."""
        return [score.name for score in self.classes]

    @property
    def num_wrong(self) -> int:
        """How many pictures were answered wrongly."""
        return self.n - sum(row[index] for index, row in enumerate(self.confusion))


class Parity(Record):
    """The same pictures answered by torch and by the exported file.

    Attributes:
        n: Pictures compared.
        num_same_answer: How many have the same first answer.
        largest_difference: Largest absolute difference of a probability.
        tolerance: What is allowed.
    """

    n: int
    num_same_answer: int
    largest_difference: float
    tolerance: float

    @property
    def is_equal(self) -> bool:
        """Whether every answer agrees and no probability differs by more than the tolerance."""
        return self.num_same_answer == self.n and self.largest_difference <= self.tolerance


class RankedLabel(Record):
    """A class name and its probability in [0, 1]."""

    label: str
    probability: float

    def __repr__(self) -> str:
        return f"{self.label} {self.probability:.2f}"

    __str__ = __repr__


class Prediction(Record):
    """The answer for one picture; ``error`` says why there is none, and ``labels`` is then empty."""

    name: str
    labels: list[RankedLabel]
    error: str | None = None

    def __repr__(self) -> str:
        answers = [f"error: {self.error}"] if self.error is not None else map(str, self.labels)
        return "   ".join([self.name, *answers])

    __str__ = __repr__


class RunSummary(Record):
    """What a finished run amounts to: what ``train --json`` and ``evaluate --json`` print.

    After ``evaluate``, ``test`` is the score of the pictures in ``evaluated``, and nothing was compared with torch.
    """

    run: str
    network: str
    num_parameters: int
    best_epoch: int
    num_epochs: int
    num_steps: int = 0
    plan_digest: str = ""
    seconds: float
    stopped: Literal["", "planned", "no_gain", "clock"]
    validation: Evaluation | None
    test: Evaluation | None
    parity: Parity | None
    evaluated: str | None = None
