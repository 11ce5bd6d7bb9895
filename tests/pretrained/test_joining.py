"""The recognizer put together from pieces against torch: views, layouts, kinds of numbers, kinds of features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from tiny_backbone import SIDE, WIDTH, write_backbone
from whyconv.export import compare
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import Metadata
from whyconv.onnx_file.seal import sealed
from whyconv.pretrained.backbone import Backbone, FrozenNetwork
from whyconv.pretrained.foreign import IMAGENET_MEAN, IMAGENET_STD, foreign_backbone
from whyconv.pretrained.joining import Head, join, upright_alone
from whyconv.pretrained.networks import FrozenWithHead
from whyconv.recognizer import Recognizer
from whyconv.settings import NetworkPlan

ALL = ("upright", "closer", "mirrored", "closer_mirrored")
CLASSES = ["a", "b", "c"]


def joined(backbone: Backbone, views, side: int, head: Head) -> tuple[Recognizer, NetworkPlan]:
    sizes = {"in_channels": 3, "side": side, "classes": CLASSES}
    plan = NetworkPlan(name=backbone.name, mean=list(backbone.mean), std=list(backbone.std), views=list(views), **sizes)
    policy = PicturePolicy(side=side, channels=3)
    metadata = Metadata(classes=tuple(CLASSES), policy=policy, temperature=1.5, views=tuple(views))
    return Recognizer(join(backbone, plan, head, metadata).SerializeToString(), num_threads=1), plan


def parity(backbone: Backbone, views, side: int, head: Head | None = None):
    generator = np.random.default_rng(0)
    head = head or Head(generator.normal(size=(WIDTH, 3)).astype(np.float32), np.array([0, 1, -1], np.float32))
    recognizer, plan = joined(backbone, views, side, head)
    network = FrozenWithHead(FrozenNetwork(backbone, 1), head)
    pixels = generator.integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    features = np.mean([FrozenNetwork(backbone, 1).look(pixels, view)[0] for view in views], axis=0)
    assert np.allclose(recognizer.run(pixels).features, features, atol=1e-4)
    return compare(recognizer, network, plan, pixels)


@pytest.mark.parametrize("views", [ALL, ("upright",), ("upright", "mirrored"), ("closer",)], ids="+".join)
@pytest.mark.parametrize("opset", [11, 13, 18])
def test_the_joined_file_answers_as_torch_does(views, opset: int, tmp_path: Path) -> None:
    backbone = foreign_backbone(write_backbone(tmp_path / "tiny.onnx", opset=opset), 1)
    assert parity(backbone, views, SIDE).is_equal


@pytest.mark.parametrize(
    "knobs",
    [
        {"dims": (SIDE, SIDE, 3)},
        {"output": "tokens"},
        {"output": "map"},
        {"output": "map_last"},
        {"dims": (SIDE, SIDE, 3), "output": "map_last"},
        {"kind": TensorProto.FLOAT16},
        {"batch": 1},
    ],
    ids=str,
)
def test_whatever_form_the_network_has(knobs, tmp_path: Path) -> None:
    assert parity(foreign_backbone(write_backbone(tmp_path / "tiny.onnx", **knobs), 1), ALL, SIDE).is_equal


@pytest.mark.parametrize("dims", [(3, SIDE, SIDE), (SIDE, SIDE, 3)], ids=["channels first", "channels last"])
@pytest.mark.parametrize(("output", "places"), [("map", (2, 3)), ("map_last", (1, 2))])
def test_features_are_the_mean_over_the_places_that_onnxruntime_gives(dims, output, places, tmp_path: Path) -> None:
    path = write_backbone(tmp_path / "tiny.onnx", dims=dims, output=output)
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    shown = ((pixels - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)).astype(np.float32)
    shown = shown if dims[-1] == 3 else shown.transpose(0, 3, 1, 2)
    (maps,) = onnxruntime.InferenceSession(path).run([output], {"pixels": shown})
    backbone = foreign_backbone(path, 1)
    learned = FrozenNetwork(backbone, 1).look(pixels, "upright")[0]
    head = Head(np.zeros((WIDTH, 3), np.float32), np.zeros(3, np.float32))
    answered = joined(backbone, ("upright",), SIDE, head)[0].run(pixels).features
    assert np.allclose(learned, maps.mean(axis=places), atol=1e-4)
    assert np.allclose(answered, maps.mean(axis=places), atol=1e-4)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("views", [("upright",), ("mirrored", "upright"), ALL], ids="+".join)
def test_of_a_file_with_several_views_the_upright_one_can_be_asked_alone(views, opset: int, tmp_path: Path) -> None:
    backbone = foreign_backbone(write_backbone(tmp_path / "tiny.onnx", opset=opset), 1)
    generator = np.random.default_rng(0)
    head = Head(generator.normal(size=(WIDTH, 3)).astype(np.float32), np.array([0, 1, -1], np.float32))
    pixels = generator.integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    averaged, plan = joined(backbone, views, SIDE, head)
    alone = upright_alone(sealed(averaged.content), plan.views)
    expected = joined(backbone, ("upright",), SIDE, head)[0].run(pixels)
    found = Recognizer(alone, num_threads=1).run(pixels)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-5)
    assert len(views) == 1 or abs(averaged.run(pixels).probabilities - found.probabilities).max() > 1e-3


def test_a_file_without_an_upright_view_or_of_another_form_has_none_to_be_asked_alone(tmp_path: Path) -> None:
    path = write_backbone(tmp_path / "tiny.onnx")
    head = Head(np.zeros((WIDTH, 3), np.float32), np.zeros(3, np.float32))
    content = joined(foreign_backbone(path, 1), ("mirrored", "closer"), SIDE, head)[0].content
    assert upright_alone(content, ["mirrored", "closer"]) is None
    assert upright_alone(path.read_bytes(), ["upright", "mirrored"]) is None


def test_uint8_networks_see_whole_gray_levels(tmp_path: Path) -> None:
    backbone = foreign_backbone(write_backbone(tmp_path / "tiny.onnx", kind=TensorProto.UINT8), 1)
    head = Head(np.full((WIDTH, 3), 1e-3, np.float32) * np.arange(3, dtype=np.float32), np.zeros(3, np.float32))
    assert parity(backbone, ("upright", "mirrored"), SIDE, head).is_equal


@pytest.mark.parametrize("side", [20, 33, 47, 64])
def test_a_closer_view_has_the_side_of_the_others(side: int, tmp_path: Path) -> None:
    path = write_backbone(tmp_path / "tiny.onnx", dims=("c", "h", "w"))
    assert parity(foreign_backbone(path, 1, side), ALL, side).is_equal


def test_another_head_is_noticed(tmp_path: Path) -> None:
    backbone = foreign_backbone(write_backbone(tmp_path / "tiny.onnx"), 1)
    other = Head(np.eye(WIDTH, 3, dtype=np.float32), np.zeros(3, np.float32))
    sizes = {"name": "x", "in_channels": 3, "side": SIDE, "classes": CLASSES, "views": ["upright"]}
    plan = NetworkPlan(mean=list(backbone.mean), std=list(backbone.std), **sizes)
    metadata = Metadata(classes=tuple(CLASSES), policy=PicturePolicy(side=SIDE, channels=3))
    recognizer = Recognizer(join(backbone, plan, other, metadata).SerializeToString(), num_threads=1)
    moved = FrozenWithHead(FrozenNetwork(backbone, 1), Head(other.weights, np.array([3, 0, 0], np.float32)))
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    assert not compare(recognizer, moved, plan, pixels).is_equal
