"""A graph, counted: parameters, connections, what is shared, what the twins would hold, and the work."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from whyconv.counting.axis import Axis
from whyconv.counting.graph import Graph, Node
from whyconv.results.network import LayerCount, NetworkReport, NetworkTotals, ParameterCount, TapUses, Twin

BYTES_PER_NUMBER = 4
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
        totals=_sum_up(layers, parameters),
        not_analyzed={layer.name: layer.reason for layer in layers if layer.kind == "not_analyzed"},
        notes=list(graph.notes),
    )


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
    return {"multiply_adds": work, "nominal_multiply_adds": work, "flops": 2 * work - num_outputs}


def _weighted(node: Node, num_inputs: int, num_outputs: int) -> dict[str, object]:
    """A layer that multiplies with weights, which are free or fixed."""
    convolution = node.convolution
    if convolution is None:
        connections, nominal, has_bias, groups = node.connections or 0, node.multiply_adds or 0, False, 1
        weights, real = node.weights or 0, nominal
    else:
        connections, nominal, has_bias = (
            convolution.connections,
            convolution.nominal_multiply_adds,
            convolution.has_bias,
        )
        weights = convolution.weights if node.weights is None else node.weights
        real, groups = convolution.multiply_adds, convolution.groups
    dense = num_inputs * num_outputs
    biases = num_outputs if has_bias else 0
    return {
        "weights": weights,
        "connections": connections,
        "density": connections / dense,
        "spatial_density": connections * groups / dense,
        "channel_density": 1 / groups,
        "locality_factor": dense / connections,
        "sharing_factor": connections / weights if weights else None,
        "tap_uses": _tap_uses(node.axes) if node.kind == "convolution" else None,
        "local": _twin(nominal, biases),
        "dense": _twin(dense, biases),
        "multiply_adds": real,
        "nominal_multiply_adds": nominal,
        "flops": 2 * nominal - (0 if has_bias else num_outputs),
    }


def _twin(weights: int, biases: int) -> Twin:
    return Twin(weights=weights, parameters=weights + biases, num_bytes=(weights + biases) * BYTES_PER_NUMBER)


def _tap_uses(axes: Sequence[Axis]) -> TapUses | None:
    if not axes:
        return None
    by_axis = [axis.tap_counts for axis in axes]
    return TapUses(
        least=math.prod(map(min, by_axis)),
        mean=math.prod(sum(counts) / len(counts) for counts in by_axis),
        most=math.prod(map(max, by_axis)),
        by_axis=by_axis,
    )


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


def _sum_up(layers: Sequence[LayerCount], parameters: Sequence[ParameterCount]) -> NetworkTotals:
    weighted = [layer for layer in layers if layer.weights]
    as_used = sum(layer.num_parameters for layer in layers)
    used = sum(one.count for one in parameters if one.uses)
    weights = _total(layer.weights for layer in weighted)
    connections = _total(layer.connections for layer in weighted)
    local = _add_twins(layer.local for layer in weighted)
    dense = _add_twins(layer.dense for layer in weighted)
    return NetworkTotals(
        parameters=sum(one.count for one in parameters),
        trainable=sum(one.count for one in parameters if one.is_trainable),
        as_used=as_used,
        unused=sum(one.count for one in parameters if not one.uses),
        sharing_in_time=as_used / used if used else None,
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
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        not_analyzed=sum(layer.kind == "not_analyzed" for layer in layers),
    )


def _total(counts: Iterable[int | None]) -> int:
    return sum(count for count in counts if count is not None)


def _add_twins(twins: Iterable[Twin | None]) -> Twin:
    there = [twin for twin in twins if twin is not None]
    return _twin(sum(twin.weights for twin in there), sum(twin.parameters - twin.weights for twin in there))
