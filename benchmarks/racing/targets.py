"""What whyconv must reach, and what is chased beyond it: one literal table, and how a row is judged."""

from __future__ import annotations

from dataclasses import dataclass

from racing.intervals import Mean, apart, ratio

# Below this error of the better peer a ratio says little: it is enough to be no worse.
SMALL_ERROR = 0.02
OVER_BUDGET = 1.05


@dataclass(frozen=True)
class Target:
    """What is asked of one budget on one set; minutes None stand for all.

    Attributes:
        data: The set.
        minutes: The budget.
        accuracy: Least mean accuracy.
        error_ratio: Largest error / error of the better peer.
        against: Tools that count as peers here, by group.
        is_must: Whether it must be reached; else it is a goal.
        num_seeds: Seeds the mean is over.
        has_to_be_apart: Whether the intervals of the two errors may not overlap.
    """

    data: str
    minutes: float | None = None
    accuracy: float | None = None
    error_ratio: float | None = None
    against: tuple[str, ...] = ("fastai", "keras")
    is_must: bool = True
    num_seeds: int = 3
    has_to_be_apart: bool = False

    def __str__(self) -> str:
        if self.accuracy is not None:
            return f"accuracy {100 * self.accuracy:g} %"
        return f"error at most {self.error_ratio:.2g} of {' or '.join(self.against)}'s"


TARGETS = (
    Target("cifar10", 6, accuracy=0.94, num_seeds=5),
    Target("cifar10", 4, accuracy=0.94, num_seeds=5, is_must=False),
    *(Target("cifar10", minutes, error_ratio=1 / 3, against=("fastai",)) for minutes in (2, 5, 10)),
    *(
        target
        for data in ("flowers", "sign_digits")
        for target in (
            Target(data, error_ratio=0.7, has_to_be_apart=True),
            Target(data, error_ratio=0.5, has_to_be_apart=True, is_must=False),
        )
    ),
    Target("imagenette", 6, accuracy=0.874, is_must=False),
)


def targets_of(data: str, minutes: float) -> list[Target]:
    """Returns what is asked of a budget on a set."""
    return [target for target in TARGETS if target.data == data and target.minutes in (None, minutes)]


def judged(target: Target, own: Mean, peers: dict[str, Mean]) -> str:
    """Says whether a target is met.

    Args:
        target: What is asked.
        own: Error of whyconv, in [0, 1].
        peers: Error of each column of the others.

    Returns:
        "met", "not met", or why nothing can be said; where there are fewer seeds than asked for, their number.
    """
    if target.accuracy is not None:
        return _with_seeds(1 - own.value >= target.accuracy, target, own)
    rivals = {name: error for name, error in peers.items() if name.partition(".")[0] in target.against}
    absent = [group for group in target.against if not any(name.startswith(group) for name in rivals)]
    if absent:
        return f"no {' and '.join(absent)}"
    best = min(rivals.values(), key=lambda error: error.value)
    if target.is_must and target.has_to_be_apart and best.value < SMALL_ERROR:
        return _with_seeds(own.value <= best.value, target, own)
    assert target.error_ratio is not None
    is_met = ratio(own, best).value <= target.error_ratio and (not target.has_to_be_apart or apart(own, best))
    return _with_seeds(is_met, target, own)


def _with_seeds(is_met: bool, target: Target, own: Mean) -> str:
    seeds = own.n if own.over == "seeds" else 1
    few = f" ({seeds} of {target.num_seeds} seeds)" * (seeds < target.num_seeds)
    return ("met" if is_met else "not met") + few
