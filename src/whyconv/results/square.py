"""The control square: dense, local, shared-global and convolution on the same pictures, and what each of them loses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.corners import (
    CORNERS,
    LEARNED,
    PLACES,
    ArmName,
    Change,
    ControlName,
    Corner,
    Place,
    Readout,
)
from whyconv.results.curves import CurveExponent, DataRatio, GapDifference, Memorized, PicturesNeeded, TrainTestGap
from whyconv.results.matched import Matched
from whyconv.results.record import Estimate, Record


class SquareProtocol(Record):
    """What is trained, with what, how often: everything that the numbers of a square depend on but the pictures.

    Attributes:
        side: Of the square pictures in pixels: 8, 16 or 32.
        channels: 1 gray, 3 color.
        kernel: Side of the reach of *local* and *convolution*, in pixels; odd.
        maps: Hidden maps of every corner; hidden units are ``maps * side * side``.
        readout: What the last, linear layer sees of the hidden maps: the "mean" of each, or all "places".
        multiplier: Odd number that coordinates are multiplied by, modulo ``side``.
        seed: Of the controls, the draws of training pictures, the starting weights and the order.
        num_draws: Draws of training pictures, each with starting weights and an order of its own.
        sizes: Numbers of pictures to learn from, rising; each draw's smaller sets lie in its larger ones. Every fifth
            of them is kept apart and chooses settings and stops.
        tunes_each_size: Whether settings, which are tuned at the largest size, may differ by a rate at the others and
            in longer trainings.
        num_tuning_draws: Draws that settings are tuned on; no result is from them.
        learning_rates: Tried, rising by about the same factor; for every corner alike.
        decays: Weight decays tried with each learning rate, rising.
        most_extensions: How often the learning rates are extended by one, for all, while some best one is at an end.
        steps: Of every training, at the least.
        most_times: How many times as many a training may take, while it has not learned its own pictures.
        controlled: Whether the controls are applied to still pictures, to moved ones, or to both.
        arms: Beside "plain".
        shift: Farthest shift each way in the arm "shifts", in pixels.
        checkpoints: How often a training is looked at, the end included.
        batch: Pictures a step.
        most_scored: Test pictures that are used at most.
        exact_steps: Of gradient descent in double precision, for the exact comparison.
        exact_maps: Hidden maps in the exact comparison.
        exact_pictures: Pictures in the exact comparison, all of them in every step.
    """

    side: Literal[8, 16, 32]
    channels: Literal[1, 3]
    kernel: int = Field(ge=3)
    maps: int = Field(ge=1)
    readout: Readout = "mean"
    multiplier: int
    seed: int = 0
    num_draws: int = Field(default=5, ge=2)
    sizes: list[int] = Field(min_length=1)
    tunes_each_size: bool = False
    num_tuning_draws: int = Field(default=2, ge=1)
    learning_rates: list[float] = Field(min_length=1)
    decays: list[float] = Field(default_factory=lambda: [0.0], min_length=1)
    most_extensions: int = 0
    steps: int = Field(ge=1)
    most_times: int = Field(default=1, ge=1)
    controlled: list[Place] = Field(default_factory=lambda: list(PLACES))
    arms: list[ArmName] = Field(default_factory=list)
    shift: int = 1
    checkpoints: int = Field(default=8, ge=1)
    batch: int = Field(default=64, ge=1)
    most_scored: int = 1000
    exact_steps: int = 50
    exact_maps: int = 2
    exact_pictures: int = 32

    @property
    def most_steps(self) -> int:
        """Of any training."""
        return self.steps * self.most_times


class UnmovedCheck(Record):
    """Gradient descent twice from matched starting weights: on pictures as they are, and on pictures changed.

    Attributes:
        corner: Which network.
        change: A control, or "moved": every picture moved around the ring by a random step of its own.
        is_unmoved: Whether the structure says that the loss is the same at every step.
        difference: Largest difference of the loss over all steps, as a fraction of the loss; double precision.
        steps: How many were compared.
    """

    corner: Corner
    change: Change
    is_unmoved: bool
    difference: float
    steps: int


class CornerScore(Record):
    """Test accuracy of one corner after training in one way.

    Attributes:
        corner: Which network.
        place: Whether the pictures stood still or were moved around the ring, in training and test alike.
        control: What was done to every picture after that; None for nothing.
        arm: What else was done.
        n_train: Pictures of each draw, those that choose settings included.
        accuracy: After all its steps, mean over the draws, with its t interval.
        by_draw: Accuracy of each draw: what differences are paired by.
        best_accuracy: The same at the checkpoint that each draw's own validation pictures like best.
        best_by_draw: Of each draw.
        same_steps_accuracy: After as many steps as every other training takes at the least.
        same_steps_by_draw: Of each draw.
        num_steps: That it took: more than those where it had not learned its own pictures by then.
        train_accuracy: On (some of) the pictures that it learned from, after all its steps.
        learning_rate: That was chosen for this corner.
        decay: Weight decay that was chosen for it.
        is_rate_at_edge: Whether the rate was the least or the greatest of those tried: a wider search might do better.
        same_as: Where nothing was trained because the structure says that it would be the same training: as what.
    """

    corner: Corner
    place: Place
    control: ControlName | None
    arm: ArmName = "plain"
    n_train: int
    accuracy: Estimate
    by_draw: list[float]
    best_accuracy: Estimate
    best_by_draw: list[float]
    same_steps_accuracy: Estimate
    same_steps_by_draw: list[float]
    num_steps: int = Field(ge=1)
    train_accuracy: Estimate
    learning_rate: float
    decay: float
    is_rate_at_edge: bool
    same_as: Literal["", "uncontrolled", "still"] = ""

    @property
    def has_learned(self) -> bool:
        """Whether it knows its own pictures: otherwise more steps might do better."""
        return self.train_accuracy.value >= LEARNED


class ControlLoss(Record):
    """What a control takes from a corner, at the largest training size; ``points`` is 0 exactly where unmoved."""

    corner: Corner
    place: Place
    control: ControlName
    is_unmoved: bool
    points: Estimate


class GainSplit(Record):
    """The convolution's gain over the dense layer, split in both orders; fractions, paired by draw.

    ``gain = locality_first + sharing_second = sharing_first + locality_second``, and
    ``interaction = sharing_second - sharing_first = locality_second - locality_first``.

    Attributes:
        place: Whether the pictures stood still or were moved.
        arm: What else was done.
        n_train: Pictures to learn from.
        gain: Convolution - dense.
        locality_first: Local - dense.
        sharing_second: Convolution - local.
        sharing_first: Shared-global - dense.
        locality_second: Convolution - shared-global.
        interaction: Convolution - local - shared-global + dense.
    """

    place: Place
    arm: ArmName = "plain"
    n_train: int
    gain: Estimate
    locality_first: Estimate
    sharing_second: Estimate
    sharing_first: Estimate
    locality_second: Estimate
    interaction: Estimate


class Square(Record):
    """The control square of a run's pictures: what ``whyconv why --json`` prints and ``why.json`` holds.

    Attributes:
        run: The run folder.
        digest: Of the pictures and their division.
        version: Of whyconv.
        protocol: What was trained with what.
        num_test: Test pictures that accuracies are over.
        largest_class_fraction: Of the test pictures: what always answering the largest class would score.
        weights: Weights and biases of the hidden layer of each corner; exact.
        checks: Which corners which change leaves unmoved.
        scores: Test accuracies.
        losses: What the controls take, at the largest training size; negative where they take something.
        splits: The gain in both orders, for every place, arm and size.
        needed: Pictures that each corner needs for three targets.
        ratios: How many times as many one corner needs as another.
        exponents: How errors fall with pictures.
        gaps: Overfitting: train minus test, at the same training accuracy.
        gap_differences: How much more one corner overfits than another, paired by draw.
        memorized: Steps to fit random labels.
        shifts_beside_structure: Test accuracy of the dense corner that was trained on shifts and asked about them, less
            the plain convolution's, on pictures as they are, paired by draw; None where not measured.
        matched: The dense network with as many units, parameters or multiply-adds as the convolution; None where only
            that with as many units, the dense corner, was trained.
        tried_rates: Learning rates that were tried for every corner alike, those beyond the protocol's ends included;
            empty in records from before they were kept.
        seconds: Time taken.
    """

    run: str
    digest: str
    version: str
    protocol: SquareProtocol
    num_test: int
    largest_class_fraction: float
    weights: dict[Corner, int]
    checks: list[UnmovedCheck]
    scores: list[CornerScore]
    losses: list[ControlLoss]
    splits: list[GainSplit]
    needed: list[PicturesNeeded] = Field(default_factory=list)
    ratios: list[DataRatio] = Field(default_factory=list)
    exponents: list[CurveExponent] = Field(default_factory=list)
    gaps: list[TrainTestGap] = Field(default_factory=list)
    gap_differences: list[GapDifference] = Field(default_factory=list)
    memorized: list[Memorized] = Field(default_factory=list)
    shifts_beside_structure: Estimate | None = None
    matched: Matched | None = None
    tried_rates: list[float] = Field(default_factory=list)
    seconds: float

    @property
    def learning_rates(self) -> list[float]:
        """Those that were tried, rising; where they were not kept, the protocol's and those that a corner takes."""
        return self.tried_rates or sorted({*self.protocol.learning_rates, *(one.learning_rate for one in self.scores)})

    @property
    def some_have_no_width(self) -> bool:
        """Whether repetitions gave the same accuracy, loss, gain, difference in overfitting or number of steps."""
        found = [one.accuracy for one in self.scores] + [one.difference for one in self.gap_differences]
        found += [one.points for one in self.losses if not one.is_unmoved]
        found += [one.typical_steps for one in self.memorized if one.typical_steps]
        found += [each for one in self.splits for each in vars(one).values() if isinstance(each, Estimate)]
        return any(one.has_no_width for one in found)

    @property
    def num_trained(self) -> int:
        """Kinds of training: those that others stand for, and networks asked in another way, are none."""
        return len(self._trained())

    @property
    def num_at_edge(self) -> int:
        """Kinds of training that chose the least or the greatest rate; 0 where there were no others to choose."""
        return sum(one.is_rate_at_edge for one in self._trained()) if len(self.protocol.learning_rates) > 2 else 0

    @property
    def forgets_places(self) -> bool:
        """Whether the mean over places is why the convolution loses on pictures as they are and gains on moved ones."""
        still, moved = (self.split(place).gain.sign for place in PLACES)
        return self.protocol.readout == "mean" and still < 0 < moved

    def _trained(self) -> list[CornerScore]:
        return [one for one in self.scores if not one.same_as and one.arm != "averaged"]

    def unlearned(self) -> list[CornerScore]:
        """Returns what was trained on the most pictures, as they are or moved, and has not learned them."""
        plain = [one for one in self.scores if (one.arm, one.control, one.same_as) == ("plain", None, "")]
        return [one for one in plain if one.n_train == self.protocol.sizes[-1] and not one.has_learned]

    def score(
        self,
        corner: Corner,
        place: Place,
        n_train: int | None = None,
        control: ControlName | None = None,
        arm: ArmName = "plain",
    ) -> CornerScore:
        """The score of one training; that on the largest set by default.

        Raises:
            KeyError: Nothing of the kind was trained.
        """
        wanted = (corner, place, n_train or self.protocol.sizes[-1], control, arm)
        for score in self.scores:
            if (score.corner, score.place, score.n_train, score.control, score.arm) == wanted:
                return score
        raise KeyError(wanted)

    def split(self, place: Place, n_train: int | None = None, arm: ArmName = "plain") -> GainSplit:
        """The split of the gain at one training size; the largest by default."""
        wanted = (place, n_train or self.protocol.sizes[-1], arm)
        return next(one for one in self.splits if (one.place, one.n_train, one.arm) == wanted)

    def __repr__(self) -> str:
        rows = [("place", "n", *CORNERS)]
        for place in PLACES:
            for n_train in self.protocol.sizes:
                values = [self.score(corner, place, n_train).accuracy for corner in CORNERS]
                rows.append((place, f"{n_train:,}", *(_percent(value) for value in values)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        head = f"control square of {self.run}: test accuracy in %, 95 % t interval over {self.protocol.num_draws} draws"
        return "\n".join(
            [
                head,
                *(
                    "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                    for row in rows
                ),
            ]
        )

    __str__ = __repr__


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.0f}-{100 * estimate.high:.0f})"
