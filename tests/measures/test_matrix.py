"""A layer's matrix against the layer itself, run on one bright input at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from linear_layers import OTHER_LAYERS, drawn_convolution
from summing_network import one_thread
from whyconv.errors import UsageError
from whyconv.measures.layer_windows import read_layer
from whyconv.measures.matrix import LayerMatrix, matrix
from whyconv.measures.sharing import sharing_histogram
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d


def columns(layer: nn.Module, shape: tuple[int, ...]) -> np.ndarray:
    """The layer's answers to every one-bright-number picture, less its answer to black: the matrix, by running it."""
    layer = layer.double()
    with torch.no_grad(), one_thread():
        bright = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
        black = layer(torch.zeros(1, *shape, dtype=torch.float64))
        return (layer(bright) - black).flatten(1).T.numpy()


@pytest.mark.parametrize("seed", [*range(150), *(pytest.param(s, marks=pytest.mark.slow) for s in range(150, 650))])
def test_a_convolution_is_its_matrix(seed: int) -> None:
    layer, shape = drawn_convolution(seed)
    assert_is_its_matrix(layer, shape)


def assert_is_its_matrix(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 1, 2)  # no sum of weights is 0
    truth = columns(layer, shape)
    found = matrix(layer, shape)
    np.testing.assert_allclose(found.entries.toarray(), truth, rtol=1e-12, atol=1e-12)
    assert found.entries.has_canonical_format
    assert found.entries.nnz == np.count_nonzero(abs(truth) > 1e-9) == found.histogram.num_entries
    assert_histogram(found)


def assert_histogram(found: LayerMatrix) -> None:
    """Against the rows of the matrix that says which weights an entry is made of, read one by one."""
    histogram = found.histogram
    assert sum(one.num_entries * one.num_classes for one in histogram.classes) == found.entries.nnz
    if found.windows.sharing == "fixed":
        counted = Counter(np.round(found.entries.data, 12).tolist())
        assert histogram.num_weights == 0
    else:
        made_of = found.weights_of_entries()
        np.testing.assert_allclose(made_of @ found.windows.weights.ravel(), found.entries.data, rtol=1e-12)
        rows = np.split(made_of.indices, made_of.indptr[1:-1]) if found.entries.nnz else []
        counted = Counter(tuple(row) for row in rows)
        assert histogram.num_merged_classes == sum(len(taps) > 1 for taps in counted)
        assert histogram.num_weights == found.windows.weights.size
        assert histogram.num_unused_weights == found.windows.weights.size - len(set(made_of.indices.tolist()))
    sizes = {one.num_entries: one.num_classes for one in histogram.classes}
    assert sizes == dict(Counter(counted.values()))


@pytest.mark.parametrize(
    ("layer", "shape"), OTHER_LAYERS, ids=lambda one: str(one) if isinstance(one, nn.Module) else ""
)
def test_other_layers_are_their_matrix(layer: nn.Module, shape: tuple[int, ...]) -> None:
    assert_is_its_matrix(layer, shape)


def test_the_bias_is_what_black_gives() -> None:
    for layer in (nn.Conv2d(2, 3, 3), LocallyConnected2d(2, 3, 3, 5), nn.Linear(50, 2), SharedGlobal2d(2, 3, 5)):
        shape = (50,) if isinstance(layer, nn.Linear) else (2, 5, 5)
        if isinstance(layer, LocallyConnected2d):
            nn.init.uniform_(layer.bias)
        black = layer.double()(torch.zeros(1, *shape, dtype=torch.float64)).flatten().detach().numpy()
        np.testing.assert_allclose(matrix(layer, shape).bias, black, rtol=1e-12, atol=1e-15)


def test_the_histogram_of_the_lecture_s_layer() -> None:
    histogram = matrix(nn.Conv2d(3, 6, 5), (3, 32, 32)).histogram
    assert (histogram.shape, histogram.num_entries) == ((4704, 3072), 352_800)
    assert [(one.num_entries, one.num_classes) for one in histogram.classes] == [(784, 450)]
    padded = matrix(nn.Conv2d(1, 1, 3, padding=1), (1, 6, 6)).histogram
    assert [(one.num_entries, one.num_classes) for one in padded.classes] == [(36, 1), (30, 4), (25, 4)]
    assert padded.num_entries == 256


def test_what_would_not_fit_is_refused_before_anything_is_allocated() -> None:
    layer = nn.Conv2d(3, 6, 5)
    with pytest.raises(UsageError, match=r"446,407,200 entries .* take 5\.4 GB, .* and 71\.4 TB as a dense layer"):
        matrix(layer, (3, 1000, 1000))
    histogram = sharing_histogram(read_layer(layer, (3, 1000, 1000)))
    assert histogram.dense_bytes == 71_425_152_000_000
    assert [(one.num_entries, one.num_classes) for one in histogram.classes] == [(996 * 996, 450)]


def test_other_layers_and_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"A ReLU is not one matrix"):
        matrix(nn.ReLU(), (3, 4, 4))
    with pytest.raises(UsageError, match=r"takes 3 channels; got 1"):
        matrix(nn.Conv2d(3, 1, 1), (1, 4, 4))
    with pytest.raises(UsageError, match=r"channels and 2 spatial axes; got the input shape \(3, 4\)"):
        matrix(nn.Conv2d(3, 1, 1), (3, 4))
    with pytest.raises(UsageError, match=r"windows of unequal size"):
        matrix(nn.AdaptiveAvgPool2d(3), (1, 4, 4))
    with pytest.raises(UsageError, match=r"constants"):
        matrix(nn.AvgPool2d(2), (1, 4, 4)).weights_of_entries()


def test_a_wrong_matrix_is_noticed() -> None:
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    truth = columns(layer, (1, 5, 5))
    for wrong in ("replicate", "circular", "zeros"):
        layer.padding_mode = wrong
        assert not np.allclose(matrix(layer, (1, 5, 5)).entries.toarray(), truth)
