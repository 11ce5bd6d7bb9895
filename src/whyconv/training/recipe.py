"""From the pictures and what was asked to the plan: every number follows by a stated rule.

The numbers were chosen on flowers and digits; ``docs/log.md`` says what was tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from whyconv.settings import AugmentPlan, OptimizerName, Precision, TrainingPlan, TrainSettings, steps_per_epoch

# Learning rate of each optimizer at a batch of 16, and how it grows with the batch: (rate, power).
_RATES: dict[str, tuple[float, float]] = {
    "gd": (0.05, 1.0),
    "momentum": (0.01, 1.0),
    "rmsprop": (0.0005, 0.5),
    "adam": (0.001, 0.5),
    "adamw": (0.006, 0.5),
    "muon": (0.02, 0.5),
}
# What muon gives to Adam: biases, normalization, the last layer. At a batch of 16, growing with its root.
_OTHER_RATE = 0.005
_MUON_MOMENTUM = 0.6
# A training of fewer steps than this takes larger ones by muon, up to the rate that is tuned for 200 steps of 2,000.
_MANY_STEPS, _HIGHEST_MUON_RATE = 800, 0.24
# What adamw takes off the weights in a step at the highest learning rate: strong, as few pictures ask for.
_DECAY_PER_STEP = 0.006
# Nothing brings the values of a network without normalization back to size, and weights from a file are to be kept,
# not replaced: both get smaller steps.
_UNNORMALIZED = ("lenet5", "alexnet", "vgg16")
_GENTLER, _GENTLER_DECAY = 0.1, 0.05
_BALANCE_RATIO = 1.5
_USUAL: dict[str, OptimizerName] = {
    "lesson": "adam",
    "plain": "muon",
    "plain_circular": "muon",
    "swift": "muon",
}
_RISING, _LEAST_RISING_SIDE, _FIXED_COST = ("swift", "plain"), 24, 0.15
# From so many pictures on, shifts and mirroring are variation enough for the passes that there is time for.
_MANY = 10_000
PICTURES_SEEN, LEAST_EPOCHS, MOST_EPOCHS = 60_000, 10, 80


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        counts: Training pictures of each class.
        side: Of the picture that the network sees, in pixels.
        in_channels: Of it.
        epoch_pictures: After which validation is asked, where that is not after a pass over all; else 0.
        is_on_card: Whether a graphics card trains.
    """

    counts: Sequence[int]
    side: int
    in_channels: int
    epoch_pictures: int = 0
    is_on_card: bool = False

    @property
    def num_train(self) -> int:
        """Pictures in the training part."""
        return sum(self.counts)

    def epochs_of(self, passes: int) -> int:
        """Epochs that so many passes over the training part take."""
        return math.ceil(passes * self.num_train / self.epoch_pictures) if self.epoch_pictures else passes


def training_plan(
    settings: TrainSettings,
    facts: Facts,
    *,
    epochs: int | None = None,
    steps: int = 0,
    precision: Precision = "float32",
) -> TrainingPlan:
    """The recipe for these pictures.

    ``lesson`` is trained as the lecture does it: the learning rate stays, J is the plain mean cross-entropy of the
    pictures, and the weights kept are those of an epoch, not a mean over steps. What remains of ours is that the
    epoch is chosen on validation, and that classes count alike where their counts differ much.

    Networks without normalization, and those whose weights come from a file, get a tenth of the learning rate and a
    weight decay of 0.05.

    Args:
        settings: What was asked; what is None is decided here.
        facts: About the training part.
        epochs: From a measurement when minutes were asked for; overrides the rule.
        steps: From a measurement, where the last epoch cannot be done in full; 0: all epochs.
        precision: From a measurement.
    """
    is_lesson = settings.network == "lesson"
    optimizer: OptimizerName = settings.optimizer or _USUAL.get(settings.network, "adamw")
    is_muon = optimizer == "muon"
    batch = min(settings.batch or batch_for(facts.num_train, is_on_card=facts.is_on_card), facts.num_train)
    planned = (
        epochs if epochs and not settings.epochs else facts.epochs_of(settings.epochs or epochs_for(facts.num_train))
    )
    is_gentle = settings.start is not None or settings.network in _UNNORMALIZED
    num_steps = steps or planned * steps_per_epoch(facts.epoch_pictures or facts.num_train, batch)
    learning_rate = settings.learning_rate or rate_for(optimizer, batch, num_steps) * (_GENTLER if is_gentle else 1)
    decay = _GENTLER_DECAY if is_gentle else round(_DECAY_PER_STEP / learning_rate, 6)
    return TrainingPlan(
        optimizer=optimizer,
        epochs=planned,
        steps=steps,
        batch=max(2, batch),
        learning_rate=learning_rate,
        other_learning_rate=_OTHER_RATE * (batch / 16) ** 0.5 if is_muon else 0.0,
        precision=precision,
        sides=sides_for(settings, facts),
        schedule="constant" if is_lesson else "linear" if is_muon else "cosine",
        momentum=_MUON_MOMENTUM if is_muon else 0.9,
        weight_decay=decay if optimizer == "adamw" else 0.0,
        warmup_fraction=0.0 if is_lesson or is_muon else 0.1,
        label_smoothing=0.0 if is_lesson else 0.2 if is_muon else 0.1,
        average=0.0 if is_lesson or is_muon else 0.99,
        patience=patience_for(optimizer, planned),
        on_divergence="skip" if settings.on_divergence == "skip" else None,
        class_offsets=class_offsets(facts.counts, settings.balance),
    )


