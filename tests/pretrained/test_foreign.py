"""A user's feature network: the doors that are found, the rules where the file is silent, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tiny_backbone import SIDE, WIDTH, tiny_backbone, write_backbone
from whyconv.errors import ModelFileError
from whyconv.pretrained.backbone import FrozenNetwork
from whyconv.pretrained.foreign import IMAGENET_MEAN, IMAGENET_STD, find_foreign, foreign_backbone, map_places


def open_tiny(folder: Path, size: int | None = None, **knobs):
    return foreign_backbone(write_backbone(folder / "tiny.onnx", **knobs), 1, size)


def answers(backbone, pixels: np.ndarray) -> np.ndarray:
    return FrozenNetwork(backbone, 1).look(pixels, "upright")[0]


def pixels(n: int = 3, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def by_hand(shown: np.ndarray) -> np.ndarray:
    """The tiny network in NumPy: pictures (n, side, side, 3), normalized, to the maps (n, h, w, d)."""
    kernel = onnx.numpy_helper.to_array(tiny_backbone().graph.initializer[0])
    blocks = shown.reshape(len(shown), SIDE // 4, 4, SIDE // 4, 4, 3)
    return np.maximum(0, np.einsum("nyaxbc,dcab->nyxd", blocks, kernel))


def normalized(picture: np.ndarray) -> np.ndarray:
    return (picture - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)


@pytest.mark.parametrize("dims", [(3, SIDE, SIDE), (SIDE, SIDE, 3)], ids=["channels first", "channels last"])
def test_channels_first_or_last_are_told_from_the_file(dims, tmp_path: Path) -> None:
    backbone, shown = open_tiny(tmp_path, dims=dims), pixels()
    assert (backbone.side, backbone.width, backbone.rank) == (SIDE, WIDTH, 2)
    assert np.allclose(answers(backbone, shown), by_hand(normalized(shown)).mean(axis=(1, 2)), atol=1e-4)


def test_tokens_give_their_first_and_maps_their_mean(tmp_path: Path) -> None:
    shown = pixels()
    maps = by_hand(normalized(shown))
    first, mean = (open_tiny(tmp_path, output=name) for name in ("tokens", "map"))
    assert (first.rank, mean.rank) == (3, 4)
    assert np.allclose(answers(first, shown), maps[:, 0, 0], atol=1e-4)
    assert np.allclose(answers(mean, shown), maps.mean(axis=(1, 2)), atol=1e-4)


@pytest.mark.parametrize("dims", [(3, SIDE, SIDE), (SIDE, SIDE, 3)], ids=["channels first", "channels last"])
@pytest.mark.parametrize(("output", "places"), [("map", (2, 3)), ("map_last", (1, 2))])
def test_a_map_is_averaged_over_its_places_wherever_its_channels_are(dims, output, places, tmp_path: Path) -> None:
    backbone, shown = open_tiny(tmp_path, dims=dims, output=output), pixels()
    assert (backbone.rank, backbone.places, backbone.width) == (4, places, WIDTH)
    assert np.allclose(answers(backbone, shown), by_hand(normalized(shown)).mean(axis=(1, 2)), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "layout", "places"),
    [
        ((2, 7, 7, 8), "nhwc", (1, 2)),
        ((2, 8, 7, 7), "nhwc", (2, 3)),
        ((2, 7, 7, 8), "nchw", (1, 2)),
        ((2, 8, 1, 1), "nhwc", (2, 3)),
        # The shape does not tell: channels lie where those of the pictures do.
        ((2, 7, 7, 7), "nhwc", (1, 2)),
        ((2, 7, 7, 7), "nchw", (2, 3)),
        ((2, 6, 7, 8), "nhwc", (1, 2)),
        ((2, 8, 6, 7), "nchw", (2, 3)),
    ],
)
def test_places_are_the_square_that_a_square_picture_gives(shape, layout, places) -> None:
    assert map_places(shape, layout) == places


def test_uint8_pixels_go_in_as_they_are(tmp_path: Path) -> None:
    # It normalizes them itself, whatever the file says.
    backbone, shown = open_tiny(tmp_path, kind=TensorProto.UINT8, metadata={"std": "[0.2, 0.2, 0.2]"}), pixels()
    assert (list(backbone.mean), list(backbone.std)) == ([0, 0, 0], [1, 1, 1])
    assert np.allclose(answers(backbone, shown), by_hand(shown.astype(float)).mean(axis=(1, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    ("metadata", "mean", "std"),
    [
        ({"mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]"}, [127.5] * 3, [127.5] * 3),
        ({"mean": "[127, 127, 127]", "std": "[128, 128, 128]"}, [127] * 3, [128] * 3),
        ({"mean": "[0, 0, 0]", "std": "[255, 255, 255]"}, [0] * 3, [255] * 3),
        ({"Mean": "[0, 0, 0]", "Std": "[1, 1, 1]"}, [0] * 3, [255] * 3),
        # Gray levels less a mean and divided by nothing, as Caffe's networks take them.
        ({"mean": "[123.68, 116.78, 103.94]", "std": "[1, 1, 1]"}, [123.68, 116.78, 103.94], [1] * 3),
        ({"mean": "[0.485, 0.456, 0.406]", "std": "[0.229, 0.224, 0.225]"}, IMAGENET_MEAN, IMAGENET_STD),
        ({}, IMAGENET_MEAN, IMAGENET_STD),
    ],
)
def test_the_file_s_own_normalization_goes_before_imagenet_s(metadata, mean, std, tmp_path: Path) -> None:
    backbone = open_tiny(tmp_path, metadata=metadata)
    assert list(backbone.mean) == pytest.approx(mean)
    assert list(backbone.std) == pytest.approx(std)


def test_where_all_axes_are_open_channels_come_first_and_the_side_is_the_one_asked_for(tmp_path: Path) -> None:
    knobs = {"dims": ("c", "h", "w")}
    assert open_tiny(tmp_path, **knobs).side == 224
    backbone = open_tiny(tmp_path, size=SIDE, **knobs)
    assert (backbone.layout, backbone.side) == ("nchw", SIDE)


def test_a_fixed_number_of_pictures_is_made_free_where_that_changes_nothing(tmp_path: Path) -> None:
    free, fixed = open_tiny(tmp_path), open_tiny(tmp_path, batch=1)
    shown = pixels(5)
    assert np.allclose(answers(free, shown), answers(fixed, shown), atol=1e-6)
    assert answers(free, shown).std(axis=0).min() > 0


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8])
def test_features_that_depend_on_the_other_pictures_are_refused(kind: int, tmp_path: Path) -> None:
    """Normalized by the pictures of the batch, as a network is that was exported in training mode."""
    model = tiny_backbone(kind=kind)
    place = next(k for k, node in enumerate(model.graph.node) if node.op_type == "Conv")
    model.graph.node[place].output[0] = "raw"
    for name, value in (("gains", 1), ("shifts", 0), ("means", 0), ("variances", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.full(WIDTH, value, np.float32), name))
    inputs = ["raw", "gains", "shifts", "means", "variances"]
    for is_training in (0, 1):
        node = onnx.helper.make_node(
            "BatchNormalization", inputs, ["conv", "m", "v"][: 1 + 2 * is_training], training_mode=is_training
        )
        model.graph.node.insert(place + 1, node)
        path = tmp_path / f"{is_training}.onnx"
        path.write_bytes(model.SerializeToString())
        del model.graph.node[place + 1]
    assert foreign_backbone(tmp_path / "0.onnx", 1).width == WIDTH
    with pytest.raises(ModelFileError, match=r"1\.onnx cannot be started from: its features depend on the other pic"):
        foreign_backbone(tmp_path / "1.onnx", 1)


def test_a_fixed_number_that_cannot_be_freed_is_refused(tmp_path: Path) -> None:
    model = tiny_backbone(batch=2)
    node = model.graph.node[-4]
    assert node.op_type == "GlobalAveragePool"
    # Flattens two pictures by their number: three do not fit.
    shape = onnx.numpy_helper.from_array(np.array([2, WIDTH], np.int64), "two")
    model.graph.initializer.append(shape)
    flatten = next(each for each in model.graph.node if each.op_type == "Flatten")
    flatten.CopyFrom(onnx.helper.make_node("Reshape", ["pool", "two"], ["vector"]))
    path = tmp_path / "two.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="exactly 2 picture"):
        foreign_backbone(path, 1)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"dims": (1, SIDE, SIDE)}, r"float \[n, 1, 16, 16\] takes no color pictures"),
        ({"dims": (3, SIDE, 2 * SIDE)}, "16 x 32; expected squares"),
        ({"dims": (2 * SIDE, SIDE, 3)}, "32 x 16; expected squares"),
        ({"dims": (3, 10**6, 10**6)}, "is too large; expected up to 4096 pixels a side, and few pictures at once"),
        ({"batch": 10**9}, "is too large; expected up to 4096 pixels a side, and few pictures at once"),
        ({"kind": TensorProto.INT64}, "numbers of another kind"),
        ({"opset": 10}, "operator set 10; expected 11 or newer"),
        ({"metadata": {"std": "[0, 1, 1]"}}, r"std = '\[0, 1, 1\]'; expected three numbers"),
        ({"metadata": {"mean": "0.5"}}, r"mean = '0.5'; expected three numbers"),
        ({"metadata": {"std": "[0.2, 0.2, 0.2]"}}, r"1 mismatch.*\n.* metadata has std and no mean; expected both or"),
        ({"metadata": {"mean": "[0.5, 0.5, 0.5]"}}, r"1 mismatch.*\n.* has mean and no std; expected both or neither"),
    ],
)
def test_what_does_not_fit_is_named(knobs, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=said):
        open_tiny(tmp_path, **knobs)


def test_all_mismatches_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"3 mismatch\(es\)") as caught:
        open_tiny(tmp_path, dims=(1, SIDE, SIDE), opset=10, metadata={"mean": "x"})
    assert len(str(caught.value).splitlines()) == 4


def test_a_file_that_is_none_or_points_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="There is no"):
        find_foreign(tmp_path / "none.onnx")
    path = tmp_path / "no.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelFileError, match="not an ONNX file"):
        foreign_backbone(path, 1)
    model = tiny_backbone()
    kernel = model.graph.initializer[0]
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    kernel.external_data.add(key="location", value="secret.bin")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"other files|no ONNX file"):
        foreign_backbone(path, 1)
