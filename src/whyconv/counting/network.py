"""A graph, counted: parameters, connections, what is shared, what the twins would hold, and the work."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from whyconv.counting.convolution import Convolution
from whyconv.counting.graph import Graph, Node
from whyconv.counting.layer import BYTES_PER_NUMBER, corner, local_corner
from whyconv.errors import StoppedError, WhyconvError, let_through
from whyconv.results.layer import Corner, TapSharing
from whyconv.results.network import LayerCount, NetworkReport, NetworkTotals, ParameterCount

_MOVES_ONLY = ("reshape", "slice", "pad")


def count_network(graph: Graph, source: str) -> NetworkReport:
    """Counts every operation of a graph, and sums up.

    Args:
        graph: For one picture.
        source: What the network is called.

    Returns:
        The counts; all are exact. What was not understood is listed, and is in none of the sums.
    """
    seen: set[str] = set()
    layers = []
    for node in graph.nodes:
        layers.append(_count(node, graph, seen))
        seen.update(node.parameters)
    parameters = _count_parameters(graph)
    return NetworkReport(
        source=source,
        input=list(graph.shapes[graph.inputs[0]][1:]),
        layers=layers,
        parameters=parameters,
        totals=_sum_up(layers, parameters, _num_different(graph.nodes)),
        not_analyzed={layer.name: layer.reason for layer in layers if layer.kind == "not_analyzed"},
        notes=list(graph.notes),
    )


def count_if_possible(read: Callable[[], Graph], source: str) -> NetworkReport | str:
    """Counts a network where having no counts is no reason to lose what they are about, such as a training.

    Args:
        read: Reads its graph.
        source: What the network is called.

    Returns:
        The counts, or why there are none.

    Raises:
        StoppedError: The work was stopped, and so does a Ctrl-C; also where others made an error of theirs of it.
    """
    try:
        return count_network(read(), source)
    except Exception as error:  # noqa: BLE001 - whatever a network nobody foresaw makes of reading it
        let_through(error, StoppedError)
        lines = str(error).strip().splitlines() or ["no reason given"]
        return lines[0] if isinstance(error, WhyconvError) else f"{type(error).__name__}: {lines[0]}"


def _count(node: Node, graph: Graph, seen: set[str]) -> LayerCount:
    inputs = [list(graph.shapes[name][1:]) for name in node.inputs]
    output = list(graph.shapes[node.outputs[0]][1:])
    num_outputs = math.prod(output)
    new = sum(math.prod(graph.parameters[name].shape) for name in node.parameters if name not in seen)
    counts = _connected(node, math.prod(inputs[0]) if inputs else 0, num_outputs)
    return LayerCount(
        name=node.name,
        kind=node.kind,
        operation=node.operation,
        call=node.call,
        inputs=inputs,
        output=output,
        parameters=list(node.parameters),
        num_parameters=node.num_used,
        num_new=new,
        map=node.label,
        activation_bytes=0 if node.kind in _MOVES_ONLY else num_outputs * BYTES_PER_NUMBER,
        reason=node.reason if node.kind == "not_analyzed" else "",
        **counts,  # type: ignore[arg-type]
    )


def _connected(node: Node, num_inputs: int, num_outputs: int) -> dict[str, object]:
    """What a node connects, as fields of ``LayerCount``."""
    if node.kind in ("convolution", "locally_connected", "linear"):
        return _weighted(node, num_inputs, num_outputs)
    if node.kind == "pooling" and node.axes:
        channels = num_outputs // math.prod(axis.output_length for axis in node.axes)
        met = channels * math.prod(axis.num_connections for axis in node.axes)
        return {"connections": met, "density": met / (num_inputs * num_outputs)}
    if node.kind in ("pooling", "normalization") and node.connections is not None:
        return {"connections": node.connections, "density": node.connections / (num_inputs * num_outputs)}
    if node.multiply_adds is None:
        return {}
    work = node.multiply_adds
    return {
        "multiply_adds": work,
        "nominal_multiply_adds": work,
        "flops": 2 * work - num_outputs,
        "nominal_flops": 2 * work - num_outputs,
    }


def _weighted(node: Node, num_inputs: int, num_outputs: int) -> dict[str, object]:
    """A layer that multiplies with weights, which are free or fixed."""
    layer = node.convolution
    if layer is None:
        return _product(node, num_inputs, num_outputs)
    weights = layer.weights if node.weights is None else node.weights
    dense, biases = layer.dense_weights, layer.num_outputs if layer.has_bias else 0
    return {
        "weights": weights,
        "connections": layer.connections,
        "density": layer.density,
        "spatial_density": layer.spatial_density,
        "channel_density": layer.channel_density,
        "locality_factor": layer.locality_factor,
        "sharing_factor": layer.connections / weights if weights else None,
        "taps": _taps(layer, weights) if layer.axes else None,
        "local": local_corner(layer, biases),
        "dense": corner(dense, biases, dense, dense),
        "multiply_adds": layer.multiply_adds,
        "nominal_multiply_adds": layer.nominal_multiply_adds,
        "flops": layer.flops,
        "nominal_flops": layer.nominal_flops,
    }


def _product(node: Node, num_inputs: int, num_outputs: int) -> dict[str, object]:
    """A product with weights that is neither on all numbers nor at places of a map."""
    connections, weights, work = node.connections or 0, node.weights or 0, node.multiply_adds or 0
    dense, biases = num_inputs * num_outputs, num_outputs if node.has_bias else 0
    flops = 2 * work - (num_outputs - biases)
    return {
        "weights": weights,
        "connections": connections,
        "density": connections / dense,
        "locality_factor": dense / connections,
        "sharing_factor": connections / weights if weights else None,
        "local": corner(connections, biases, connections, work),
        "dense": corner(dense, biases, dense, dense),
        "multiply_adds": work,
        "nominal_multiply_adds": work,
        "flops": flops,
        "nominal_flops": flops,
    }


def _taps(layer: Convolution, weights: int) -> TapSharing | None:
    if weights != layer.weights:
        return None
    least, most = layer.tap_sharing
    along = [axis.tap_counts for axis in layer.axes]
    return TapSharing(least=least, mean=layer.multiply_adds / weights, most=most, along_axes=along)


def _count_parameters(graph: Graph) -> list[ParameterCount]:
    uses = Counter(name for node in graph.nodes for name in node.parameters)
    return [
        ParameterCount(
            name=one.name,
            names=list(one.names or (one.name,)),
            shape=list(one.shape),
            count=math.prod(one.shape),
            is_trainable=one.is_trainable,
            uses=uses[one.name],
        )
        for one in graph.parameters.values()
    ]


def _num_different(nodes: Sequence[Node]) -> int:
    """Learned numbers in use, each once; of an array that is used in part or computed from others, those in use."""
    most: dict[tuple[str, ...], int] = {}
    for names, size in (one for node in nodes for one in node.used):
        most[names] = max(most.get(names, 0), size)
    return sum(most.values())


def _sum_up(layers: Sequence[LayerCount], parameters: Sequence[ParameterCount], different: int) -> NetworkTotals:
    weighted = [layer for layer in layers if layer.weights]
    as_used = sum(layer.num_parameters for layer in layers)
    weights = _total(layer.weights for layer in weighted)
    connections = _total(layer.connections for layer in weighted)
    local = _add_corners(layer.local for layer in weighted)
    dense = _add_corners(layer.dense for layer in weighted)
    return NetworkTotals(
        parameters=sum(one.count for one in parameters),
        trainable=sum(one.count for one in parameters if one.is_trainable),
        as_used=as_used,
        unused=sum(one.count for one in parameters if not one.uses),
        sharing_in_time=as_used / different if different else None,
        weights=weights,
        connections=connections,
        density=connections / dense.weights if connections else None,
        locality_factor=dense.weights / connections if connections else None,
        sharing_factor=connections / weights if weights else None,
        local=local,
        dense=dense,
        multiply_adds=_total(layer.multiply_adds for layer in layers),
        nominal_multiply_adds=_total(layer.nominal_multiply_adds for layer in layers),
        flops=_total(layer.flops for layer in layers),
        nominal_flops=_total(layer.nominal_flops for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        not_analyzed=sum(layer.kind == "not_analyzed" for layer in layers),
    )


def _total(counts: Iterable[int | None]) -> int:
    return sum(count for count in counts if count is not None)


def _add_corners(corners: Iterable[Corner | None]) -> Corner:
    there = [corner for corner in corners if corner is not None]
    fields = ("weights", "biases", "connections", "multiply_adds", "idle_weights")
    return corner(*(sum(getattr(corner, name) for corner in there) for name in fields))
