"""What was asked, and what was planned: pydantic models that refuse unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from whyconv.errors import SettingsError, require_known_version
from whyconv.files import digest_bytes
from whyconv.untrusted import first_twice, mistake_in, toml_in

OptimizerName = Literal["gd", "momentum", "rmsprop", "adam", "adamw", "muon"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["cpu", "cuda"]
OnDivergence = Literal["stop", "skip"]
Schedule = Literal["constant", "cosine", "linear"]
Pooling = Literal["largest", "smooth"]
Invariance = Literal["circular", "realistic"]
View = Literal["upright", "mirrored", "closer", "closer_mirrored"]
Numbers = Literal["float32", "bfloat16"]  # that the last blocks of a frozen network are tuned in
PRETRAINED, SCRATCH = "pretrained", "scratch"  # words of ``start`` that name no file
# What a plan or a model may ask for, also one that somebody else made.
MOST_CLASSES = 100_000  # four times those of the largest sets of labelled photos
MOST_MEMBERS = 64
LARGEST_SIDE = 4096  # pixels; that of the picture policy
LEAST_SIDE = 6  # pixels; that of the networks that take the smallest pictures
MOST_CLASS_LETTERS = 1000
ClassName = Annotated[str, Field(max_length=MOST_CLASS_LETTERS)]
PLAN_VERSION = 1
# Networks for which ``plain_circular`` is taken where answers are to be invariant: the default, and its plain form.
CAN_BE_CIRCULAR = ("swift", "plain", "plain_circular")


class Settings(BaseModel):
    """A frozen set of settings; all mistakes are reported at once, with the nearest known name."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls, values: dict[str, Any], where: str = "settings") -> Self:
        """Makes the settings from ``values``.

        Raises:
            SettingsError: Names every unknown key and every value out of range, with what was expected.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [f"  {mistake_in(cls, mistake)}" for mistake in error.errors()]
            raise SettingsError("\n".join([f"{where}: {len(lines)} mistake(s)", *lines])) from None


class TrainSettings(Settings):
    """What a person may say about a training; what is None follows from the data by stated rules.

    Attributes:
        pictures: A folder, archive, labels file, ``.npz`` or HDF5 file; or a pattern or URL of shards.
        layout: How to read it; "auto" recognizes it.
        label_from: Regular expression on the relative path whose first group is the label.
        group_by: Regular expression or column whose equal values stay on one side of the split.
        strict: Stop at the first unreadable file instead of leaving it out.
        validation_fraction: Wanted part of the pictures, where there is no validation part yet; 0: none. By default
            0.15, at most 2,000 pictures.
        test_fraction: Likewise for the test part, without a limit.
        network: Name in the catalogue, or ``package.module:callable``.
        members: Networks of that kind, from other random starts, that answer together.
        start: "pretrained": published weights, which have seen other photos; "scratch": random ones; a
            ``.safetensors`` file of starting weights for the network, or a run folder that has one; or a feature
            network in an ``.onnx`` file, which stays as it is. By default "pretrained" for color photos of at least
            64 pixels, where it is installed and nothing is asked for that speaks of another training.
        optimizer: One of gd, momentum, rmsprop, adam, adamw, muon.
        epochs: Passes over the training part.
        minutes: Time for the whole command; the number of epochs follows from a measurement if it is not asked for.
        size: Side of the picture the network sees, in pixels.
        batch: Pictures per step.
        learning_rate: Highest learning rate of the schedule.
        seed: Of the split, the starting weights, the order and the augmentation.
        balance: Let every class count alike, however many pictures it has: "auto" does so when the largest has 1.5
            times those of the smallest.
        flips: Mirror training pictures; "auto" lets validation decide.
        invariant: "circular": a network whose answers circular moves of the picture cannot change, and a certificate of
            it: ``plain_circular``, at a side that fits it, or a network of your own that meets the conditions.
            "realistic": answers that moves which bring in new pixels change less: the mean over windows of the picture.
        search: Where there are more minutes than a training has use for, "auto" spends them on trying settings.
        on_divergence: What is done where the cost J of a step is no number: "stop", or "skip" to leave the step out.
        threads: Of the processor; by default 1 for sides of up to 16 pixels, else all that the process may use.
        device: What the network is trained on: "cpu", "cuda" for an NVIDIA card, or "auto", which takes the card where
            torch can use one and one process trains.
        store: Folder of the pixel store.
        out: Folder that run folders are made in.
        language: Of the report: "en" or "ko".
    """

    pictures: str
    layout: str = "auto"
    label_from: str | None = None
    group_by: str | None = None
    strict: bool = False
    validation_fraction: float | None = Field(default=None, ge=0, le=0.5)
    test_fraction: float = Field(default=0.15, ge=0, le=0.5)
    network: str = "swift"
    members: int = Field(default=1, ge=1, le=MOST_MEMBERS)
    start: str | None = None
    optimizer: OptimizerName | None = None
    epochs: int | None = Field(default=None, ge=1, le=100_000)
    minutes: float | None = Field(default=None, gt=0, le=100_000)
    size: int | None = Field(default=None, ge=LEAST_SIDE, le=1024)
    batch: int | None = Field(default=None, ge=2, le=65_536)
    learning_rate: float | None = Field(default=None, ge=1e-9, le=1000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    balance: Literal["auto", "on", "off"] = "auto"
    flips: Literal["auto", "on", "off"] = "auto"
    invariant: Invariance | None = None
    search: Literal["auto", "off"] = "auto"
    on_divergence: OnDivergence = "stop"
    threads: int | None = Field(default=None, ge=1, le=1024)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    store: str | None = None
    out: str = "runs"
    language: Literal["en", "ko"] = "en"

    @field_validator("invariant")
    @classmethod
    def _has_a_network(cls, invariant: str | None, info: ValidationInfo) -> str | None:
        network, start = str(info.data.get("network")), str(info.data.get("start"))
        if invariant == "circular" and network not in CAN_BE_CIRCULAR and ":" not in network:
            raise ValueError(f"there is no circular form of {network}; expected --network plain, or a module:callable")
        if invariant is not None and (start == PRETRAINED or start.lower().endswith(".onnx")):
            raise ValueError(f"--start {start} brings its own network, which is none; expected --start scratch")
        return invariant


class PicturesPlan(Settings):
    """Which pictures, how read and split. ``digest`` is over content, label and part of each."""

    path: str
    layout: str
    label_from: str = ""
    group_by: str = ""
    strict: bool = False
    validation_fraction: float = Field(default=0.15, ge=0, le=0.5)
    test_fraction: float = Field(default=0.15, ge=0, le=0.5)
    store: str = ""
    digest: str
    num_train: int
    num_validation: int
    num_test: int


class NetworkPlan(Settings):
    """Which network, and the sizes it is built with.

    Attributes:
        members: Of the committee; 1: a single network.
        widths: Filters of each block, for networks whose size follows from the pictures; else empty.
        filter_size: Pixels a side of these blocks' filters.
        start: File that the starting weights come from; "": they are random.
        start_digest: Of that file's content.
        views: Of a picture, over which answers are averaged.
        invariant: "circular": circular moves of the picture cannot change its answers; certified after training.
            "realistic": its answers are the mean over windows of the picture.
        pooling: Of ``swift``, where it is not the largest of 2x2: "smooth", with a blur.
        window: Side of these windows in pixels; None: the whole picture is looked at.
    """

    name: str
    members: int = Field(default=1, ge=1, le=MOST_MEMBERS)
    widths: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(default_factory=list, max_length=64)
    filter_size: int = Field(default=3, ge=1, le=1024)
    start: str = ""
    start_digest: str = ""
    in_channels: Literal[1, 3]
    side: int = Field(ge=1, le=LARGEST_SIDE)
    classes: list[ClassName] = Field(min_length=2, max_length=MOST_CLASSES)
    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]
    views: list[View] = Field(min_length=1, max_length=16)
    invariant: Invariance | None = None
    pooling: Pooling | None = None
    window: int | None = Field(default=None, ge=1, le=LARGEST_SIDE, validate_default=True)

    @field_validator("classes", "mean", "std", "window")
    @classmethod
    def _agrees(cls, values: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        name, known = info.field_name, info.data
        if name == "classes" and (twice := first_twice(values)) is not None:
            raise ValueError(f"{twice!r} stands there twice")
        if name in {"mean", "std"} and len(values) != (channels := known.get("in_channels", len(values))):
            raise ValueError(f"expected {channels} number{'s' * (channels > 1)}: one for each of in_channels")
        if name == "window" and (values is None) == (known.get("invariant") == "realistic"):
            raise ValueError('expected a side in pixels with invariant = "realistic", and none without')
        return values

    @classmethod
    def described(cls, values: dict[str, Any], where: str) -> Self:
        """Makes it from what ``network.json`` says, which calls the name ``network`` and has more in it.

        Raises:
            SettingsError: Something is missing or out of range.
        """
        known = {name: values[name] for name in cls.model_fields if name in values}
        return cls.of(known | {"name": values.get("network")}, where=where)


class AugmentPlan(Settings):
    """How training pictures are varied.

    Attributes:
        flip: Mirrored with probability 1/2.
        shift_fraction: Moved by up to this fraction of the side.
        min_area: Cropped to at least this fraction of the area (1: no crop).
        max_aspect: Stretched by up to this factor.
        max_degrees: Turned by up to this angle.
        color: Brightness, contrast and saturation vary by up to this fraction.
        cutout_fraction: Side of the square that is covered, as a fraction of the picture's; 0: none.
    """

    flip: bool
    shift_fraction: float = Field(ge=0, le=0.5)
    min_area: float = Field(gt=0, le=1)
    max_aspect: float = Field(ge=1, le=4)
    max_degrees: float = Field(ge=0, le=180)
    color: float = Field(ge=0, lt=1)
    cutout_fraction: float = Field(default=0.0, ge=0, le=1)


class TrainingPlan(Settings):
    """The recipe, with every number in it. No clock is in it: the same plan ends at the same step.

    Attributes:
        epochs: Passes over the training part.
        steps: Of the schedule, where the last epoch is not to be done in full; 0: it is.
        stop_after: The step at which it ends before its schedule, as where the clock had ended it; 0: with that.
        other_learning_rate: Of what is no kernel of a convolution, where that has one of its own; 0: the same.
        schedule: "cosine" or "linear": the learning rate rises over ``warmup_fraction`` of the steps and falls to 0;
            "constant": it stays.
        precision: What convolutions but the first compute in.
        sides: Of the pictures in pixels while training, each for an equal share of the steps; empty: their own.
        average: Share of the old value in the moving mean of the weights that is kept; 0: the weights themselves.
        patience: Epochs without gain on validation after which it ends.
        on_divergence: "skip": steps whose J or gradient is no number are left out, few in a row; None: one ends it.
        class_offsets: Added to the logits inside J, one for each class: ln of its share of the training pictures times
            the number of classes, where classes are to count alike; else 0.
    """

    optimizer: OptimizerName
    epochs: int = Field(ge=1)
    steps: int = Field(default=0, ge=0)
    stop_after: int = Field(default=0, ge=0)
    batch: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    other_learning_rate: float = Field(default=0.0, ge=0)
    precision: Precision = "float32"
    sides: list[Annotated[int, Field(ge=LEAST_SIDE, le=LARGEST_SIDE)]] = Field(default_factory=list)
    schedule: Schedule = "cosine"
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    warmup_fraction: float = Field(ge=0, le=1)
    label_smoothing: float = Field(ge=0, lt=1)
    average: float = Field(ge=0, lt=1)
    patience: int = Field(ge=1)
    on_divergence: Literal["skip"] | None = None
    class_offsets: list[float]


def steps_per_epoch(num_train: int, batch: int) -> int:
    """Steps of a pass over the training part; sizes differ by at most 1, and none is 1: one alone has no variance."""
    return max(1, min(round(num_train / batch), num_train // 2))


class FrozenPlan(Settings):
    """How a run learns on a network that has learned before: first a head on its features, then its last blocks.

    The head is epoch 1 of the run, whatever number of passes its fit takes; the other epochs of ``training`` tune.

    Attributes:
        origin: Where the network comes from, in words: a package and its version, or a file's name.
        license: That it may be used under; "": not known.
        pictures: That it was trained on; "": not known.
        penalties: Weights of the head's squared norm that are tried, strongest first; validation chooses.
        iterations: Of each fit, at most.
        first_block: That is tuned, from 0; the number of blocks: the last convolution alone; -1: nothing.
        numbers: That tuning computes in; weights are float32 always.
        looked_at: Training pictures that are used, evenly chosen, where there is no time for all; 0: all.
        compared: Pictures that torch and the exported file are both asked about, at most.
    """

    origin: str
    license: str = ""
    pictures: str = ""
    penalties: list[float] = Field(min_length=1)
    iterations: int = Field(ge=1)
    first_block: int = Field(ge=-1)
    numbers: Numbers = "float32"
    looked_at: int = Field(default=0, ge=0)
    compared: int = Field(ge=1)


class StreamPlan(Settings):
    """Which pictures are read from shards while the network learns, and in which order.

    Attributes:
        shards: The words that name them.
        digest: Over their names, sizes and versions.
        listed: Over where pictures lie in them, and the labels; "" in older plans.
        epoch_pictures: After which validation is asked.
        block: Neighboring pictures of a tar file that are read together.
        window: Pictures among which they are shuffled.
        validation_fraction: Of the pictures, that was asked for; it draws the sample.
        test_fraction: The same.
    """

    shards: str
    digest: str
    listed: str = ""
    epoch_pictures: int = Field(ge=1)
    block: int = Field(ge=1)
    window: int = Field(ge=1)
    validation_fraction: float = Field(ge=0, le=0.5)
    test_fraction: float = Field(ge=0, le=0.5)


class Plan(Settings):
    """Everything that decides the weights: same plan, same pictures, same threads, the same bits.

    Attributes:
        device: What the network is trained on, where that is not the processor.
        frozen: Where a network that has learned before is started from and mostly stays as it is; else None.
        stream: Where training pictures are read from shards; ``pictures`` are then a sample of them, of which those for
            validation and test are not learned from, and ``num_train`` counts what is learned from.
    """

    version: int = PLAN_VERSION
    seed: int = Field(ge=0, lt=2**63)
    threads: int = Field(ge=1, le=1024)
    device: Literal["cuda"] | None = None
    language: Literal["en", "ko"] = "en"
    pictures: PicturesPlan
    network: NetworkPlan
    augment: AugmentPlan
    training: TrainingPlan
    frozen: FrozenPlan | None = None
    stream: StreamPlan | None = None

    @field_validator("network")
    @classmethod
    def _validates_on_whole_pictures(cls, network: NetworkPlan) -> NetworkPlan:
        if all(view.startswith("closer") for view in network.views):
            raise ValueError(f"views has {', '.join(network.views)} only; expected upright or mirrored too")
        return network

    @field_validator("training")
    @classmethod
    def _one_offset_for_each_class(cls, training: TrainingPlan, info: ValidationInfo) -> TrainingPlan:
        offsets, network = len(training.class_offsets), info.data.get("network")
        if network is not None and offsets != len(network.classes):
            raise ValueError(f"class_offsets has {offsets:,} number(s), network.classes has {len(network.classes):,}")
        return training

    @property
    def pictures_per_epoch(self) -> int:
        """After which validation is asked: those of a pass, or, where they are streamed, perhaps of a part of one."""
        return self.pictures.num_train if self.stream is None else self.stream.epoch_pictures

    @property
    def steps_per_epoch(self) -> int:
        """Steps that these take."""
        pictures, batch = self.pictures_per_epoch, self.training.batch
        return steps_per_epoch(pictures, batch) if self.stream is None else max(1, pictures // batch)

    def to_toml(self) -> str:
        """The plan as TOML, as written to ``run.toml``."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))

    @property
    def digest(self) -> str:
        """32 hex characters over the plan's TOML."""
        return digest_bytes(self.to_toml().encode("utf-8"))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Reads a plan written by ``to_toml``.

        Raises:
            SettingsError: The file is missing, not TOML, or says something unknown.
            NewerFormatError: A newer whyconv wrote it.
        """
        try:
            values = toml_in(path)
        except FileNotFoundError:
            raise SettingsError(f"{path} does not exist. A run folder has its plan in run.toml.") from None
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise SettingsError(f"{path} is not TOML: {error}") from None
        require_known_version(values.get("version"), PLAN_VERSION, str(path))
        return cls.of(values, where=str(path))
