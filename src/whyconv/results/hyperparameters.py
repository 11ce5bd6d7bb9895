"""What the hyperparameters of one convolution do to accuracy, parameters and time."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.record import Estimate, Record

FactorName = Literal["kernel", "stride", "padding", "filters", "pooling"]
FACTORS: tuple[FactorName, ...] = ("kernel", "stride", "padding", "filters", "pooling")
Padding = Literal["none", "same"]
Pooling = Literal["none", "mean", "max"]


class LayerSetting(Record):
    """The hyperparameters of the layer.

    Attributes:
        kernel: Side of the filters in pixels.
        stride: Between neighboring places.
        padding: "none", or "same": half a kernel of zeros on every side.
        filters: How many.
        pooling: Of 2 x 2 places behind the activation.
    """

    kernel: int = 3
    stride: int = 1
    padding: Padding = "same"
    filters: int = 16
    pooling: Pooling = "max"


class HyperparameterProtocol(Record):
    """What is trained.

    Attributes:
        center: The setting that others differ from in one factor.
        kernels: Tried; so are the following.
        strides: See ``LayerSetting``.
        paddings: See ``LayerSetting``.
        filters: See ``LayerSetting``.
        poolings: See ``LayerSetting``.
        num_random: Settings that differ in several factors, drawn at random among all.
        learning_rates: Tried for every setting alike; validation chooses.
        num_seeds: Trainings of each setting, with starting weights and an order of pictures of their own.
        seed: Of the first, and of the draw of settings.
        steps: Of Adam, in each training.
        batch: Pictures a step.
        most_scored: Validation and test pictures that are used at most, of each part, evenly chosen.
        second_filters: Of the convolution behind the layer, which stays as it is.
    """

    center: LayerSetting = LayerSetting()
    kernels: list[int] = Field(default=[1, 3, 5, 7], min_length=1)
    strides: list[int] = Field(default=[1, 2], min_length=1)
    paddings: list[Padding] = Field(default=["none", "same"], min_length=1)
    filters: list[int] = Field(default=[4, 16, 64], min_length=1)
    poolings: list[Pooling] = Field(default=["none", "mean", "max"], min_length=1)
    num_random: int = Field(default=12, ge=0)
    learning_rates: list[float] = Field(default=[0.003, 0.01], min_length=1)
    num_seeds: int = Field(default=3, ge=2)
    seed: int = 0
    steps: int = Field(default=150, ge=1)
    batch: int = Field(default=64, ge=1)
    most_scored: int = Field(default=2000, ge=2)
    second_filters: int = 32


class SettingScore(Record):
    """One setting, trained.

    Attributes:
        setting: Which.
        role: The center, one that differs from it in one factor, or one drawn at random.
        accuracy: On the test pictures, mean over seeds.
        difference: To the center's accuracy, paired by seed; None for the center.
        parameters: Weights and biases of the whole network; exact.
        layer_parameters: Of the layer alone; exact.
        step_seconds: Of one step of training, mean over seeds of the median over steps; on this machine, at that hour.
        learning_rate: That validation chose.
        is_rate_at_edge: Whether it was the least or the greatest of more than two tried.
    """

    setting: LayerSetting
    role: Literal["center", "one_factor", "random"]
    accuracy: Estimate
    difference: Estimate | None
    parameters: int
    layer_parameters: int
    step_seconds: Estimate
    learning_rate: float
    is_rate_at_edge: bool


class MainEffect(Record):
    """What one level of one factor does to accuracy against the center's level, other factors held.

    Attributes:
        factor: Which.
        level: Its value.
        against: The center's value.
        accuracy: Effect in accuracy; by least squares over all settings trained, the interval over settings.
    """

    factor: FactorName
    level: str
    against: str
    accuracy: Estimate


class SettingLeftOut(Record):
    """A setting that was not trained: no time (it takes ``seconds``), or the pictures are too small for it."""

    setting: LayerSetting
    role: Literal["center", "one_factor", "random"]
    cause: Literal["time", "too_small"]
    seconds: float = 0.0


class Hyperparameters(Record):
    """What the hyperparameters of a layer do, on these pictures.

    Attributes:
        protocol: What was trained.
        side: Of the pictures (high, wide).
        num_train: Training pictures.
        num_validation: Validation pictures that chose the learning rates.
        num_test: Test pictures.
        scores: Of the settings trained, in the order of training.
        effects: Empty where too few settings were trained.
        residual: Standard deviation of what the sum of effects leaves unexplained, a fraction; None without effects.
        left_out: Settings not trained, and why.
        seconds: Time taken.
    """

    protocol: HyperparameterProtocol
    side: tuple[int, int]
    num_train: int
    num_validation: int
    num_test: int
    scores: list[SettingScore]
    effects: list[MainEffect]
    residual: float | None
    left_out: list[SettingLeftOut]
    seconds: float