def augment_plan(settings: TrainSettings, facts: Facts, *, flip: bool) -> AugmentPlan:
    """How far the training pictures are varied: small pictures of gray signs less than photos.

    Where pictures are looked at through windows, which move by pixels that are there, nothing is moved so that pixels
    have to be filled in. For ``lesson`` nothing is varied, but for the mirroring that validation or the user decides
    on; for ``swift`` with 10,000 pictures or more only by small shifts.
    """
    if settings.invariant == "realistic":
        usual = augment_plan(settings.model_copy(update={"invariant": None}), facts, flip=flip)
        return usual.model_copy(update={"shift_fraction": 0.0})
    if settings.network == "lesson":
        return AugmentPlan(flip=flip, shift_fraction=0, min_area=1, max_aspect=1, max_degrees=0, color=0)
    if settings.network == "swift" and facts.num_train >= _MANY:
        return AugmentPlan(flip=flip, shift_fraction=0.0625, min_area=1, max_aspect=1, max_degrees=0, color=0)
    if facts.side <= 16:
        return AugmentPlan(flip=flip, shift_fraction=0.06, min_area=0.8, max_aspect=1.1, max_degrees=10, color=0)
    color = 0.3 if facts.in_channels == 3 else 0.1
    return AugmentPlan(
        flip=flip,
        shift_fraction=0.06,
        min_area=0.6,
        max_aspect=1.25,
        max_degrees=10,
        color=color,
        cutout_fraction=0.4,
    )


def hardly_varied(augment: AugmentPlan) -> AugmentPlan:
    """Of a plan only the mirroring and the shifts: for trainings that see each picture a few times."""
    whole = {"min_area": 1.0, "max_aspect": 1.0, "max_degrees": 0.0, "color": 0.0, "cutout_fraction": 0.0}
    return augment.model_copy(update=whole)


def sides_for(settings: TrainSettings, facts: Facts) -> list[int]:
    """For ``swift`` and ``plain``, on pictures of at least 24 pixels: half of the steps at three quarters of the side.

    These come first; they cost little more than half of the others, and what is learned there stays right at full size.
    """
    is_rising = settings.network in _RISING and facts.side >= _LEAST_RISING_SIDE
    return [round(0.75 * facts.side), facts.side] if is_rising else []


def side_cost(side: int, full_side: int) -> float:
    """About what a step at ``side`` costs, where one at ``full_side`` costs 1: most of it grows with the area."""
    return _FIXED_COST + (1 - _FIXED_COST) * (side / full_side) ** 2


def batch_for(num_train: int, *, is_on_card: bool = False) -> int:
    """Pictures per step: 16 up to 1,000 training pictures, 64 up to 10,000, else 256, on a graphics card 512."""
    if num_train <= _MANY:
        return 16 if num_train <= 1000 else 64
    return 512 if is_on_card else 256


def epochs_for(num_train: int) -> int:
    """Passes over the training part: ``PICTURES_SEEN`` pictures in all, from ``LEAST_EPOCHS`` to ``MOST_EPOCHS``."""
    return max(LEAST_EPOCHS, min(MOST_EPOCHS, round(PICTURES_SEEN / num_train)))


def rate_for(optimizer: OptimizerName, batch: int, num_steps: int) -> float:
    """The learning rate at the first step, for networks with normalization and random weights.

    Grows with the batch, or its root. For ``muon`` it grows too where there are few steps, by the root of 800 / steps,
    up to 0.24, or what the batch asks for: each step turns the kernels by an angle that follows from the rate alone, so
    that with few small steps they would not come far. Both the rates and this rule were chosen by trial.

    Args:
        optimizer: Its name.
        batch: Pictures a step, >= 1.
        num_steps: Of the whole training, >= 1.
    """
    rate, power = _RATES[optimizer]
    usual = rate * (batch / 16) ** power
    if optimizer != "muon":
        return usual
    return max(usual, min(_HIGHEST_MUON_RATE, usual * math.sqrt(_MANY_STEPS / max(1, num_steps))))


def patience_for(optimizer: str, epochs: int) -> int:
    """Epochs without gain after which a training ends: none for ``muon``, a third of them else, but at least 10."""
    return epochs if optimizer == "muon" else max(10, epochs // 3)


def class_offsets(counts: Sequence[int], balance: str) -> list[float]:
    """What is added to each class' logit inside J, so that the logits themselves favor no class.

    ln(K n / N), where n of the N training pictures are of the class, one of K (one picture where there is none); or 0
    for all. "auto" balances when the largest class has at least 1.5 times the pictures of the smallest. Weights of
    the classes in J would be the other way; a network that learns its pictures by heart hardly feels them.

    References:
        Menon and others, *Long-tail learning via logit adjustment* (2021), arXiv 2007.07314, section 4.2, with tau = 1.
        Byrd, Lipton, *What is the effect of importance weighting in deep learning?* (2019), arXiv 1812.03372.
    """
    wanted = balance == "on" or (balance == "auto" and max(counts) >= _BALANCE_RATIO * max(1, min(counts)))
    if not wanted:
        return [0.0] * len(counts)
    return [round(math.log(len(counts) * max(1, count) / sum(counts)), 6) for count in counts]
