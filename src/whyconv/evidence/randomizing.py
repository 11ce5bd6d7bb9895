"""Whether a map follows what the network has learned: with random weights it has to become another one.

A map that stays as it is says something about the picture, its edges for instance, and nothing about the answer.

References:
    Adebayo and others, *Sanity checks for saliency maps* (2018), arXiv 1810.03292, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import UsageError
from whyconv.evidence.explaining import evidence_map
from whyconv.evidence.opening import Explainer, open_explainer
from whyconv.onnx_file.graph import FileGraph
from whyconv.onnx_file.reading import read_file_graph
from whyconv.onnx_file.seal import without_seal
from whyconv.recognizer import Recognizer
from whyconv.results import Estimate
from whyconv.results.evidence import MapKind, RandomizationTest

Layers = Literal["head", "all"]
# Explainer, pixels, class -> map (h, w).
Draw = Callable[[Explainer, NDArray[np.uint8], int], NDArray[np.float64]]

_WITH_WEIGHTS = frozenset({"Conv", "Gemm", "MatMul"})
# 97.5 % point of Student's t with k degrees of freedom, from k = 1.
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def randomized(recognizer: Recognizer, layers: Layers = "all", seed: int = 0) -> Recognizer:
    """Returns the same network with random weights: normal, with mean and spread of those that they replace.

    Biases and normalizations stay as they are.

    Args:
        recognizer: Stays as it is.
        layers: "head": the last layer with weights; "all": every one.
        seed: Of the draw.

    Raises:
        UsageError: The file has no weights that can be read.
    """
    content = bytearray(without_seal(recognizer.content))  # which changes here
    graph = read_file_graph(content, recognizer.where)
    names = _weight_names(graph)
    if not names:
        raise UsageError(f"{recognizer.where} has no weights in float32 that could be drawn anew.")
    generator = np.random.default_rng(seed)
    for name in names[-1:] if layers == "head" else names:
        weights = graph.arrays[name]
        weights[...] = generator.normal(weights.mean(), weights.std(), weights.shape).astype(weights.dtype)
    return Recognizer(bytes(content), num_threads=recognizer.num_threads)


def randomization_test(
    recognizer: Recognizer,
    pixels: NDArray[np.uint8],
    *,
    kind: MapKind | None = None,
    layers: Layers = "all",
    num_draws: int = 10,
    draw: Draw | None = None,
) -> RandomizationTest:
    """Compares maps before and after the weights are drawn anew, of the class that was answered before.

    Args:
        recognizer: Whose maps are tested.
        pixels: uint8 (n, side, side, channels), pictures as the network sees them.
        kind: Of the maps; by default a class activation map where there can be one.
        layers: Which weights are drawn anew.
        num_draws: Of random weights, from 2; the interval is over these.
        draw: Makes the maps; by default those of ``explain``.

    Raises:
        UsageError: A number is out of range, or the file has no weights that can be read.
    """
    if num_draws < 2 or not len(pixels):
        raise UsageError(f"{num_draws} draws and {len(pixels)} pictures: expected at least 2 draws and 1 picture.")
    before = open_explainer(recognizer)
    used: MapKind = kind or ("occlusion" if isinstance(before.head, str) else "class activation")
    make = draw or (lambda explainer, one, label: np.array(evidence_map(explainer, one, label, used).values))
    labels = recognizer.run(pixels).probabilities.argmax(axis=1)
    first = [make(before, one, int(label)) for one, label in zip(pixels, labels, strict=True)]
    means = []
    for seed in range(num_draws):
        after = open_explainer(randomized(recognizer, layers, seed))
        second = [make(after, one, int(label)) for one, label in zip(pixels, labels, strict=True)]
        means.append(float(np.mean([rank_correlation(*pair) for pair in zip(first, second, strict=True)])))
    return RandomizationTest(kind=used, weights=layers, n=len(pixels), num_draws=num_draws, correlation=_mean(means))


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Returns Spearman's rank correlation of two maps, in [-1, 1]; 0 where one of them is the same everywhere.

    References:
        Spearman, *The proof and measurement of association between two things* (1904), American Journal of
        Psychology 15; ties have their mean rank.
    """
    first, second = (_ranks(each.ravel()) - (each.size + 1) / 2 for each in (one, other))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places], np.float64)


def _weight_names(graph: FileGraph) -> list[str]:
    """Names of the weights of layers, in their order, each once."""
    used = [node.input[1] for node in graph.node if node.op_type in _WITH_WEIGHTS and len(node.input) > 1]
    arrays = graph.arrays
    return [name for name in dict.fromkeys(used) if name in arrays and arrays[name].dtype == np.float32]


def _mean(values: list[float]) -> Estimate:
    """The mean with Student's t interval."""
    n, middle = len(values), float(np.mean(values))
    student = _STUDENT[n - 2] if n - 2 < len(_STUDENT) else 1.96 + 2.5 / (n - 1)
    half = student * float(np.std(values, ddof=1)) / n**0.5
    return Estimate(value=middle, low=middle - half, high=middle + half, n=n, over="draws")
