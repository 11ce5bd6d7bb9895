"""A layer's matrix against the layer itself, run on one bright input at a time."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from summing_network import one_thread
from whyconv.errors import UsageError
from whyconv.measures.layer_windows import read_layer
from whyconv.measures.matrix import LayerMatrix, matrix
from whyconv.measures.sharing import sharing_histogram
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d

MODES = ("zeros", "reflect", "replicate", "circular")
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def columns(layer: nn.Module, shape: tuple[int, ...]) -> np.ndarray:
    """The layer's answers to every one-bright-number picture, less its answer to black: the matrix, by running it."""
    layer = layer.double()
    with torch.no_grad(), one_thread():
        bright = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
        black = layer(torch.zeros(1, *shape, dtype=torch.float64))
        return (layer(bright) - black).flatten(1).T.numpy()


def drawn_convolution(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    draw = random.Random(seed)
    rank = draw.choice([1, 2, 2, 3])
    lengths = [draw.randint(2, {1: 12, 2: 7, 3: 4}[rank]) for _ in range(rank)]
    groups = draw.choice([1, 1, 2, 3])
    channels = (groups * draw.randint(1, 2), groups * draw.randint(1, 2))
    mode = draw.choice(MODES)
    most = {"reflect": min(lengths) - 1, "circular": min(lengths)}.get(mode, 3)
    padding = [draw.randint(0, min(3, most)) for _ in range(rank)]
    kernels, dilations = [], []
    for length, pad in zip(lengths, padding, strict=True):
        kernel, dilation = draw.randint(1, 4), draw.randint(1, 3)
        fits = dilation * (kernel - 1) + 1 <= length + 2 * pad
        kernels.append(kernel if fits else 1)
        dilations.append(dilation)
    strides = [draw.randint(1, 3) for _ in range(rank)]
    if draw.random() < 0.3:
        output_padding = [draw.randint(0, max(s, d) - 1) for s, d in zip(strides, dilations, strict=True)]
        sizes = zip(lengths, strides, padding, dilations, kernels, output_padding, strict=True)
        if all((n - 1) * s - 2 * p + d * (k - 1) + o + 1 >= 1 for n, s, p, d, k, o in sizes):
            layer = TRANSPOSED[rank](
                *channels, kernels, strides, padding, output_padding, groups=groups, dilation=dilations
            )
            return layer, (channels[0], *lengths)
    layer = CONVOLUTIONS[rank](
        *channels, kernels, strides, padding, dilations, groups, bias=draw.random() < 0.5, padding_mode=mode
    )
    return layer, (channels[0], *lengths)


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
    ("layer", "shape"),
    [
        (nn.Linear(7, 5), (7,)),
        (nn.Linear(3, 2, bias=False), (3,)),
        (nn.Conv2d(2, 3, (3, 4), padding="same", dilation=(1, 2)), (2, 6, 7)),
        (nn.Conv2d(2, 2, 3, padding="valid"), (2, 5, 5)),
        (nn.Conv1d(1, 1, 4, padding="same", padding_mode="circular"), (1, 5)),
        (nn.AvgPool2d(3, 2, 1), (2, 7, 6)),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 7, 6)),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 6, 8)),
        (nn.AvgPool2d(2, 3, ceil_mode=True, count_include_pad=False), (1, 6, 7)),
        (nn.AvgPool2d((2, 3), divisor_override=5), (2, 6, 6)),
        (nn.AvgPool1d(3, 2, 1), (2, 8)),
        (nn.AvgPool3d(2), (1, 4, 4, 4)),
        (nn.AdaptiveAvgPool2d((2, 1)), (2, 6, 5)),
        (LocallyConnected2d(2, 4, (3, 2), (5, 6), stride=(2, 1), padding=1, groups=2), (2, 5, 6)),
        (LocallyConnected2d(1, 2, 3, 4, padding=2, padding_mode="reflect"), (1, 4, 4)),
        (LocallyConnected2d(1, 2, 3, 4, padding=3, padding_mode="circular", bias=False), (1, 4, 4)),
        (SharedGlobal2d(2, 3, (4, 5)), (2, 4, 5)),
    ],
    ids=lambda value: str(value) if isinstance(value, nn.Module) else "",
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
