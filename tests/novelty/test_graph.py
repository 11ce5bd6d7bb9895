"""The number inside of the file is that of numpy; what the file held before, and what is counted of it, stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from novelty_pictures import known, pictures
from tiny_model import CLASSES, SIDE, make_metadata, make_model
from whyconv.counting.network import count_network
from whyconv.counting.onnx_graph import read_onnx
from whyconv.errors import ModelFileError
from whyconv.model_file import NOVELTY
from whyconv.novelty import KnownPictures, Novelty, add_novelty, fit_novelty
from whyconv.novelty.fitting import area_under_curve, energy, neighbor_distance
from whyconv.novelty.looks import looks
from whyconv.recognizer import Recognizer


def noise(n: int = 300) -> KnownPictures:
    pixels = np.random.default_rng(9).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)
    return known(pixels, np.zeros(n, np.int32))


def blank(n: int = 300) -> KnownPictures:
    grays = np.random.default_rng(8).integers(0, 256, (n, 1, 1, 1)).astype(np.uint8)
    return known(np.broadcast_to(grays, (n, SIDE, SIDE, 3)).copy(), np.zeros(n, np.int32))


def bright(n: int, seed: int) -> KnownPictures:
    """Photographs of a pale surface: levels around 230 that scatter by 1."""
    generator = np.random.default_rng(seed)
    levels = 230 + generator.normal(0, 1, (n, SIDE, SIDE, 1)) + generator.normal(0, 0.4, (n, SIDE, SIDE, 3))
    return known(np.rint(levels).astype(np.uint8), generator.integers(0, 3, n).astype(np.int32))


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    found = fit_novelty(pictures(400, 0), pictures(200, 1))
    assert found is not None
    return found


def unsure_metadata() -> str:
    return json.dumps(make_metadata(unsure={"threshold": 1.0, "accepted_fraction": 0.95, "n": 200}))


@pytest.mark.parametrize("measure", ["both", "energy", "neighbors"])
@pytest.mark.parametrize("opset", [13, 18])
def test_the_file_computes_what_numpy_does(novelty: Novelty, measure: str, opset: int) -> None:
    chosen = Novelty(**{**vars(novelty), "measure": measure})
    model = make_model(make_metadata())
    if opset == 13:  # axes as an attribute, as it was before operator set 18
        mean = next(node for node in model.graph.node if node.op_type == "ReduceMean")
        del mean.input[1]
        mean.attribute.append(onnx.helper.make_attribute("axes", [1, 2]))
        model.opset_import[0].version = opset
    recognizer = Recognizer(add_novelty(model.SerializeToString(), chosen, unsure_metadata()))
    for shown in (pictures(40, 2), noise(40), blank(40)):
        answers = recognizer.run(shown.pixels)
        assert answers.novelty is not None
        assert answers.novelty.shape == (40,)
        expected = chosen.of(shown)
        assert answers.novelty == pytest.approx(expected, rel=2e-3, abs=2e-3)
        assert recognizer.run(shown.pixels[:1]).novelty == pytest.approx(expected[:1], rel=2e-3, abs=2e-3)


def test_the_file_keeps_its_promise_for_bright_pictures_of_small_contrast() -> None:
    """Variances as a mean of squares less the square of a mean are cancelled in float32 here."""
    validation = bright(200, 1)
    fitted = fit_novelty(bright(400, 0), validation)
    assert fitted is not None
    model = onnx.load_model_from_string(
        add_novelty(make_model(make_metadata()).SerializeToString(), fitted, unsure_metadata())
    )
    model.graph.output.append(onnx.helper.make_tensor_value_info("novelty/look.vector", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    novelty, vector = session.run([NOVELTY, "novelty/look.vector"], {"pixels": validation.pixels})
    assert vector == pytest.approx(looks(validation.pixels), abs=1e-4)
    assert novelty == pytest.approx(fitted.of(validation), rel=2e-3, abs=2e-3)
    assert (novelty <= 1).sum() >= 190  # ceil(201 x 0.95) = 191, one of them on the threshold itself


def test_what_the_file_said_before_it_says_still(novelty: Novelty, tmp_path: Path) -> None:
    plain = make_model(make_metadata()).SerializeToString()
    told = add_novelty(plain, novelty, unsure_metadata())
    shown = pictures(20, 3).pixels
    before, after = Recognizer(plain).run(shown), Recognizer(told).run(shown)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    np.testing.assert_array_equal(before.features, after.features)
    assert before.novelty is None
    paths = [tmp_path / "plain.onnx", tmp_path / "told.onnx"]
    for path, content in zip(paths, (plain, told), strict=True):
        path.write_bytes(content)
    counts = [count_network(read_onnx(path), "means") for path in paths]
    assert counts[0] == counts[1]
    assert NOVELTY in [output.name for output in onnx.load(paths[1]).graph.output]


def test_at_least_95_in_100_pictures_like_the_known_ones_are_accepted(novelty: Novelty) -> None:
    validation = novelty.of(pictures(200, 1))
    assert (validation <= 1).sum() == 191  # ceil(201 x 0.95)
    # 4 deviations of the 2,000, and of the 200 that the threshold is from.
    assert (novelty.of(pictures(2000, 4)) <= 1).mean() > 0.95 - 4 * (0.05 * 0.95 * (1 / 2000 + 1 / 200)) ** 0.5


def test_noise_and_blank_pictures_are_refused(novelty: Novelty) -> None:
    assert (novelty.of(noise()) > 1).mean() >= 0.99
    assert (novelty.of(blank()) > 1).mean() >= 0.99
    # Without looks, noise of a gray mean is no further away than a picture between the classes.
    blind = Novelty(**{**vars(novelty), "look_limit": 1e9})
    assert (blind.of(pictures(2000, 4)) > 1).mean() < 0.1


def test_too_few_validation_pictures_give_no_threshold() -> None:
    assert fit_novelty(pictures(100, 0), pictures(18, 1)) is None
    assert fit_novelty(pictures(100, 0), pictures(19, 1)) is not None


def test_a_file_without_a_softmax_is_refused(novelty: Novelty) -> None:
    model = make_model(make_metadata())
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    softmax.op_type = "Identity"
    del softmax.attribute[:]
    with pytest.raises(ModelFileError, match="no softmax"):
        add_novelty(model.SerializeToString(), novelty, unsure_metadata())


def test_pieces_are_those_of_plain_loops() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5, len(CLASSES)))
    assert energy(logits) == pytest.approx([-np.log(sum(np.exp(each) for each in row)) for row in logits])
    bank = generator.normal(size=(7, 4))
    bank = (bank / np.linalg.norm(bank, axis=1, keepdims=True)).astype(np.float16)
    rows = generator.normal(size=(3, 4)).astype(np.float32)
    for row, found in zip(rows, neighbor_distance(rows, bank, 2), strict=True):
        unit = row / np.linalg.norm(row)
        gaps = sorted(np.sqrt(max(0, 2 - 2 * float(unit @ each.astype(float)))) for each in bank)
        assert found == pytest.approx(gaps[1], rel=1e-5)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    known_scores, unknown = np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 3.0])
    pairs = [(u > k) + (u == k) / 2 for u in unknown for k in known_scores]
    assert area_under_curve(known_scores, unknown) == sum(pairs) / 8
