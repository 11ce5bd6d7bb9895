"""Whether a suspected cause is the cause: the same weights, one repair at a time, and translation measured again.

A repair is a confirmation, not a product: the weights were trained without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.counting.graph import Graph, Node
from whyconv.errors import UsageError, nearest
from whyconv.measures.dense_sampling import Border
from whyconv.measures.repairs import Call, CircularPadding, DenseSampling, MeanHead, Repaired, Repairing
from whyconv.measures.trace import trace
from whyconv.measures.translation import Answers, ask, draws_of, estimate, kappa, scored
from whyconv.results.surgery import REPAIRS, Obstacle, Repair, RepairName, RepairScore, Surgery, Unrepaired
from whyconv.results.translation import ShiftKind, TranslationProtocol
from whyconv.training.intervals import paired


def surgery(  # noqa: PLR0913 - the last three are words
    network: nn.Module,
    pictures: Tensor,
    labels: Sequence[int] | NDArray[np.int64],
    kinds: Sequence[ShiftKind] = ("crop", "circular"),
    *,
    reach: int | None = None,
    repairs: Sequence[RepairName] = REPAIRS,
    seed: int = 0,
) -> Surgery:
    """Measures translation before and after each repair.

    Nothing is copied or changed: while a repaired network runs, torch's functions for windows, padding and flattening
    are replaced, whichever module or code calls them.

    Args:
        network: As in ``translation``.
        pictures: As the network takes them (n, c, h, w), n >= 2; where "crop" is among the kinds larger by ``reach``
            pixels on every side, and the other kinds move their middle.
        labels: Their classes (n,).
        kinds: Of shifts.
        reach: Farthest shift each way, in pixels; None: as in ``translation``, for kinds without "crop".
        repairs: Which ones.
        seed: Of the draws of pictures that make the intervals.

    Returns:
        For each repair what was repaired, what could not be and why, and rates with changes, paired by picture.

    Raises:
        UsageError: There is no such repair, or translation cannot be measured.
    """
    for name in repairs:
        if name not in REPAIRS:
            raise UsageError(f"There is no repair '{name}'.{nearest(name, REPAIRS)} Known: {', '.join(REPAIRS)}.")

    def asked(one: nn.Module, kind: ShiftKind) -> tuple[Answers, TranslationProtocol]:
        usual = None if kind == "fractional" else reach
        return ask(one, _seen(pictures, kind, kinds, reach), labels, kind, reach=usual, seed=seed)

    before = {kind: asked(network, kind) for kind in kinds}
    side = next(iter(before.values()))[1].side if before else tuple(pictures.shape[2:])
    shape = (pictures.shape[1], *side)
    graph, joined = trace(network, shape), _joined(network, shape)
    done = []
    for name in repairs:
        scores, repaired, left = [], list[str](), list[Unrepaired]()
        for kind in kinds:
            tools = _tools(name, graph, "circular" if kind == "circular" else "reflect")
            tried = Repaired(network, tools)
            trace(tried, shape)
            repaired, left = _outcome(name, graph, tools, joined)
            if not repaired:
                continue
            try:
                scores.append(_compared(kind, before[kind], asked(tried, kind)))
            except UsageError:  # of the same pictures and labels as before: only its logits can be at fault
                left += [Unrepaired(layer=layer, reason="not_finite") for layer in repaired]
                repaired, scores = [], []
                break
        done.append(Repair(name=name, repaired=repaired, left=left, scores=scores))
    return Surgery(before=[scored(*found) for found in before.values()], repairs=done)


def _seen(pictures: Tensor, kind: ShiftKind, kinds: Sequence[ShiftKind], reach: int | None) -> Tensor:
    """What a kind moves: for all but "crop" the middle, where pictures have room around it."""
    if "crop" not in kinds or kind == "crop" or not reach:
        return pictures
    return pictures[:, :, reach:-reach, reach:-reach]


def _tools(name: RepairName, graph: Graph, border: Border) -> list[Repairing]:
    blocked = _blocked(graph)
    made: dict[RepairName, Callable[[], list[Repairing]]] = {
        "circular_padding": lambda: [CircularPadding()],
        "blur": lambda: [DenseSampling(border, {}, is_polyphase=False)],
        "polyphase": lambda: [DenseSampling(border, blocked, is_polyphase=True)],
        "head": lambda: [] if _hidden(graph) else [MeanHead()],
    }
    # Padding is done before what it is done for: the last one is asked first.
    order: tuple[RepairName, ...] = ("polyphase", "circular_padding", "head") if name == "all" else (name,)
    return [tool for each in order for tool in made[each]()]


def _joined(network: nn.Module, shape: tuple[int, ...]) -> set[str]:
    """Names of the layers whose padding goes around, wherever it is called for, once it is repaired."""
    found = trace(Repaired(network, [CircularPadding()]), shape)
    joined = (node for node in found.nodes if node.axes and all(axis.mode == "circular" for axis in node.axes))
    return {node.name.removeprefix("network.") for node in joined}


def _outcome(
    name: RepairName, graph: Graph, tools: Sequence[Repairing], joined: set[str]
) -> tuple[list[str], list[Unrepaired]]:
    """Names of the layers that were repaired, and of those that were not."""
    parts = _parts(name)
    wanted = [node for node in graph.nodes if any(_is_wanted(node, each) for each in parts)]
    done: set[Call] = {call for tool in tools if isinstance(tool, DenseSampling) for call in tool.done}
    obstacles: dict[Call, Obstacle] = {call: why for tool in tools for call, why in tool.left.items()}
    repaired, left = [], []
    for node in wanted:
        call = (node.module, node.call)
        is_done = all(
            node.name in joined if each == "circular_padding" else call in done
            for each in parts
            if _is_wanted(node, each)
        )
        if is_done:
            repaired.append(node.name)
        else:
            left.append(Unrepaired(layer=node.name, reason=_why(node, parts, obstacles.get(call))))
    if "head" in parts:
        head = _head(graph)
        if head is None:
            left += [Unrepaired(layer="", reason="no_places")] if name == "head" else []
        elif _hidden(graph):
            left.append(Unrepaired(layer=head.name, reason="hidden_layers"))
        elif any(isinstance(tool, MeanHead) and tool.done for tool in tools):
            repaired.append(head.name)
        else:
            left.append(Unrepaired(layer=head.name, reason="other_operation"))
    return repaired, left


def _why(node: Node, parts: Sequence[RepairName], obstacle: Obstacle | None) -> Obstacle:
    is_padded = any(any(axis.padding) for axis in node.axes)
    if obstacle is None and "circular_padding" in parts and not is_padded:
        return "unpadded" if all(axis.stride == 1 for axis in node.axes) else "other_operation"
    return obstacle or "other_operation"


def _parts(name: RepairName) -> tuple[RepairName, ...]:
    return ("circular_padding", "polyphase", "head") if name == "all" else (name,)


def _is_wanted(node: Node, repair: RepairName) -> bool:
    """Whether a layer is what a repair is for."""
    if node.reach != "window" or node.is_transposed:
        return False
    if repair == "circular_padding":
        is_short = any(axis.reach > axis.stride == 1 and not any(axis.padding) for axis in node.axes)
        return is_short or any(any(axis.padding) and axis.mode != "circular" for axis in node.axes)
    if repair in ("blur", "polyphase"):
        is_global = all(axis.output_length == 1 for axis in node.axes)
        return any(axis.stride > 1 for axis in node.axes) and not is_global
    return False


def _head(graph: Graph) -> Node | None:
    """The node at which places stop being axes while there is more than one; None where there is none."""
    for node in graph.nodes:
        for source in node.inputs:
            places = graph.shapes[source][2:]
            is_flat = node.kind == "reshape" and len(graph.shapes[node.outputs[0]]) == 2
            if is_flat and len(places) == 2 and max(places) > 1:
                return node
    return None


def _hidden(graph: Graph) -> bool:
    """Whether more than one linear layer, or anything but linear layers, lies behind the head's flattening."""
    head = _head(graph)
    if head is None:
        return False
    behind = graph.nodes[graph.nodes.index(head) + 1 :]
    return any(node.kind not in ("linear", "reshape") for node in behind)


