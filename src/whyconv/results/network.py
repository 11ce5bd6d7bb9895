"""What ``whyconv inspect`` counts in a network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.fields import EffectiveField, FieldReport, Verification
from whyconv.results.layer import Corner, TapSharing
from whyconv.results.record import Note, Record

_MOST_ROWS = 40
LayerKind = Literal[
    "convolution",
    "locally_connected",
    "linear",
    "pooling",
    "normalization",
    "attention",
    "matrix_product",
    "pointwise",
    "sum",
    "concatenate",
    "pad",
    "slice",
    "upsample",
    "reshape",
    "not_analyzed",
]


class LayerCount(Record):
    """One operation of a network, counted for one picture. All counts are exact.

    Attributes:
        name: As the network calls it.
        kind: What it is.
        operation: As torch or ONNX names it.
        call: Which call of the same module this is, from 1.
        inputs: Shapes of what goes in, without the batch.
        output: Shape of what comes out.
        parameters: Names of the parameters it uses.
        num_parameters: How many numbers these are, each use counting.
        num_new: Those that no earlier layer uses.
        weights: Free weights, shared ones counting once; 0 where the weights are fixed; None where it has none.
        connections: Pairs of an input and an output number that meet, padding not counted; None where the idea does
            not apply.
        density: Connections / pairs of any input and any output, in (0, 1].
        spatial_density: The part of it that is due to the places.
        channel_density: The part of it that is due to the channels: 1 / groups.
        locality_factor: Weights of the dense twin / connections, >= 1.
        sharing_factor: Connections / free weights: at how many places a weight is used, in the mean.
        taps: The same, tap by tap; None where no kernel slides, or the taps have no free weights.
        local: The twin with the same connections and a weight of its own for each.
        dense: The twin in which every input meets every output.
        multiply_adds: With real data, padding not counted; None where weights or products play no part.
        nominal_multiply_adds: As usually given: every tap at every place.
        flops: Two for each multiply-add, less the first addition of an output that has no bias.
        nominal_flops: The same with padding.
        activation_bytes: Of what comes out, 4 bytes a number.
        map: What an ONNX file calls what comes out; "" for other networks.
        reason: Why it was not analyzed.
    """

    name: str
    kind: LayerKind
    operation: str
    call: int
    inputs: list[list[int]]
    output: list[int]
    parameters: list[str]
    num_parameters: int
    num_new: int
    weights: int | None = None
    connections: int | None = None
    density: float | None = None
    spatial_density: float | None = None
    channel_density: float | None = None
    locality_factor: float | None = None
    sharing_factor: float | None = None
    taps: TapSharing | None = None
    local: Corner | None = None
    dense: Corner | None = None
    multiply_adds: int | None = None
    nominal_multiply_adds: int | None = None
    flops: int | None = None
    nominal_flops: int | None = None
    activation_bytes: int
    map: str = ""
    reason: str = ""


class ParameterCount(Record):
    """One array of learned numbers, once for each place in memory.

    Attributes:
        name: The first of its names.
        names: All of them: more than one where layers are tied.
        shape: Of the array.
        count: How many numbers.
        is_trainable: Whether gradients change them.
        uses: By how many operations of one call of the network it is used.
    """

    name: str
    names: list[str]
    shape: list[int]
    count: int
    is_trainable: bool
    uses: int


class NetworkTotals(Record):
    """Sums over the layers; each factor is a ratio of such sums, not a mean of ratios.

    The factors and the twins are over the layers with free weights: convolutions, locally connected and linear ones.

    Attributes:
        parameters: Unique, shared ones counting once.
        trainable: Those of them that gradients change.
        as_used: Each use counting.
        unused: Those of arrays that no operation of the call uses any part of.
        sharing_in_time: Parameters as used / different ones of them; above 1 where layers are called again or tied.
        weights: Free weights of the layers, each call counting.
        connections: Of the layers with free weights.
        density: Connections / weights of the dense twins.
        locality_factor: Weights of the dense twins / connections.
        sharing_factor: Connections / free weights, each call counting: sharing in space alone.
        local: All local twins.
        dense: All dense twins.
        multiply_adds: With real data.
        nominal_multiply_adds: Padding included.
        flops: With real data.
        nominal_flops: Padding included.
        activation_bytes: Of all outputs, those that only move numbers left out.
        not_analyzed: Operations that are in none of the sums.
    """

    parameters: int
    trainable: int
    as_used: int
    unused: int
    sharing_in_time: float | None
    weights: int
    connections: int
    density: float | None
    locality_factor: float | None
    sharing_factor: float | None
    local: Corner
    dense: Corner
    multiply_adds: int
    nominal_multiply_adds: int
    flops: int
    nominal_flops: int
    activation_bytes: int
    not_analyzed: int


class NetworkReport(Record):
    """A network, counted for one picture. All counts are exact.

    Attributes:
        source: What was counted.
        input: Shape of the picture, without the batch.
        layers: Operations in the order in which they are carried out.
        parameters: Arrays of learned numbers.
        totals: Sums.
        not_analyzed: Names of the operations that were not understood, each with the reason.
        notes: What a person should know about how it was read.
        fields: What each layer sees of the picture; None where no picture comes in.
        effective: With ``--pictures``: how much of its field a layer looks at on them.
        verifications: With ``--verify``: what was proved on its layers.
    """

    source: str
    input: list[int]
    layers: list[LayerCount]
    parameters: list[ParameterCount]
    totals: NetworkTotals
    not_analyzed: dict[str, str] = Field(default_factory=dict)
    notes: list[Note] = Field(default_factory=list)
    fields: FieldReport | None = None
    effective: EffectiveField | None = None
    verifications: list[Verification] | None = None

    @property
    def weighted(self) -> list[LayerCount]:
        """The layers with free weights."""
        return [layer for layer in self.layers if layer.weights]

    def __repr__(self) -> str:
        head = ("layer", "output", "parameters", "connections", "multiply-adds", "locality x sharing")
        shown = self.weighted[:_MOST_ROWS]
        rows = [head, *map(_cells, shown)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        if hidden := len(self.weighted) - len(shown):
            lines.append(f"... {hidden:,} more ...")
        totals = self.totals
        lines.append(
            f"{self.source}: {totals.parameters:,} parameters, {totals.connections:,} connections, "
            f"{totals.multiply_adds:,} multiply-adds, {totals.not_analyzed} operations not analyzed"
        )
        return "\n".join(lines)

    __str__ = __repr__


def _cells(layer: LayerCount) -> tuple[str, ...]:
    factors = f"{layer.locality_factor or 0:.4g} x {layer.sharing_factor or 0:.4g}"
    counts = (layer.num_parameters, layer.connections or 0, layer.multiply_adds or 0)
    return (layer.name, "x".join(map(str, layer.output)), *(f"{count:,}" for count in counts), factors)
