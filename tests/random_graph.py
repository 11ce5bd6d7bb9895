"""Random networks with branches, as graphs."""

from __future__ import annotations

import random

from drawn_graph import DrawnGraph
from whyconv.counting import Axis, Graph

MODES = ("zeros", "zeros", "zeros", "reflect", "replicate", "circular")


def random_graph(seed: int, lengths: tuple[int, ...], num_layers: int) -> Graph:
    """Windows of every kind, transposed ones, and values of the same size that meet again."""
    draw = random.Random(seed)
    net = DrawnGraph(*lengths)
    values = ["picture"]
    while len(net.nodes) < num_layers:
        source = draw.choice(values[-3:])
        alike = [one for one in values if one != source and net.shapes[one][2:] == net.shapes[source][2:]]
        if alike and draw.random() < 0.5:
            kind = draw.choice(["sum", "concatenate"])
            values.append(net.meet(source, draw.choice(alike), kind=kind))
        elif draw.random() < 0.15:
            values.append(net.transposed(source, draw.randint(1, 4), draw.randint(1, 2)))
        else:
            values.append(net.slide(source, tuple(_axis(draw, n) for n in net.shapes[source][2:])))
    return net.graph()


def _axis(draw: random.Random, length: int) -> Axis:
    if draw.random() < 0.5:  # as many outputs as inputs, so that branches can meet
        half, dilation = draw.choice([0, 1, 1]), draw.choice([1, 1, 2])
        return Axis(length, 2 * half + 1, 1, (half * dilation,) * 2, dilation)
    mode = draw.choice(MODES)
    most = {"reflect": length - 1, "circular": length}.get(mode, 3)
    padding = (draw.randint(0, min(2, most)), draw.randint(0, min(2, most)))
    kernel, dilation = draw.randint(1, 4), draw.randint(1, 2)
    if length + sum(padding) < dilation * (kernel - 1) + 1:
        kernel = dilation = 1
    axis = Axis(length, kernel, draw.choice([1, 1, 2, 3]), padding, dilation, mode)  # type: ignore[arg-type]
    rounds_up = draw.random() < 0.2 and mode == "zeros"
    return Axis(length, kernel, axis.stride, padding, dilation, "zeros", axis.output_length + 1) if rounds_up else axis
