"""What theory knows about locality and sharing, found again: tasks, expectations, verdicts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.record import Estimate, Record

Architecture = Literal["dense", "local", "convolution"]
Border = Literal["valid", "zero", "circular", "full"]
TaskName = Literal["signal", "energy", "bits", "borders"]
Verdict = Literal["as_expected", "not_at_this_size", "contradicts"]
ExpectationName = Literal[
    "signal_sharing",
    "signal_locality",
    "energy_convolution",
    "energy_dense",
    "bits_convolution",
    "bits_local",
    "bits_dense",
    "bits_sharing",
    "borders_valid",
    "borders_zero",
    "borders_circular",
    "borders_full",
    "borders_best",
    "borders_order",
]

ARCHITECTURES: tuple[Architecture, ...] = ("convolution", "local", "dense")
BORDERS: tuple[Border, ...] = ("valid", "zero", "circular", "full")


class TheoryScore(Record):
    """Test accuracy of one network, trained once for each seed.

    Attributes:
        network: An architecture, or a border handling.
        test: Which test: "" where there is one; "similar" has the locations of training, "dissimilar" has them
            swapped.
        n_train: Training samples; None where every step had new ones.
        accuracy: Mean over the seeds, with its t interval.
        by_seed: Of each seed.
        learning_rate: That validation samples chose.
        is_rate_at_edge: Whether it was the least or the greatest of those tried.
        published: Accuracy in the source; None where none is compared.
    """

    network: Architecture | Border
    test: Literal["", "similar", "dissimilar"] = ""
    n_train: int | None
    accuracy: Estimate
    by_seed: list[float]
    learning_rate: float
    is_rate_at_edge: bool
    published: float | None = None


class SamplesNeeded(Record):
    """Training samples with which a network reaches the target, by interpolation; None is more than the largest size.

    Attributes:
        network: Which.
        value: From the mean accuracy over seeds.
        low: Lower end of the 95 % interval over draws of seeds.
        high: Upper end.
    """

    network: Architecture
    value: float | None
    low: float | None
    high: float | None


class Expectation(Record):
    """What is known, what was found, and whether the two agree.

    Attributes:
        name: Which expectation; ``texts.say("theory_expect_" + name)`` is the sentence.
        unit: Of what was found: "accuracy" and "points", fractions in [-1, 1]; "times", a ratio of samples needed;
            "logits", the largest relative difference of logits.
        bound: What the sentence compares with, in the same unit.
        value: Found; None is more than could be told, because a network never reached the target.
        low: Lower end of the 95 % interval; that of "logits" is the value.
        high: Upper end, None where it is more than could be told.
        n: Seeds the interval is over.
        at_least: A ratio's lower bound where ``value`` is None.
        is_promised: Whether the self-test fails where this is not as expected.
        verdict: "not_at_this_size" where the interval holds the bound.
    """

    name: ExpectationName
    unit: Literal["accuracy", "points", "times", "logits"]
    bound: float
    value: float | None
    low: float
    high: float | None
    n: int
    at_least: float | None = None
    is_promised: bool
    verdict: Verdict


class TheoryTask(Record):
    """One task: its sizes, the scores, what was expected and what was found.

    Attributes:
        name: Which.
        settings: Every number of the task and of the training, by name.
        learning_rates: Tried for every network alike.
        scores: Of every network at every size.
        needed: Samples needed, for "signal".
        expectations: With their verdicts.
    """

    name: TaskName
    settings: dict[str, float]
    learning_rates: list[float]
    scores: list[TheoryScore]
    needed: list[SamplesNeeded] = Field(default_factory=list)
    expectations: list[Expectation]

    def score(self, network: Architecture | Border, n_train: int | None = None, test: str = "") -> TheoryScore:
        """The one of this network, size and test."""
        found = [one for one in self.scores if (one.network, one.test) == (network, test)]
        return next(one for one in found if n_train in (None, one.n_train))


class Theory(Record):
    """The self-test on theory.

    Attributes:
        minutes: That the sizes are for, on two cores.
        seed: Of everything random.
        version: Of whyconv.
        tasks: In their order.
        seconds: That it took.
    """

    minutes: float
    seed: int
    version: str
    tasks: list[TheoryTask]
    seconds: float

    def broken(self) -> list[Expectation]:
        """Promised, and not as expected."""
        return [
            one for task in self.tasks for one in task.expectations if one.is_promised and one.verdict != "as_expected"
        ]
