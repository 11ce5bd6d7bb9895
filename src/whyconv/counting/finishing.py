"""The last touches to a graph: padding folded into what it is for, biases into their layers, attention known, names."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from whyconv.counting.axis import Axis
from whyconv.counting.bordered import BorderedAxis
from whyconv.counting.graph import Graph, Node

_MOST_STEPS = 8
_SHORT = {
    "max_pool2d_with_indices": "max_pool2d",
    "convolution": "conv",
    "mm": "linear",
    "addmm": "linear",
    "native_batch_norm": "batch_norm",
    "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
}


def finished(graph: Graph) -> Graph:
    """The graph with padding and biases folded into their layers, attention marked, and every node named."""
    nodes = _without_idle(graph.nodes, graph.outputs)
    nodes = _behind_padding(_fold_padding(nodes, graph))
    nodes = _fold_biases(nodes, graph)
    nodes = _mark_attention(nodes)
    nodes = _named(nodes)
    read = {name for node in nodes for name in node.inputs} | {*graph.inputs, *graph.outputs}
    nodes = [
        replace(node, outputs=tuple(name for place, name in enumerate(node.outputs) if place == 0 or name in read))
        for node in nodes
    ]
    used = read | {name for node in nodes for name in node.outputs}
    shapes = {name: shape for name, shape in graph.shapes.items() if name in used}
    return replace(graph, nodes=tuple(nodes), shapes=shapes)


def _users(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    users: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        for name in node.inputs:
            users[name].append(node)
    return users


def _fold_padding(nodes: list[Node], graph: Graph) -> list[Node]:
    """Padding whose only users slide a window over it becomes theirs: with their own, where both are constant."""
    users = _users(nodes)
    pads = {
        node.outputs[0]: node
        for node in nodes
        if node.kind == "pad"
        and node.reach == "window"
        and node.outputs[0] not in graph.outputs
        and users[node.outputs[0]]
        and all(_takes_padding(user, node) for user in users[node.outputs[0]])
    }
    folded = []
    for node in nodes:
        if node.outputs[0] in pads:
            continue
        folded.append(_padded(node, pads[node.inputs[0]]) if node.inputs and node.inputs[0] in pads else node)
    return folded


def _takes_padding(user: Node, pad: Node) -> bool:
    return (
        len(user.inputs) == 1
        and user.kind in ("convolution", "locally_connected", "pooling")
        and user.reach == "window"
        and not user.is_transposed
        and len(user.axes) == len(pad.axes)
        and (_is_constant(pad) or not any(number for axis in user.axes for number in axis.padding))
    )


def _is_constant(pad: Node) -> bool:
    return all(axis.mode == "zeros" or not any(axis.padding) for axis in pad.axes)


def _padded(node: Node, pad: Node) -> Node:
    axes = tuple(map(_widened, node.axes, pad.axes))
    return replace(_counted_on(node, axes), inputs=pad.inputs, axes=axes)


def _widened(axis: Axis, pad: Axis) -> Axis:
    around = (pad.padding[0] + axis.padding[0], pad.padding[1] + axis.padding[1])
    return Axis(pad.length, axis.kernel, axis.stride, around, axis.dilation, pad.mode, axis.num_outputs)


def _counted_on(node: Node, axes: tuple[Axis, ...]) -> Node:
    """The node with its connections counted along these axes; the axis of pieces of a picture stays."""
    if node.convolution is None:
        return node
    pieces = node.convolution.axes[: len(node.convolution.axes) - len(axes)]
    return replace(node, convolution=replace(node.convolution, axes=(*pieces, *axes)))


def _behind_padding(nodes: list[Node]) -> list[Node]:
    """Convolutions that meet padding which stays an operation of its own: for them too it is no data of its own."""
    makers = {name: node for node in nodes for name in node.outputs}
    return [_counted_on(node, _axes_on_data(node, makers)) if _may_meet_padding(node) else node for node in nodes]


def _may_meet_padding(node: Node) -> bool:
    return node.kind in ("convolution", "locally_connected") and bool(node.axes) and not node.is_transposed


def _axes_on_data(node: Node, makers: Mapping[str, Node]) -> tuple[Axis, ...]:
    """The axes of a convolution, widened by the padding that lies before it, also behind what works on each number."""
    axes, before = node.axes, makers.get(node.inputs[0])
    while before is not None and len(before.inputs) == 1:
        if before.kind == "pad" and before.reach == "window" and len(before.axes) == len(axes):
            axes = tuple(map(_over, axes, before.axes))
        elif before.kind not in ("pointwise", "normalization") or before.reach != "same":
            break
        before = makers.get(before.inputs[0])
    return axes


def _over(axis: Axis, pad: Axis) -> Axis:
    """The axis as one over what ``pad`` pads."""
    if not any(pad.padding):
        return axis
    is_one = not any(axis.padding) or axis.mode == pad.mode == "zeros"
    return _widened(axis, pad) if is_one and not isinstance(axis, BorderedAxis) else BorderedAxis.of(axis, pad)


def _fold_biases(nodes: list[Node], graph: Graph) -> list[Node]:
    """An addition of one parameter to each channel, right after a layer without bias, is the layer's bias."""
    users = _users(nodes)
    maker = {name: node for node in nodes for name in node.outputs}
    changed: dict[str, Node] = {}
    gone: set[str] = set()
    for node in nodes:
        before = _views_and_layer(node, maker)
        layer = before[-1] if before else None
        if layer is None or layer.outputs[0] in changed or not _is_bias(node, layer, graph):
            continue
        if any(len(users[each.outputs[0]]) > 1 or each.outputs[0] in graph.outputs for each in before):
            continue
        changed[layer.outputs[0]] = replace(
            layer,
            convolution=layer.convolution and replace(layer.convolution, has_bias=True),
            has_bias=layer.convolution is None,
            parameters=(*layer.parameters, *node.parameters),
            used=(*layer.used, *node.used),
        )
        last = before[0].outputs[0]
        changed[last] = replace(changed.get(last, before[0]), outputs=node.outputs)
        gone.add(node.outputs[0])
    return [changed.get(node.outputs[0], node) for node in nodes if node.outputs[0] not in gone]