def _blocked(graph: Graph) -> dict[Call, Obstacle]:
    """Strided layers on one of two branches that meet again: phases chosen apart would not fit together."""
    strided: dict[str, frozenset[Call]] = {}
    blocked: dict[Call, Obstacle] = {}
    for node in graph.nodes:
        arriving = [strided.get(name, frozenset()) for name in node.inputs]
        every = frozenset[Call]().union(*arriving)
        apart = every - frozenset.intersection(*arriving) if arriving else every
        blocked.update(dict.fromkeys(apart, "branches"))
        own = {(node.module, node.call)} if _is_wanted(node, "polyphase") else set()
        strided.update(dict.fromkeys(node.outputs, every | own))
    return blocked


@dataclass(frozen=True, eq=False)
class _Rates:
    """Of each picture (n,): the share of shifts that keep its answer, and whether it is right."""

    kept: NDArray[np.float64]
    right: NDArray[np.float64]


def _rates(answers: Answers) -> _Rates:
    kept = (answers.moved == answers.unmoved[:, None]).mean(axis=1)
    return _Rates(kept, (answers.unmoved == answers.truth).astype(np.float64))


def _compared(
    kind: ShiftKind, before: tuple[Answers, TranslationProtocol], after: tuple[Answers, TranslationProtocol]
) -> RepairScore:
    found, protocol = scored(*after), after[1]
    n, draws = protocol.n, draws_of(protocol)
    first, second = _rates(before[0]), _rates(after[0])

    def gain(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return kappa(after[0], weights) - kappa(before[0], weights)

    return RepairScore(
        kind=kind,
        consistency=found.consistency,
        kappa=found.kappa,
        accuracy=found.accuracy,
        consistency_change=paired(second.kept - first.kept),
        kappa_change=estimate(float(gain(np.full((1, n), 1 / n))[0]), gain(draws / n), n),
        accuracy_change=paired(second.right - first.right),
    )
