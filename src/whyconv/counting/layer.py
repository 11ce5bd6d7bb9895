"""A convolution -> everything that ``whyconv layer`` says of it; nothing grows with the size of the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator

from whyconv.counting.convolution import Convolution
from whyconv.errors import UsageError
from whyconv.results.layer import Corner, CornerName, LayerReport, Route, TapSharing
from whyconv.results.record import Note

BYTES_PER_NUMBER = 4  # of a float32
_MOST_TAPS_LISTED = 1000


def count_layer(layer: Convolution) -> LayerReport:
    """Returns the exact counts of ``layer`` and of the three layers it is compared with.

    The spatial axes come first in its shapes, then the channels. Transposed layers have no such report.

    Raises:
        UsageError: Every tap of every output lies in the padding.
    """
    _require_data(layer)
    axes = layer.axes
    corners = _corners(layer)
    return LayerReport(
        input_shape=[*layer.input_shape[1:], layer.in_channels],
        output_shape=[*layer.output_shape[1:], layer.out_channels],
        kernel=[axis.kernel for axis in axes],
        stride=[axis.stride for axis in axes],
        padding=[axis.padding for axis in axes],
        dilation=[axis.dilation for axis in axes],
        groups=layer.groups,
        padding_mode=axes[0].mode,
        num_inputs=layer.num_inputs,
        num_outputs=layer.num_outputs,
        inputs_per_output=layer.inputs_per_output,
        connections=layer.connections,
        density=layer.density,
        sparsity=(layer.dense_weights - layer.connections) / layer.dense_weights,
        spatial_density=layer.spatial_density,
        channel_density=layer.channel_density,
        locality_factor=layer.locality_factor,
        sharing_factor=layer.sharing_factor,
        weight_ratio=layer.dense_weights / layer.weights,
        parameter_ratio=corners["dense"].parameters / corners["convolution"].parameters,
        routes=_routes(layer),
        taps=_tap_sharing(layer),
        multiply_adds=layer.multiply_adds,
        nominal_multiply_adds=layer.nominal_multiply_adds,
        flops=layer.flops,
        nominal_flops=layer.nominal_flops,
        one_channel_parameters=_one_channel_parameters(layer),
        notes=list(_notes(layer)),
        dense=corners["dense"],
        local=corners["local"],
        shared_global=corners["shared_global"],
        convolution=corners["convolution"],
    )


def _require_data(layer: Convolution) -> None:
    if not layer.connections:
        raise UsageError(
            "No output of this layer meets the picture: every tap lies in the padding. Expected less padding or a "
            "smaller stride."
        )


def corner(weights: int, biases: int, connections: int, multiply_adds: int, idle_weights: int = 0) -> Corner:
    """One way to make a layer; a weight that never multiplies a number of the picture is idle."""
    parameters = weights + biases
    return Corner(
        weights=weights,
        biases=biases,
        parameters=parameters,
        num_bytes=BYTES_PER_NUMBER * parameters,
        num_bytes_with_adam=4 * BYTES_PER_NUMBER * parameters,
        connections=connections,
        multiply_adds=multiply_adds,
        idle_weights=idle_weights,
    )


def local_corner(layer: Convolution, biases: int) -> Corner:
    """The local twin of a convolution, with so many biases."""
    return corner(layer.local_weights, biases, layer.connections, layer.multiply_adds, layer.idle_local_weights)


def _corners(layer: Convolution) -> dict[CornerName, Corner]:
    """The four layers; those that are not shared have a bias for each output, as they have a weight for each place."""
    everywhere = layer.num_outputs if layer.has_bias else 0
    return {
        "dense": corner(layer.dense_weights, everywhere, layer.dense_weights, layer.dense_weights),
        "local": local_corner(layer, everywhere),
        "shared_global": corner(layer.shared_global_weights, layer.biases, layer.dense_weights, layer.dense_weights),
        "convolution": corner(layer.weights, layer.biases, layer.connections, layer.multiply_adds, layer.idle_weights),
    }


def _routes(layer: Convolution) -> list[Route]:
    """Both ways around the square.

    Without padding they agree number for number. With it they do not: the local layer loses the connections that
    would meet padding, the circular kernel never meets any.
    """
    shared = layer.shared_global_weights
    return [
        Route(through="local", locality=layer.locality_factor, sharing=layer.sharing_factor),
        Route(through="shared_global", locality=shared / layer.weights, sharing=layer.dense_weights / shared),
    ]


def _tap_sharing(layer: Convolution) -> TapSharing:
    least, most = layer.tap_sharing
    is_listed = all(axis.kernel <= _MOST_TAPS_LISTED for axis in layer.axes)
    return TapSharing(
        least=least,
        mean=layer.multiply_adds / layer.weights,
        most=most,
        along_axes=[axis.tap_counts for axis in layer.axes] if is_listed else [],
    )


def _one_channel_parameters(layer: Convolution) -> int | None:
    """Filters * (taps + 1): what notes of the lecture give that forget the channels."""
    if layer.in_channels == layer.groups:
        return None
    return layer.out_channels * _taps(layer) + layer.biases


def _taps(layer: Convolution) -> int:
    return math.prod(axis.kernel for axis in layer.axes)


def _notes(layer: Convolution) -> Iterator[Note]:
    if layer.in_channels > layer.groups:
        values = {
            "slip": _one_channel_parameters(layer),
            "filters": layer.out_channels,
            "kernel": "x".join(str(axis.kernel) for axis in layer.axes),
            "bias": " + 1" if layer.has_bias else "",
            "channels": layer.in_channels // layer.groups,
            "right": layer.weights + layer.biases,
        }
        yield Note(key="layer_note_channels_forgotten", values=values)
    if layer.idle_local_weights:
        values = {"nominal": layer.local_weights, "n": layer.idle_local_weights, "met": layer.multiply_adds}
        yield Note(key="layer_note_padding", values=values)
    if layer.connections < layer.multiply_adds:
        values = {"products": layer.multiply_adds, "connections": layer.connections}
        yield Note(key="layer_note_merged", values=values)
    height, channels = layer.input_shape[1], layer.in_channels
    if len(layer.axes) == 2 and height <= 4 < channels:
        values = {"height": height, "width": layer.input_shape[2], "channels": channels}
        yield Note(key="layer_note_channels_first", values=values, level="warning")
