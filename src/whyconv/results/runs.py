"""What a training, a scoring and a prediction amount to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field

from whyconv.errors import UsageError
from whyconv.results.certificate import Certificate
from whyconv.results.data import Unreadable
from whyconv.results.record import Estimate, Record
from whyconv.results.reliability import Acceptance, DebiasedError, SetScore
from whyconv.results.suspects import Suspects
from whyconv.results.windows import ThroughWindows

SURE = 0.9  # from this probability on, an answer is called sure


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
        loss: Mean cross-entropy in nats, after the temperature, without label smoothing and class offsets.
        classes: Each class' own score; of more than 10,000 classes those found least.
        confusion: Counts (classes, classes): row is the truth, column the answer.
        tabled: Of more than 300 classes, the 100 that ``confusion`` is about: those confused most, and others found
            least. Empty: all.
        most_confused: Pairs, most first.
        num_sure_and_wrong: Wrong answers given with a probability of at least ``SURE``.
        surest_wrong: At most 12 wrong answers, surest first, whether sure or not.
        calibration: None where no temperature was fitted.
        left_out: Pictures that were not scored.
        debiased: Calibration error less what chance alone would show; None in records of older versions.
        sets: How often answer sets hold the truth; None where there are no or too few validation pictures.
        acceptance: Of the answers that are not called unsure; None where the file cannot tell unsure ones.
        num_groups: Pictures where copies of one another, and those that were to stay together, count once: what
            intervals are over. None in records of older versions.
        num_classes: Of the recognizer, also those without a score of their own. None in records of older versions.
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
    debiased: DebiasedError | None = None
    sets: SetScore | None = None
    acceptance: Acceptance | None = None
    num_groups: int | None = None
    tabled: list[str] = Field(default_factory=list)
    num_classes: int | None = None

    @property
    def has_copies(self) -> bool:
        """Whether some of the pictures are not independent of others."""
        return self.num_groups is not None and self.num_groups < self.n

    @property
    def class_names(self) -> list[str]:
        """Names in the order of the rows and columns of ``confusion`` (rows are the truth)."""
        return self.tabled or [score.name for score in self.classes]

    @property
    def num_wrong(self) -> int:
        """How many pictures were answered wrongly."""
        return self.n - round(self.n * self.accuracy.value)

    def with_names(self, names: Mapping[str, str]) -> Self:
        """The same scores with other names of the classes; ``names`` has the new one of each."""
        named = {
            "largest_class": names[self.largest_class],
            "classes": [one.model_copy(update={"name": names[one.name]}) for one in self.classes],
            "tabled": [names[name] for name in self.tabled],
        }
        for kind in ("most_confused", "surest_wrong"):
            pairs: list[Confusion] | list[WrongAnswer] = getattr(self, kind)
            named[kind] = [
                pair.model_copy(update={"truth": names[pair.truth], "answer": names[pair.answer]}) for pair in pairs
            ]
        return self.model_copy(update=named)


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
    """The answer for one picture.

    Attributes:
        name: Of the picture.
        labels: Most probable first; empty where there is no answer.
        error: Why there is none.
        is_unsure: Whether the picture is unlike those that the recognizer knows; None: the file cannot tell.
        novelty: How unlike, 1 being the most that is accepted; None as above.
        label_set: The labels that hold the truth as often as was asked for, most probable first; None: not asked for.
    """

    name: str
    labels: list[RankedLabel]
    error: str | None = None
    is_unsure: bool | None = None
    novelty: float | None = None
    label_set: list[str] | None = None

    def __repr__(self) -> str:
        answers = [f"error: {self.error}"] if self.error is not None else [*map(str, self.labels)]
        return "   ".join([self.name, *answers, *(["unsure"] if self.is_unsure else [])])

    __str__ = __repr__


class SkippedStep(Record):
    """A step of a training that was left out, because what it was to be taken by is no number.

    Attributes:
        step: From 1.
        what: "cost": J; "gradient".
        value: "nan", "inf" or "-inf".
        pictures: Names of all that it was to be taken on; empty where over 10,000 are named by it and steps before it.
            Then ``metrics.jsonl`` has them, if the training was not stopped in that epoch.
    """

    step: int
    what: Literal["cost", "gradient"]
    value: str
    pictures: list[str]


class RunSummary(Record):
    """What a finished run amounts to, as ``summary.json`` holds it; where a path is asked for, that of its run folder.

    ``train --json`` and ``evaluate --json`` print accuracies of the parts as plain fractions; see docs/files.md.
    After ``evaluate``, ``test`` is the score of the pictures in ``evaluated``, and nothing was compared with torch.
    ``certificate`` is there where the run was asked to be invariant, ``windows`` where it answers through windows.
    ``skipped_steps`` are those of ``num_steps`` that were left out.
    ``suspects`` are those of all parts, and after ``evaluate`` on other pictures those of them; None in older runs and
    where only the model was asked for.
    """

    run: str
    network: str
    num_parameters: int
    best_epoch: int
    num_epochs: int
    num_steps: int = 0
    skipped_steps: list[SkippedStep] = Field(default_factory=list)
    plan_digest: str = ""
    seconds: float
    stopped: Literal["", "planned", "no_gain", "clock"]
    validation: Evaluation | None
    test: Evaluation | None
    parity: Parity | None
    evaluated: str | None = None
    certificate: Certificate | None = None
    windows: ThroughWindows | None = None
    suspects: Suspects | None = None

    def __fspath__(self) -> str:
        if not self.run:
            raise UsageError("This training kept no run folder. Train with whyconv.train, which keeps one.")
        return self.run
