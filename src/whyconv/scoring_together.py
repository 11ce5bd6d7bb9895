"""What a trained network and its exported file say about a part of the pictures, each process about its share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from whyconv.planning import Material
from whyconv.recognizer import Answers, Recognizer, joined, open_recognizer
from whyconv.settings import Plan
from whyconv.training.device import CPU, lying_on, place_of
from whyconv.training.distributed import Group
from whyconv.training.logits import network_logits
from whyconv.training.pictures import Part
from whyconv.training.pixel_rows import LabelledPixels, Pixels, some

# Pictures asked about at once: of large ones, more take longer each.
_BATCH = 32
_MODEL = "model.onnx"


def logits_of_part(network: nn.Module, part: Part, plan: Plan, group: Group) -> NDArray[np.float32]:
    """What the network says about a part: logits (n, classes). The leader calls this; others follow."""
    group.told(json.dumps({"ask": "logits", "part": part.name}))
    return _logits(network, part, plan, group)


def answers_of_part(recognizer: Recognizer, part: Part, group: Group) -> Answers:
    """What the exported file, which was handed out, says about a part. The leader calls this; others follow."""
    group.told(json.dumps({"ask": "answers", "part": part.name}))
    return _answers(recognizer, part, group)


def answers_about(recognizer: Recognizer, pixels: Pixels) -> Answers:
    """What the exported file says about prepared pictures, a few at a time."""
    starts = range(0, max(1, len(pixels)), _BATCH)
    return joined([recognizer.run(pixels[start : start + _BATCH]) for start in starts])


def hand_out(path: Path, group: Group) -> None:
    """Gives every process the exported file as it is now; they need no folder in common."""
    if group.size > 1:
        group.told(json.dumps({"ask": "file"}))
        group.content(path.read_bytes())


class Following:
    """What another process than the leader does while the leader finishes a run.

    Args:
        network: With the weights that are kept.
        plan: Of the run.
        material: The pictures.
        group: The processes.
    """

    def __init__(self, network: nn.Module, plan: Plan, material: Material, group: Group) -> None:
        self._network, self._plan, self._group = network, plan, group
        self._parts = {part.name: part for part in (material.validation, material.test)}
        self._recognizer: Recognizer | None = None

    def follow(self, told: Mapping[str, str]) -> None:
        """Does its share of what the leader asks for."""
        if told["ask"] == "file":
            self._recognizer = _opened(self._group.content(), self._plan.threads)
        elif told["ask"] == "logits":
            _logits(self._network, self._parts[told["part"]], self._plan, self._group)
        else:
            assert self._recognizer is not None
            _answers(self._recognizer, self._parts[told["part"]], self._group)


def _opened(content: bytes, threads: int) -> Recognizer:
    with TemporaryDirectory() as place:
        path = Path(place) / _MODEL
        path.write_bytes(content)
        return open_recognizer(path, num_threads=threads)


def _share(part: Part, group: Group) -> LabelledPixels:
    return some(part.data, np.arange(len(part))[group.part(len(part))])


def _logits(network: nn.Module, part: Part, plan: Plan, group: Group) -> NDArray[np.float32]:
    with lying_on(place_of(plan) if group.have_cards else CPU, network):
        own = network_logits(network, _share(part, group).pixels, plan.network)
    return group.whole(torch.from_numpy(own), len(part)).numpy()


def _answers(recognizer: Recognizer, part: Part, group: Group) -> Answers:
    own = answers_about(recognizer, _share(part, group).pixels)

    def whole(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return group.whole(torch.from_numpy(np.ascontiguousarray(values)), len(part)).numpy()

    # Who has no pictures cannot tell what the file gives.
    width, has_novelty = group.greatest([0 if own.features is None else own.features.shape[1], own.novelty is not None])
    features = np.zeros((0, width), np.float32) if own.features is None else own.features
    novelty = np.zeros(0, np.float32) if own.novelty is None else own.novelty
    return Answers(
        whole(own.probabilities), whole(features) if width else None, whole(novelty) if has_novelty else None
    )
