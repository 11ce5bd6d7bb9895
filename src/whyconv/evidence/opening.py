"""A recognizer made ready to be asked what its answers rest on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyconv.counting.graph import Graph
from whyconv.errors import ModelFileError
from whyconv.evidence.activation import Map, logit_parts
from whyconv.evidence.field import field_graph
from whyconv.evidence.heads import Head, find_head
from whyconv.evidence.nearest import Examples, read_examples
from whyconv.onnx_file.graph import FileGraph
from whyconv.onnx_file.reading import read_file_graph, with_outputs
from whyconv.onnx_file.running import Session, open_session, run_session
from whyconv.recognizer import Recognizer, open_recognizer
from whyconv.results.evidence import WhyNoNearest, WhyOcclusion

# Of the sizes of its parts: how far the parts of a logit may be from it and still count as all of it.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class LogitParts:
    """A logit and what it is made of.

    Attributes:
        parts: float64 (views, h, w).
        bias: Of the class.
        logit: As the file has it, before the temperature; the mean over views.
    """

    parts: Map
    bias: float
    logit: float

    @property
    def difference(self) -> float:
        """How far parts and bias are from the logit."""
        return abs(float(self.parts.sum()) / len(self.parts) + self.bias - self.logit)

    @property
    def is_whole(self) -> bool:
        """Whether they are the logit, up to rounding."""
        size = float(np.abs(self.parts).sum()) / len(self.parts) + abs(self.bias)
        return self.difference <= _TOLERANCE * max(1.0, size)


class Explainer:
    """Holds what is the same for every picture: opened once, asked often, by any number of threads.

    Args:
        recognizer: Whose answers are asked about.
        run: Its run folder, for the nearest training pictures; None for a lone file.

    Attributes:
        recognizer: As given.
        graph: The nodes of its file.
    """

    def __init__(self, recognizer: Recognizer, run: Path | None = None) -> None:
        self.recognizer = recognizer
        self.graph: FileGraph = read_file_graph(recognizer.content, recognizer.where)
        self._run = run

    @cached_property
    def head(self) -> Head | WhyOcclusion:
        """Pooling and a linear layer; or why there is no class activation map."""
        return find_head(self.graph)

    @cached_property
    def examples(self) -> Examples | WhyNoNearest:
        """Training pictures; or why there are none."""
        return read_examples(self._run)

    @cached_property
    def field_graph(self) -> Graph | None:
        """From the picture to the last map; None where the head is another."""
        policy = self.recognizer.policy
        head = self.head
        return None if isinstance(head, str) else field_graph(self.graph, head.map, policy.side, policy.channels)

    @cached_property
    def level(self) -> NDArray[np.uint8]:
        """What patches are hidden by, uint8 (channels,): the mean that the file takes off, else that of the bars."""
        policy = self.recognizer.policy
        for node in self.graph.node:
            mean = self.graph.constant(node.input[1]) if node.op_type == "Sub" else None
            # Before a network that normalizes by itself, 0 is taken off: what follows is on a scale of its own.
            if node.op_type == "Conv" or (mean is not None and not mean.any()):
                break
            if mean is not None and mean.size == policy.channels:
                return np.asarray(np.clip(np.rint(mean.astype(np.float64).ravel()), 0, 255), np.uint8)
        return np.full(policy.channels, policy.letterbox_fill, np.uint8)

    def logit_parts(self, pixels: NDArray[np.uint8], label: int) -> LogitParts | WhyOcclusion:
        """Takes the logit of a class apart; or says why that cannot be done.

        Args:
            pixels: uint8 (side, side, channels), as the network sees them.
            label: Number of the class.
        """
        head = self.head
        if isinstance(head, str):
            return head
        asked = {"pixels": pixels[None]}
        maps, logits = run_session(self._session, [head.map, head.logits], asked, self.recognizer.where)
        if maps.ndim != 4 or len(maps) != len(self.recognizer.metadata.views) or len(logits) != len(maps):
            return "unknown"
        parts = logit_parts(maps, head, label)
        found = LogitParts(parts, float(head.biases[label]), float(logits[:, label].mean(dtype=np.float64)))
        return found if found.is_whole else "unlike"

    @cached_property
    def _session(self) -> Session:
        head = self.head
        assert isinstance(head, Head)
        content = with_outputs(self.recognizer.content, [head.map, head.logits])
        return open_session(content, self.recognizer.num_threads, self.recognizer.where)


def open_explainer(model: Recognizer | str | PathLike[str], run: str | PathLike[str] | None = None) -> Explainer:
    """Opens a run folder or an exported file, to be asked about many pictures.

    Args:
        model: A run folder, an ONNX file, or a recognizer that is open already.
        run: The run folder, where ``model`` is not one.

    Raises:
        ModelFileError: As for ``open_recognizer``; or ``run`` is no folder.
    """
    if run is not None and not Path(run).is_dir():
        raise ModelFileError(f"run is {Path(run)}, where there is no folder. Expected a run folder: runs/<name>/.")
    if isinstance(model, Recognizer):
        return Explainer(model, None if run is None else Path(run))
    folder = Path(model if run is None else run)
    return Explainer(open_recognizer(model), folder if folder.is_dir() else None)
