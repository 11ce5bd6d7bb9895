"""The map is of the answer that is given: its parts are the logit, whatever the views, and nothing gets lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

import mirrored_model
from evidence_files import TEMPERATURE, drawn, export_random
from tiny_model import BIASES, CLASSES, SIDE, WEIGHTS, write_model
from whyconv.errors import PictureError, UsageError
from whyconv.evidence import Explainer, as_message, evidence_map, explain, open_explainer
from whyconv.evidence.heads import Head
from whyconv.evidence.message import levels
from whyconv.evidence.occlusion import occlusion_map, patches_for
from whyconv.evidence.views import on_the_picture
from whyconv.images.closer import margin
from whyconv.images.png import as_png
from whyconv.recognizer import Recognizer
from whyconv.results.evidence import MapKind
from whyconv.show.evidence import evidence_lines

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(
    scope="module",
    params=[
        ("plain", 16, 3, ("upright",)),
        ("swift", 16, 3, ("upright", "closer", "mirrored", "closer_mirrored")),
    ],
    ids=str,
)
def pooled(request, tmp_path_factory) -> Explainer:
    name, side, channels, views = request.param
    return export_random(tmp_path_factory.mktemp("pooled") / "model.onnx", name, side, channels, views)


@pytest.fixture(scope="module")
def flattened(tmp_path_factory) -> Explainer:
    folder = tmp_path_factory.mktemp("flattened")
    return export_random(folder / "model.onnx", "lesson", 8, 1, ("upright", "mirrored"))


@pytest.fixture
def tiny(tmp_path: Path) -> Explainer:
    return open_explainer(write_model(tmp_path / "model.onnx"))


def test_the_map_of_a_model_made_by_hand_is_the_one_computed_by_hand(tiny: Explainer) -> None:
    pixels = drawn(tiny)[0]
    for label in range(len(CLASSES)):
        found = evidence_map(tiny, pixels, label)
        assert found.kind == "class activation"
        assert found.bias == pytest.approx(BIASES[label])
        np.testing.assert_allclose(found.values, pixels @ WEIGHTS[label] / 255 / SIDE**2, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("kind", "zero"), [("class activation", "+0.000"), ("occlusion", "+0.0")])
def test_what_is_next_to_nothing_has_no_minus_in_the_terminal(tiny: Explainer, kind: MapKind, zero: str) -> None:
    found = explain(tiny, drawn(tiny)[0], kind=kind)
    changed = found.map.model_copy(update={"values": [[-4e-4, -0.0, 4e-4]]})
    lines = evidence_lines(found.model_copy(update={"map": changed}))
    assert [zero] * 3 in [line.split() for line in lines]


def test_parts_and_bias_are_the_logit_that_the_probabilities_tell(pooled: Explainer) -> None:
    for seed in range(5):
        pixels = drawn(pooled, seed=seed)[0]
        probabilities = pooled.recognizer.run(pixels[None]).probabilities[0].astype(np.float64)
        maps = [evidence_map(pooled, pixels, label) for label in range(2)]
        assert {one.kind for one in maps} == {"class activation"}
        sums = [np.sum(one.values) + one.bias for one in maps]
        sizes = [1 + np.abs(one.values).sum() for one in maps]
        for one, total, size in zip(maps, sums, sizes, strict=True):
            # What float32 rounds, of the size of the parts.
            assert total == pytest.approx(one.logit, abs=1e-5 * size)
            assert one.difference == pytest.approx(abs(total - one.logit), abs=1e-9)
        # The second way: what softmax says of the difference of two logits.
        told = TEMPERATURE * np.log(probabilities[0] / probabilities[1])
        assert sums[0] - sums[1] == pytest.approx(told, abs=1e-4 * max(sizes))


def test_a_head_misread_is_noticed_and_the_picture_hidden_instead(pooled: Explainer) -> None:
    wrong = open_explainer(pooled.recognizer)
    head = pooled.head
    assert isinstance(head, Head)
    wrong.__dict__["head"] = Head(**{**head.__dict__, "factor": head.factor * 1.5})
    found = evidence_map(wrong, drawn(pooled)[0], 0)
    assert (found.kind, found.why_occlusion) == ("occlusion", "unlike")


def test_each_view_is_put_where_it_comes_from() -> None:
    side, box = 20, (0.0, 0.0, 20.0, 20.0)
    one = np.zeros((1, 4, 4))
    one[0, 0, 1] = 1
    turned = on_the_picture(one, ["mirrored"], box, side)
    assert turned[0, 2] == pytest.approx(1)
    # From closer the first place is that of pixels 1.5 and on: partly over the second row of places.
    cut = margin(side)
    inner = (side - 2 * cut) / 4
    closer = on_the_picture(one, ["closer"], box, side)
    down = np.array([5 - cut, cut + inner - 5]) / inner
    assert closer.sum(axis=1)[:2] == pytest.approx(np.clip(down, 0, None) / np.clip(down, 0, None).sum())
    np.testing.assert_allclose(on_the_picture(one, ["closer_mirrored"], box, side), closer[:, ::-1], atol=1e-12)


def test_nothing_gets_lost_where_places_lie_over_the_border() -> None:
    maps = np.random.default_rng(0).normal(size=(4, 3, 5))
    views = ["upright", "closer", "mirrored", "closer_mirrored"]
    found = on_the_picture(maps, views, (-3.0, 2.5, 30.0, 11.0), 24)
    assert found.sum() == pytest.approx(maps.sum() / 4, abs=1e-12)


def test_a_flattened_head_has_an_occlusion_map_and_says_why(flattened: Explainer) -> None:
    pixels = drawn(flattened)[0]
    found = evidence_map(flattened, pixels, 1)
    assert (found.kind, found.why_occlusion, found.views) == ("occlusion", "dense", ["upright", "mirrored"])
    assert (found.patch, found.step, found.level) == (2, 1, [60])
    # The second way: one picture at a time.
    ask = flattened.recognizer.run
    whole = ask(pixels[None]).probabilities[0, 1]
    for row, column in [(0, 0), (3, 5), (6, 6)]:
        hidden = pixels.copy()
        hidden[row : row + 2, column : column + 2] = 60
        assert found.values[row][column] == pytest.approx(whole - ask(hidden[None]).probabilities[0, 1], abs=1e-6)
    with pytest.raises(UsageError, match="no class activation map"):
        evidence_map(flattened, pixels, 1, "class activation")


def test_a_committee_says_that_several_answer(tmp_path: Path) -> None:
    found = export_random(tmp_path / "model.onnx", "swift", 8, 1, members=2)
    assert evidence_map(found, drawn(found)[0], 0).why_occlusion == "several"


def test_patches_have_the_mean_of_the_file_and_never_that_of_a_placeholder() -> None:
    """Where a network normalizes by itself, whyconv takes 0 off before; what the network takes off is no level."""
    model = mirrored_model.make_model()
    assert open_explainer(Recognizer(model.SerializeToString())).level.tolist() == [120] * 3
    own = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
    for tensor in model.graph.initializer:
        if tensor.name == "mean":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(own), "mean"))
    model.graph.initializer.append(numpy_helper.from_array(own, "own"))
    place = next(at for at, node in enumerate(model.graph.node) if node.op_type == "Div")
    model.graph.node[place].output[0] = "fractions"
    model.graph.node.insert(place + 1, helper.make_node("Sub", ["fractions", "own"], ["upright"]))
    explainer = open_explainer(Recognizer(model.SerializeToString()))
    assert explainer.level.tolist() == [explainer.recognizer.policy.letterbox_fill] * 3 == [128] * 3


@pytest.mark.parametrize("side", [6, 8, 15, 28, 32, 100, 128, 224, 300])
def test_patches_reach_both_borders_and_are_about_eight(side: int) -> None:
    patches = patches_for(side)
    assert patches.places[-1] + patches.size == side
    assert 5 <= len(patches.places) <= 12
    top, _, height, _ = patches.box
    assert top + height / 2 == side / 2


def test_what_the_answer_looks_at_is_found_by_hiding_it() -> None:
    pixels = np.zeros((16, 16, 1), np.uint8)
    pixels[12:14, 2:4] = 255

    def ask(batch: np.ndarray) -> np.ndarray:
        share = batch[:, 12:14, 2:4].mean(axis=(1, 2, 3)) / 255
        return np.stack([share, 1 - share], axis=1).astype(np.float32)

    found = occlusion_map(pixels, ask, 0, patches_for(16), np.zeros(1, np.uint8))
    row, column = np.unravel_index(found.argmax(), found.shape)
    places = patches_for(16).places
    assert places[row] <= 12 <= places[row] + 3
    assert places[column] <= 2 <= places[column] + 3
    assert (found.max(), found[0, -1]) == (1, 0)


def test_the_answer_is_that_of_the_recognizer_and_another_class_can_be_asked_about(tiny: Explainer) -> None:
    pixels = drawn(tiny)[0]
    answer = tiny.recognizer.predict(pixels)
    found = explain(tiny, pixels)
    assert (found.label, found.probability) == (answer.labels[0].label, answer.labels[0].probability)
    other = explain(tiny, pixels, label=answer.labels[2].label)
    assert (other.label, other.answer) == (answer.labels[2].label, answer.labels[0].label)
    with pytest.raises(UsageError, match=r"no class 'grene'\. Did you mean 'green'"):
        explain(tiny, pixels, label="grene")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"kind": "gradient"}, "kind is 'gradient'. Expected class activation or occlusion"),
        ({"kind": "Occlusion"}, "kind is 'Occlusion'"),
        ({"num_nearest": 2.5}, "num_nearest is 2.5. Expected a whole number from 0"),
        ({"num_nearest": -1}, "num_nearest is -1"),
        ({"num_nearest": "3"}, "num_nearest is '3'"),
        ({"label": 1}, "label is 1; expected the name of a class, as text"),
        ({"label": ["a"]}, "label is \\['a'\\]; expected the name of a class"),
        ({"picture": None}, "NoneType is no picture. Expected a path, file content or an array"),
        ({"picture": [1, 2]}, "list is no picture"),
    ],
)
def test_words_that_are_not_known_are_refused(tiny: Explainer, words: dict, reason: str) -> None:
    given = {"picture": drawn(tiny)[0], **words}
    with pytest.raises(UsageError, match=reason):
        explain(tiny, given.pop("picture"), **given)
    with pytest.raises(UsageError, match="Expected class activation or occlusion"):
        evidence_map(tiny, drawn(tiny)[0], 0, "saliency")
    assert explain(tiny, drawn(tiny)[0], num_nearest=np.int64(2), kind="occlusion").map.kind == "occlusion"


def test_a_picture_that_cannot_be_read_is_named(tiny: Explainer, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(PictureError, match=r"cut\.jpg: "):
        explain(tiny, tmp_path / "cut.jpg")
    with pytest.raises(PictureError, match=r"gone\.jpg: file is missing"):
        explain(tiny, tmp_path / "gone.jpg")


def test_the_message_is_the_map_in_bytes(tiny: Explainer) -> None:
    import base64

    found = explain(tiny, drawn(tiny)[0])
    message = as_message(found)
    told = np.frombuffer(base64.b64decode(message["map"]), np.uint8).reshape(message["shape"])
    np.testing.assert_array_equal(told, levels(found.map))
    back = message["low"] + told / 255 * (message["high"] - message["low"])
    assert np.abs(back - found.map.values).max() <= (message["high"] - message["low"]) / 510 + 1e-12
    assert base64.b64decode(message["png"])[:4] == b"\x89PNG"
    assert message["kind"] == "class activation"


def test_bytes_of_any_kind_are_file_content(tiny: Explainer) -> None:
    content = as_png(drawn(tiny)[0])
    found = [explain(tiny, kind(content)) for kind in (bytes, bytearray, memoryview)]
    assert found[0].label == found[1].label == found[2].label
    assert found[0].probability == found[1].probability == found[2].probability
