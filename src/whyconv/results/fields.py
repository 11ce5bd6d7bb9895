"""What one output sees of the picture, by structure and by gradient."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import PlainSerializer

from whyconv.results.record import Estimate, Record


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


# A number that may lie between two pixels; whole numbers and halves are printed as such.
Exact = Annotated[Fraction, PlainSerializer(_plain, when_used="json")]


class AxisField(Record):
    """The receptive field along one spatial axis, in pixels of the picture; borders do not clip it. Exact.

    Attributes:
        size: Pixels from the first to the last that one output can depend on; of the widest output where upsampling
            makes them differ.
        least_size: Of the narrowest.
        jump: From one output to the next; None where branches with different jumps meet.
        start: First pixel of the first output's field; negative where it begins in the padding.
        center: Middle of the first output's field; 0 is the middle of the first pixel.
        overreach: How many pixels fields reach at most beyond the ``size`` pixels from ``start + jump * place`` on; 0
            where they follow one another evenly. None where there is no jump or an output sees nothing, and in files
            of before.
    """

    size: int
    least_size: int
    jump: Exact | None
    start: int
    center: Exact
    overreach: Exact | None = None

    @property
    def is_even(self) -> bool:
        """Whether every output sees exactly the ``size`` pixels from ``start + jump * place`` on."""
        return self.overreach == 0 and self.size == self.least_size


class ReceptiveField(Record):
    """What the outputs of one layer can depend on.

    Attributes:
        name: Of the layer.
        output: Name of the value.
        is_whole: Some path brings the whole picture: flattening, a dense layer, global pooling or attention.
        axes: Of the other paths, along windows, one for each spatial axis; empty where there are none, as behind a
            dense layer. Beside ``is_whole`` they say what is seen besides a summary of the picture.
        misalignment: For a layer where branches meet, along each axis: the farthest distance in pixels between the
            middles of their fields for the same output. All 0: aligned.
        reason: Why it is not analyzed, else "".
    """

    name: str
    output: str
    is_whole: bool = False
    axes: tuple[AxisField, ...] = ()
    misalignment: tuple[Exact, ...] = ()
    reason: str = ""

    @property
    def is_aligned(self) -> bool:
        """Whether branches that meet here look at the same middle."""
        return not any(self.misalignment)


class UnevenStride(Record):
    """A layer whose last window ends before the padded input does, along one axis. Exact.

    Attributes:
        name: Of the layer.
        axis: Number of the spatial axis, from 0.
        length: Inputs along it.
        unused_padding: Places of padding after the last input that no window reaches; those before the first are used.
        unused_inputs: Inputs that no window reaches.
        stride: Of the layer.
        remainder: With inputs of a length that leaves this remainder when divided by ``stride``, nothing is unused.
    """

    name: str
    axis: int
    length: int
    unused_padding: int
    unused_inputs: int
    stride: int
    remainder: int


class Reach(Record):
    """The fraction of the picture's pixels that a place of a layer depends on, all of its channels together.

    Exact; borders clip it, and holes that dilation leaves are not counted.

    Attributes:
        name: Of the layer.
        output: Name of the value.
        num_places: Places of the layer.
        num_pixels: Of the picture.
        mean: Over places, in [0, 1].
        least: Of the place that depends on the fewest pixels.
        most: Of the place that depends on the most.
        central: Of the place in the middle.
        mean_by_windows: The mean without summaries of the whole picture that are used at many places, as
            squeeze-and-excitation takes them; None where there are none on the way.
        is_bound: True where it is an upper bound: channels that depend on different pixels were taken apart.
        reason: Why it is not analyzed, else "".
    """

    name: str
    output: str
    num_places: int = 0
    num_pixels: int = 0
    mean: float = 0.0
    least: float = 0.0
    most: float = 0.0
    central: float = 0.0
    mean_by_windows: float | None = None
    is_bound: bool = False
    reason: str = ""


class MassSquare(Record):
    """The smallest centered square that holds a share of the gradient.

    Attributes:
        share: Of the mass, in (0, 1).
        side: Of the square in pixels, with its interval over pictures.
    """

    share: float
    side: Estimate

    def __repr__(self) -> str:
        side = self.side
        return f"{100 * self.share:.0f} %: {side.value:.0f} ({side.low:.0f}-{side.high:.0f}) pixels, n={side.n}"

    __str__ = __repr__


class EffectiveField(Record):
    """Where the gradient of the middle output lies in the picture. Estimated, with 95 % intervals over pictures.

    Attributes:
        layer: Whose middle output is asked about.
        input_size: Height and width of the pictures in pixels.
        n: Pictures.
        theoretical: Size of the receptive field along each axis.
        is_whole: Whether it also depends on a number for the whole picture, such as a mean: then the gradient
            reaches beyond the theoretical field.
        squares: For 50, 90 and 99 % of the mass.
        seed: Of the draws that make the interval.
    """

    layer: str
    input_size: tuple[int, int]
    n: int
    theoretical: tuple[int, int]
    is_whole: bool = False
    squares: tuple[MassSquare, ...]
    seed: int

    def __repr__(self) -> str:
        high, wide = self.input_size
        head = f"{self.layer}: theoretical {self.theoretical[0]} x {self.theoretical[1]} of {high} x {wide} pixels"
        return "\n".join([head, *(f"  {square}" for square in self.squares)])

    __str__ = __repr__


class ClassSize(Record):
    """``num_classes`` classes have ``num_entries`` entries of the matrix each."""

    num_entries: int
    num_classes: int


class SharingHistogram(Record):
    """Which entries of a layer's matrix are the same weight: how large the classes are. Exact.

    Attributes:
        shape: Outputs, inputs: the matrix.
        num_entries: That are not zero by structure: the connections.
        num_weights: Free weights; 0 for a layer that learns none.
        num_unused_weights: Free weights that meet no input at all.
        classes: Sizes of the classes, largest first.
        num_merged_classes: Classes whose entries are sums of several weights, where the padding repeats the picture.
        sparse_bytes: Of the matrix in float64, compressed by rows.
        dense_bytes: Of the same matrix in float32 with all of its zeros.
    """

    shape: tuple[int, int]
    num_entries: int
    num_weights: int
    num_unused_weights: int
    classes: tuple[ClassSize, ...]
    num_merged_classes: int
    sparse_bytes: int
    dense_bytes: int

    @property
    def num_classes(self) -> int:
        """Different values that the entries can take."""
        return sum(one.num_classes for one in self.classes)


ProofName = Literal["local_twin", "matrix", "summed_gradient", "dense_gradient", "support"]


class Proof(Record):
    """One statement about a layer, tried.

    Attributes:
        name: Of the statement: the sentence ``proof_<name>`` says it.
        difference: The largest difference, relative to the largest value; of counts, how many places differ. None
            where the statement does not apply.
        tolerance: The most that it may be.
        is_proved: Whether it held; None where it does not apply.
        reason: Why it does not apply, a sentence's key; else "".
    """

    name: ProofName
    difference: float | None = None
    tolerance: float = 0.0
    is_proved: bool | None = None
    reason: str = ""

    def __repr__(self) -> str:
        if self.difference is None:
            return f"not tried  {self.name}: {self.reason}"
        verdict = "proved" if self.is_proved else "FAILED"
        return f"{verdict}     {self.name}: differs by {self.difference:.2g}, at most {self.tolerance:g}"

    __str__ = __repr__


class Verification(Record):
    """What was proved on one layer, in double precision, with its own weights and pictures drawn from ``seed``.

    Attributes:
        name: Of the layer.
        layer: How it reads.
        input_shape: Of what comes in, channels first.
        tried_shape: Of what it was tried on; smaller where all would take too long.
        channels: Input and output channels that were tried.
        all_channels: Input and output channels that the layer has.
        connections: Counted, of what was tried.
        proofs: Each with its difference; none where the layer was not tried.
        reason: Why it was not tried, else "".
        seed: Of the pictures.
    """

    name: str
    layer: str
    input_shape: tuple[int, ...]
    tried_shape: tuple[int, ...] = ()
    channels: tuple[int, int] = (0, 0)
    all_channels: tuple[int, int] = (0, 0)
    connections: int = 0
    proofs: tuple[Proof, ...] = ()
    reason: str = ""
    seed: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the layer was tried with all of its channels and the whole picture."""
        return (self.tried_shape, self.channels) == (self.input_shape, self.all_channels)

    @property
    def is_proved(self) -> bool | None:
        """Whether all that applies held; None where nothing was tried."""
        return all(proof.is_proved is not False for proof in self.proofs) if self.proofs else None

    def __repr__(self) -> str:
        tried = "x".join(map(str, self.tried_shape))
        head = f"{self.layer} on {tried}, {self.connections:,} connections" if self.proofs else self.layer
        return "\n".join([head, *(f"  {proof}" for proof in self.proofs or (self.reason,))])

    __str__ = __repr__


class LayerField(Record):
    """What one layer sees of the picture.

    Attributes:
        name: Of the layer.
        kind: What it is.
        field: Where its outputs can look.
        reach: How much of the picture its places depend on, borders and holes considered.
    """

    name: str
    kind: str
    field: ReceptiveField
    reach: Reach


class FieldReport(Record):
    """What every layer of a network sees of the picture. Exact.

    Attributes:
        picture: Its places along each axis.
        layers: In the order in which they are computed.
        uneven: Layers whose stride leaves the end of their input unread.
        even_lengths: Along each axis, the nearest lengths of the picture at which none does: at most, and above; None
            where none was found.
    """

    picture: tuple[int, ...]
    layers: tuple[LayerField, ...]
    uneven: tuple[UnevenStride, ...]
    even_lengths: tuple[tuple[int | None, int | None], ...]

    @property
    def not_analyzed(self) -> dict[str, str]:
        """Names of the layers about which nothing is known, and why."""
        return {one.name: one.field.reason or one.reach.reason for one in self.layers if _is_unknown(one)}


def _is_unknown(layer: LayerField) -> bool:
    return bool(layer.field.reason or layer.reach.reason)
