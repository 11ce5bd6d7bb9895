"""What ``whyconv layer`` counts of one convolution, and of the three layers it is compared with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.fields import Verification
from whyconv.results.record import Note, Record

CornerName = Literal["dense", "local", "shared_global", "convolution"]
CORNERS: tuple[CornerName, ...] = ("dense", "local", "shared_global", "convolution")


class Corner(Record):
    """One of the four layers between the same inputs and outputs: local or not, shared or not.

    Attributes:
        weights: Multipliers that are learned.
        biases: Added constants that are learned: one for each output, or for each output channel where shared.
        parameters: Both.
        num_bytes: Of the parameters in float32.
        num_bytes_with_adam: Of parameters, gradients and both of Adam's moments in float32.
        connections: Different pairs of an input and an output that meet; padding not counted.
        multiply_adds: For one picture, padding not counted.
        idle_weights: Weights that only ever meet padding.
    """

    weights: int
    biases: int
    parameters: int
    num_bytes: int
    num_bytes_with_adam: int
    connections: int
    multiply_adds: int
    idle_weights: int = 0


class Route(Record):
    """One way around the square from the dense layer to the convolution: ``locality * sharing`` is the same on both.

    Attributes:
        through: The layer on the way. Through "local", locality comes first; through "shared_global", sharing.
        locality: By how many times leaving out far connections divides the weights on this way.
        sharing: By how many times using a weight at every place divides them.
    """

    through: Literal["local", "shared_global"]
    locality: float
    sharing: float


class TapSharing(Record):
    """At how many places one weight of the convolution meets data; fewer at the rim of the kernel under zero padding.

    Attributes:
        least: Of all taps.
        mean: Over the taps.
        most: Of all taps.
        along_axes: For each axis and each tap on it, the places along that axis; tap (a, b) has the product
            ``along_axes[0][a] * along_axes[1][b]``. Empty where the kernel has more than 1,000 taps along an axis.
    """

    least: int
    mean: float
    most: int
    along_axes: list[list[int]]


class Term(Record):
    """One product in the sum that makes an output.

    Attributes:
        tap: Row and column in the kernel, from 0.
        place: Row and column of the input it meets; None in zero padding.
        value: Of that input; 0 in zero padding.
        weight: Of the tap.
    """

    tap: tuple[int, int]
    place: tuple[int, int] | None
    value: int
    weight: int


class WorkedOutput(Record):
    """One output written out: the vertical edge detector on a picture whose left half is bright.

    Attributes:
        place: Row and column of the output, from 0.
        picture: (h, w), the same in every channel.
        weights: (kernel h, kernel w), the same for every channel.
        terms: The products within one channel.
        num_channels: Input channels that one filter sees; each adds the same.
        value: The output: the sum of all products.
        outputs: (output h, output w), all made with these weights.
        num_connected: Inputs that the output is connected with, over all channels.
        num_others: All other inputs. Each was changed and the output computed anew.
        num_others_that_moved_it: Of those: 0.
        num_connected_that_moved_it: Of the connected inputs, each changed likewise: those under a weight of 0 do not.
    """

    place: tuple[int, int]
    picture: list[list[int]]
    weights: list[list[int]]
    terms: list[Term]
    num_channels: int
    value: int
    outputs: list[list[int]]
    num_connected: int
    num_others: int
    num_others_that_moved_it: int
    num_connected_that_moved_it: int


class StepTime(Record):
    """One training step of one corner: timed, or why not.

    Attributes:
        corner: Which layer.
        num_bytes: What a step needs, by estimate: parameters with Adam's state, and the batch with what is kept for it.
        seconds: Median over ``n`` steps; None where it was not run.
        low: Lower end of the 95 % interval of the median over steps.
        high: Upper end.
        n: Steps that were timed, after one or two that were not.
        reason: Why it was not run: a sentence; None where it was.
    """

    corner: CornerName
    num_bytes: int
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: Note | None = None


class StepReport(Record):
    """What one training step costs: forward, backward, Adam.

    Attributes:
        batch: Pictures per step.
        threads: Of the processor.
        num_bytes_allowed: What a corner may need to be tried: half of the memory that this process may use.
        times: In the order of ``CORNERS``.
    """

    batch: int
    threads: int
    num_bytes_allowed: int
    times: list[StepTime]


class LayerReport(Record):
    """A convolution, counted. Every number is exact but those in ``steps``; ratios are rounded to floats.

    Attributes:
        kind: How the numbers came about.
        input_shape: The spatial axes, then the channels.
        output_shape: Likewise.
        kernel: Taps along each axis.
        stride: Along each axis.
        padding: Places before and after, along each axis.
        dilation: Along each axis.
        groups: Channels are connected within their group only.
        padding_mode: What lies in the padding.
        num_inputs: Numbers going in for one picture.
        num_outputs: Numbers coming out.
        inputs_per_output: Least and most different inputs that one output meets.
        connections: Different pairs of an input and an output that meet.
        density: Connections / all pairs, in (0, 1].
        sparsity: 1 - density.
        spatial_density: Density without regard to channels.
        channel_density: Of channels alone: 1 / groups.
        locality_factor: Weights of the dense layer / connections, >= 1.
        sharing_factor: Connections / weights of the convolution: the mean number of places at which one is used.
        weight_ratio: Weights of the dense layer / weights of the convolution = locality factor * sharing factor.
        parameter_ratio: The same with the biases.
        routes: Through the local layer and through the shared, global one.
        taps: How often each weight is used.
        multiply_adds: For one picture, products with padding not counted.
        nominal_multiply_adds: Products with padding counted, as other counters do.
        flops: Two for each multiply-add, less the first addition of an output that has no bias.
        nominal_flops: The same with padding.
        dense: Every input with every output.
        local: The convolution's reach, each place with weights of its own.
        shared_global: A circular kernel as large as the picture, shared by all places.
        convolution: The layer itself.
        one_channel_parameters: What is left when the input channels are forgotten; None where there is but one.
        notes: What is worth a sentence.
        steps: With ``--try``.
        shown: With ``--show``.
        verification: With ``--verify``.
    """

    kind: Literal["exact"] = "exact"
    input_shape: list[int]
    output_shape: list[int]
    kernel: list[int]
    stride: list[int]
    padding: list[tuple[int, int]]
    dilation: list[int]
    groups: int
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"]
    num_inputs: int
    num_outputs: int
    inputs_per_output: tuple[int, int]
    connections: int
    density: float
    sparsity: float
    spatial_density: float
    channel_density: float
    locality_factor: float
    sharing_factor: float
    weight_ratio: float
    parameter_ratio: float
    routes: list[Route]
    taps: TapSharing
    multiply_adds: int
    nominal_multiply_adds: int
    flops: int
    nominal_flops: int
    dense: Corner
    local: Corner
    shared_global: Corner
    convolution: Corner
    one_channel_parameters: int | None
    notes: list[Note] = Field(default_factory=list)
    steps: StepReport | None = None
    shown: WorkedOutput | None = None
    verification: Verification | None = None

    @property
    def corners(self) -> dict[CornerName, Corner]:
        """The four layers by name, in the order of ``CORNERS``."""
        return {name: getattr(self, name) for name in CORNERS}

    def __repr__(self) -> str:
        shapes = ("x".join(map(str, shape)) for shape in (self.input_shape, self.output_shape))
        head = f"{' -> '.join(shapes)}, kernel {'x'.join(map(str, self.kernel))}"
        rows: list[tuple[str, str]] = [
            (name, f"{one.weights:,} weights + {one.biases:,} biases = {one.parameters:,}")
            for name, one in self.corners.items()
        ]
        rows.append(("connections", f"{self.connections:,}, density {100 * self.density:.4f} %"))
        split = f"{self.locality_factor:,.2f} x {self.sharing_factor:,.2f} = {self.weight_ratio:,.2f}"
        rows.append(("locality x sharing", split))
        rows.append(("multiply-adds", f"{self.multiply_adds:,} ({self.nominal_multiply_adds:,} with padding)"))
        width = max(len(name) for name, _ in rows)
        return "\n".join([head, *(f"  {name:<{width}}  {value}" for name, value in rows)])

    __str__ = __repr__
