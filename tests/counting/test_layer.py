"""The lecture's numbers, what is typed, and that no size is too large to be counted."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from whyconv.counting.layer import count_layer
from whyconv.counting.words import LayerWords
from whyconv.errors import UsageError
from whyconv.results.layer import CORNERS, LayerReport


def count(shape: str, **words: str) -> LayerReport:
    return count_layer(LayerWords(shape, **words).convolution())  # type: ignore[arg-type]


# Of the lecture and of the arithmetic around it, worked out by hand; tests/counting/test_convolution.py has the proof.
GOLDEN: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, object]] = {
    ("32x32x3", (("filters", "6"), ("kernel", "5"))): {
        "output_shape": [28, 28, 6],
        "convolution.weights": 450,
        "convolution.parameters": 456,
        "convolution.num_bytes": 1_824,
        "local.weights": 352_800,
        "local.parameters": 357_504,
        "local.idle_weights": 0,
        "dense.weights": 14_450_688,
        "dense.parameters": 14_455_392,
        "dense.num_bytes": 57_821_568,
        "dense.num_bytes_with_adam": 231_286_272,
        "shared_global.weights": 18_432,
        "shared_global.parameters": 18_438,
        "num_outputs": 4_704,
        "inputs_per_output": (75, 75),
        "connections": 352_800,
        "density": 0.0244140625,
        "sparsity": 0.9755859375,
        "locality_factor": 40.96,
        "sharing_factor": 784.0,
        "weight_ratio": 32_112.64,
        "parameter_ratio": 14_455_392 / 456,
        "multiply_adds": 352_800,
        "nominal_multiply_adds": 352_800,
        "flops": 705_600,
        "one_channel_parameters": 156,
        "taps.least": 784,
        "taps.most": 784,
    },
    ("6x6", ()): {
        "output_shape": [4, 4, 1],
        "num_outputs": 16,
        "inputs_per_output": (9, 9),
        "num_inputs": 36,
        "connections": 144,
        "dense.weights": 576,
        "density": 0.25,
        "locality_factor": 4.0,
        "sharing_factor": 16.0,
        "one_channel_parameters": None,
    },
    ("6x6", (("padding", "1"),)): {
        "output_shape": [6, 6, 1],
        "connections": 256,
        "multiply_adds": 256,
        "nominal_multiply_adds": 324,
        "flops": 512,
        "nominal_flops": 648,
        "density": 256 / 1296,
        "sharing_factor": 256 / 9,
        "local.weights": 324,
        "local.idle_weights": 68,
        "inputs_per_output": (4, 9),
        "taps.least": 25,
        "taps.most": 36,
        "taps.along_axes": [[5, 6, 5], [5, 6, 5]],
    },
    ("2x2", (("kernel", "5"), ("padding", "2"))): {
        "convolution.idle_weights": 16,
        "shared_global.idle_weights": 0,
        "dense.idle_weights": 0,
    },
    ("32x32x1", (("filters", "6"), ("kernel", "5"))): {"convolution.parameters": 156, "one_channel_parameters": None},
    ("300x300x3", (("filters", "100"), ("kernel", "5"))): {"convolution.parameters": 7_600},
    ("1000x1000x3", (("filters", "6"), ("kernel", "5"))): {
        "output_shape": [996, 996, 6],
        "dense.weights": 17_856_288_000_000,
        "local.parameters": 452_359_296,
        "convolution.parameters": 456,
        "locality_factor": 40_000.0,
        "sharing_factor": 992_016.0,
    },
}


@pytest.mark.parametrize("asked", GOLDEN, ids=str)
def test_the_lecture_number_for_number(asked: tuple[str, tuple[tuple[str, str], ...]]) -> None:
    shape, words = asked
    report = count(shape, **dict(words))
    for path, expected in GOLDEN[asked].items():
        value: object = report
        for name in path.split("."):
            value = getattr(value, name)
        assert value == expected, path


SHAPES = [
    ("32x32x3", {"filters": "6", "kernel": "5"}),
    ("6x6", {"padding": "1"}),
    ("9x14x4", {"filters": "6", "kernel": "3x2", "stride": "2x3", "groups": "2", "padding": "2x1"}),
    ("5x5x2", {"kernel": "5", "dilation": "2", "padding_mode": "circular", "padding": "4"}),
    ("20x3", {"axes": "1", "padding": "same", "kernel": "4"}),
]


@pytest.mark.parametrize(("shape", "words"), SHAPES, ids=str)
def test_either_way_around_the_square_is_the_same_ratio(shape: str, words: dict[str, str]) -> None:
    report = count(shape, **words)
    assert [route.through for route in report.routes] == ["local", "shared_global"]
    for route in report.routes:
        assert route.locality * route.sharing == pytest.approx(report.weight_ratio, rel=1e-12)
    assert report.locality_factor * report.sharing_factor == pytest.approx(report.weight_ratio, rel=1e-12)
    near, wide = report.routes
    has_padding = any(places for pair in report.padding for places in pair) and report.padding_mode == "zeros"
    assert has_padding == (near.sharing != pytest.approx(wide.sharing, rel=1e-12))


def test_without_padding_both_ways_agree_number_for_number() -> None:
    near, wide = count("32x32x3", filters="6", kernel="5").routes
    assert (near.locality, near.sharing) == (wide.locality, wide.sharing) == (40.96, 784.0)


def test_with_padding_the_ways_differ() -> None:
    near, wide = count("6x6", padding="1").routes
    assert (near.locality, near.sharing) == (1296 / 256, 256 / 9)
    assert (wide.locality, wide.sharing) == (4.0, 36.0)


def test_a_circular_kernel_larger_than_the_picture_is_said_to_merge() -> None:
    report = count("3x3", kernel="5", padding="2", padding_mode="circular")
    assert (report.connections, report.multiply_adds) == (81, 225)
    assert [note.key for note in report.notes] == ["layer_note_merged"]
    assert report.taps.least == report.taps.most == 9


def test_channels_written_first_are_noticed() -> None:
    assert [note.key for note in count("3x32x32").notes if note.level == "warning"] == ["layer_note_channels_first"]
    assert not [note for note in count("32x32x3").notes if note.level == "warning"]


def test_depthwise_forgets_no_channels() -> None:
    report = count("8x8x4", filters="4", groups="4")
    assert report.one_channel_parameters is None
    assert report.convolution.parameters == 4 * (9 + 1)


def test_without_biases_no_corner_has_any() -> None:
    report = count_layer(LayerWords("8x8x3", has_bias=False).convolution())
    assert all(corner.biases == 0 for corner in report.corners.values())
    assert report.flops == report.num_outputs * (27 + 26)
    assert report.one_channel_parameters == 9


def test_the_largest_layer_that_can_be_asked_for_allocates_nothing() -> None:
    words = LayerWords("1000000000x1000000000x1000000000", filters="1000000000", kernel="3", padding="1")
    tracemalloc.start()
    start = time.perf_counter()
    report = count_layer(words.convolution())
    seconds = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.dense.weights == 10**54
    assert report.weight_ratio == pytest.approx(10**36 / 9)
    assert peak < 1_000_000
    assert seconds < 1


def test_a_layer_that_sees_padding_only_is_refused() -> None:
    with pytest.raises(UsageError, match="every tap lies in the padding"):
        count("1x1", kernel="1", padding="5", stride="10")


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_large_kernels_and_paddings_are_counted_soon(mode: str) -> None:
    start = time.process_time()
    report = count("1000000x3", axes="1", kernel="10000", padding="10000", padding_mode=mode)
    assert report.taps.along_axes == []  # too many to be listed
    assert time.process_time() - start < 2


def test_the_table_is_the_repr() -> None:
    report = count("32x32x3", filters="6", kernel="5")
    text = repr(report)
    for told in ("32x32x3 -> 28x28x6", "450 weights + 6 biases = 456", "40.96 x 784.00 = 32,112.64", "2.4414 %"):
        assert told in text
    assert all(name in text for name in CORNERS)
    assert max(map(len, text.splitlines())) <= 80


# --- what is typed


@pytest.mark.parametrize("shape", ["32x32x3", "32X32X3", "32×32×3", "32*32*3", "32,32,3", " 32 x 32 x 3 "])
def test_shapes_are_read_however_they_are_separated(shape: str) -> None:
    assert LayerWords(shape).convolution().input_shape == (3, 32, 32)


def test_a_number_holds_for_all_axes_or_each_has_its_own() -> None:
    height, width = LayerWords("9x12", kernel="3x5", stride="2", padding="0x1").convolution().axes
    assert (height.kernel, height.stride, height.padding) == (3, 2, (0, 0))
    assert (width.kernel, width.stride, width.padding) == (5, 2, (1, 1))


@pytest.mark.parametrize(
    ("axes", "shape", "input_shape"),
    [
        ("1", "1000", (1, 1000)),
        ("1", "1000x16", (16, 1000)),
        ("3", "4x5x6", (1, 4, 5, 6)),
        ("3", "4x5x6x2", (2, 4, 5, 6)),
    ],
)
def test_axes_say_which_numbers_are_channels(axes: str, shape: str, input_shape: tuple[int, ...]) -> None:
    assert LayerWords(shape, axes=axes).convolution().input_shape == input_shape


@pytest.mark.parametrize("length", [5, 6, 32])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_makes_as_many_outputs_as_strides_fit(length: int, kernel: int, stride: int, dilation: int) -> None:
    words = LayerWords(f"{length}x32", "1", str(kernel), str(stride), "same", str(dilation))
    axis = words.convolution().axes[0]
    assert axis.output_length == (length + stride - 1) // stride
    before, after = axis.padding
    assert after - before in (0, 1)
    if stride == 1:  # torch knows "same" for this stride only
        assert before + after == dilation * (kernel - 1)


def test_valid_is_no_padding() -> None:
    assert LayerWords("6x6", padding="valid").convolution() == LayerWords("6x6").convolution()


def test_all_mistakes_are_named_at_once() -> None:
    words = LayerWords(
        "32x", filters="six", kernel="3x5x5", stride="0", padding="sam", groups="1.5", padding_mode="circle", axes="2"
    )
    with pytest.raises(UsageError) as error:
        words.convolution()
    lines = str(error.value).splitlines()
    assert lines[0] == "This layer cannot be: 7 mistakes"
    for told in (
        "SHAPE '32x': expected HxWxC",
        "--filters 'six'",
        "--kernel '3x5x5'",
        "--stride '0'",
        "--groups '1.5'",
    ):
        assert any(told in line for line in lines)
    assert any(line.endswith("same or valid. Did you mean 'same'?") for line in lines)
    assert any(line.endswith("Did you mean 'circular'?") for line in lines)


@pytest.mark.parametrize(
    ("shape", "words", "told"),
    [
        ("32", {}, "one axis is asked for with --axes 1"),
        ("4x32x32x3", {}, "three axes are asked for with --axes 3"),
        ("32x32x3x1x1", {}, r"numbers \(5\)"),
        ("0x6", {}, "from 1 to 1,000,000,000"),
        ("99999999999x6", {}, "from 1 to 1,000,000,000"),
        ("6x6", {"axes": "4"}, "--axes '4': expected 1, 2 or 3"),
        ("6x6", {"kernel": "9"}, "height 6 and width 6: .*reaches over 9 places, and there are only 6"),
        ("6x9", {"kernel": "8"}, "^height 6: "),
        ("6x6x3", {"groups": "2"}, "3 channels in and 1 out cannot be split into 2 groups"),
        ("6x6", {"padding": "6", "padding_mode": "reflect"}, "at most 5 of 6"),
        ("6x6", {"padding": "10001"}, "from 0 to 10,000"),
        (
            "9999x9999",
            {"padding": "same", "kernel": "500", "dilation": "500"},
            "same is 124,750 places here; expected at",
        ),
        ("6x6", {"filters": "-1"}, "--filters '-1'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(shape: str, words: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        LayerWords(shape, **words).convolution()  # type: ignore[arg-type]