def _views_and_layer(node: Node, maker: Mapping[str, Node]) -> list[Node]:
    """What ``node`` reads, back to the first that is no other view of the same numbers in the same module."""
    found: list[Node] = []
    while len(node.inputs) == 1 and node.inputs[0] in maker:
        module, node = node.module, maker[node.inputs[0]]
        found.append(node)
        if node.kind != "reshape" or not node.operation.endswith("view") or node.module != module:
            break
    return found


def _is_bias(node: Node, layer: Node, graph: Graph) -> bool:
    if node.kind != "pointwise" or not node.operation.lower().rstrip("_").endswith("add"):
        return False
    if len(node.parameters) != 1 or layer.module != node.module:
        return False
    return math.prod(graph.parameters[node.parameters[0]].shape) == _num_biases(layer, graph)


def _num_biases(layer: Node, graph: Graph) -> int:
    """How many numbers the bias holds that a layer would have; 0 where it has one or is no layer with weights."""
    convolution = layer.convolution
    if convolution is not None:
        if convolution.has_bias:
            return 0
        return convolution.num_outputs if layer.kind == "locally_connected" else convolution.out_channels
    if layer.kind != "linear" or layer.has_bias or not layer.weights or not layer.connections:
        return 0
    return layer.weights * math.prod(graph.shapes[layer.outputs[0]]) // layer.connections


def _without_idle(nodes: Sequence[Node], outputs: tuple[str, ...]) -> list[Node]:
    """Leaves out what only moves numbers that nobody reads."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        is_idle = node.kind in ("reshape", "pad", "slice") and not needed.intersection(node.outputs)
        if not is_idle:
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]


def _mark_attention(nodes: list[Node]) -> list[Node]:
    """Two products of values with a softmax in between are attention."""
    maker = {name: node for node in nodes for name in node.outputs}
    users = _users(nodes)
    marked: set[int] = set()
    for node in nodes:
        if node.kind == "normalization" and "softmax" in node.operation.lower():
            before = _next_product([maker[name] for name in node.inputs if name in maker], maker, is_before=True)
            after = _next_product(users[node.outputs[0]], users, is_before=False)
            if before and after:
                marked |= {id(before), id(after)}
    return [replace(node, kind="attention") if id(node) in marked else node for node in nodes]


def _next_product(found: list[Node], neighbors: Mapping[str, Any], *, is_before: bool) -> Node | None:
    """The product that ``found`` or what lies before or after it is, over scaling, masks and reshapes."""
    for _ in range(_MOST_STEPS):
        product = next((node for node in found if node.kind == "matrix_product"), None)
        passing = [node for node in found if node.kind in ("pointwise", "reshape", "sum", "slice")]
        if product is not None or not passing:
            return product
        names = passing[0].inputs if is_before else passing[0].outputs
        near = [neighbors[name] for name in names if name in neighbors]
        found = near if is_before else [node for several in near for node in several]
    return None


def _named(nodes: list[Node]) -> list[Node]:
    """Every node named by its module, or by its module and its operation where the module does more than one thing."""
    inner = {node.module for node in nodes}
    parents = {".".join(path.split(".")[:depth]) for path in inner for depth in range(1, path.count(".") + 1)}
    main = _main_nodes(nodes, parents)
    taken: Counter[str] = Counter()
    named = []
    for index, node in enumerate(nodes):
        short = node.operation.rpartition(".")[2].strip("_")
        owner = _owner(node, inner)
        name = owner or (node.module if index in main else f"{node.module}.{_SHORT.get(short, short)}".lstrip("."))
        taken[name] += 1
        named.append(replace(node, name=name if taken[name] == 1 else f"{name}#{taken[name]}"))
    return named


def _main_nodes(nodes: list[Node], parents: set[str]) -> set[int]:
    """Of each call of a module that calls no other: the operation that it is there for."""
    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        if node.module and node.module not in parents:
            groups[node.module, node.call].append(index)
    return {max(group, key=lambda index: (bool(nodes[index].parameters), -index)) for group in groups.values()}


def _owner(node: Node, modules: set[str]) -> str:
    """The module whose weights another one uses on its behalf, such as the last layer of torch's attention."""
    if node.kind not in ("convolution", "locally_connected", "linear", "normalization"):
        return ""
    owners = {name.rpartition(".")[0] for name in node.parameters if "." in name}
    owner = owners.pop() if len(owners) == 1 else ""
    is_below = bool(owner) and owner != node.module and owner.startswith(f"{node.module}." if node.module else "")
    return owner if is_below and owner not in modules else ""
