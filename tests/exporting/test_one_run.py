"""An export is proved before it is written, loses nothing that the run's file says, and writes nothing if it fails."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tiny_training import bars, write_bars
from whyconv import workflow
from whyconv.errors import DataError, ModelFileError, ParityError, PictureError, UsageError
from whyconv.exporting import export_run, one_run, open_torch
from whyconv.exporting.proof import ProofPictures, prove, require_equal, require_free_batch
from whyconv.recognizer import open_recognizer
from whyconv.results import Progress, ignore

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SMALL = {"network": "swift", "epochs": 2, "threads": 1, "flips": "on", "search": "off"}

UNSURE = {"threshold": 0.25, "accepted_fraction": 0.95, "n": 40, "of_a_later_version": True}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exporting")
    write_bars(folder / "bars", 120)
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    made = workflow.train(
        str(place / "bars"), only_model=True, out=str(place / "runs"), store=str(place / "store"), **SMALL
    )
    # As a file of a newer whyconv: what this one does not know has to come through.
    path = Path(made.run) / "model.onnx"
    model = onnx.load(path)
    said = json.loads(model.metadata_props[0].value) | {"unsure": UNSURE, "later": ["조심"]}
    onnx.helper.set_model_props(model, {"whyconv": json.dumps(said)})
    onnx.save(model, path)
    return Path(made.run)


def said_by(path: Path) -> dict:
    pairs = {pair.key: pair.value for pair in onnx.load(path).metadata_props}
    return json.loads(pairs["whyconv"])


def test_the_file_is_proved_on_all_test_pictures_and_loses_nothing(run: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    out = tmp_path / "bars.onnx"
    report = export_run(run, told.append, out=out)
    num_test = json.loads((run / "summary.json").read_text())["test"]["n"]
    assert report.parity.n == report.parity.num_same_answer == num_test > 0
    assert report.parity.largest_difference <= 1e-5
    assert (report.pictures, report.against, report.batches) == ("test", "torch", [1, 2, 17])
    assert [each.done for each in told if isinstance(each, Progress) and each.stage == "export_proof"][-1] == num_test
    assert [each.name for each in tmp_path.iterdir()] == ["bars.onnx"]
    before, after = said_by(run / "model.onnx"), said_by(out)
    known = {"takes", "versions", "data_digest", "proof"}
    assert {key: value for key, value in after.items() if key not in known} == {
        key: value for key, value in before.items() if key not in known
    }
    assert after["later"] == ["조심"]
    assert after["proof"]["n"] == num_test
    assert after["versions"] == report.versions == {**report.versions, "torch": torch.__version__, "opset": "20"}
    sorted_lines = "".join(sorted((run / "digests.txt").read_text().splitlines(keepends=True)))
    assert after["data_digest"] == report.data_digest == hashlib.sha256(sorted_lines.encode()).hexdigest()


def test_bare_onnxruntime_answers_any_number_of_pictures_as_the_run_does(run: Path, tmp_path: Path) -> None:
    export_run(run, out=tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession((tmp_path / "m.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    recognizer = open_recognizer(run)
    for n in (1, 2, 17, 40):
        pixels = bars(n, seed=n).pixels
        probabilities, features = session.run(["probabilities", "features"], {"pixels": pixels})
        expected = recognizer.run(pixels)
        np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(features, expected.features, atol=1e-5)


def test_normalizations_are_folded_and_the_run_keeps_its_own_file(run: Path, tmp_path: Path) -> None:
    before = (run / "model.onnx").read_bytes()
    report = export_run(run, out=tmp_path / "m.onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert report.num_folded > 0
    assert "BatchNormalization" not in kinds
    assert (run / "model.onnx").read_bytes() == before
    assert len([node for node in onnx.load(run / "model.onnx").graph.node if node.op_type == "BatchNormalization"]) == (
        report.num_folded
    )


def break_weights(model: onnx.ModelProto) -> int:
    """Turns the last layer's weights around, as a wrong fold would."""
    tensor = next(each for each in model.graph.initializer if each.name == "network.head.weight")
    values = -3 * onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return 1


def test_a_broken_graph_is_exit_code_4_and_leaves_no_file(run: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "made" / "bars.onnx"
    monkeypatch.setattr(one_run, "fold_normalizations", break_weights)
    with pytest.raises(ParityError, match=r"would answer otherwise than the trained network: \d+ of \d+") as caught:
        export_run(run, out=out)
    assert caught.value.exit_code == 4
    assert not out.parent.exists() or not list(out.parent.iterdir())
    out.parent.mkdir(exist_ok=True)
    earlier = (run / "model.onnx").read_bytes()
    out.write_bytes(earlier)
    with pytest.raises(ParityError):
        export_run(run, out=out, any_size=True)
    assert out.read_bytes() == earlier


def test_a_network_that_sees_its_neighbors_is_found_out() -> None:
    metadata = open_recognizer_metadata()

    def ask(pixels: np.ndarray) -> np.ndarray:
        means = pixels.mean(axis=(1, 2, 3)) - pixels.mean()
        return 1 / (1 + np.exp(-np.stack([means, -means], axis=1)))

    pictures = ProofPictures("test", [lambda row=row: bars(9).pixels[row] for row in range(9)])
    with pytest.raises(ParityError, match="Asked about 1 pictures at once"):
        require_free_batch(ask, pictures, metadata)
    require_free_batch(lambda pixels: np.full((len(pixels), 2), 0.5), pictures, metadata)


def test_pictures_that_cannot_be_read_leave_the_others_for_the_proof() -> None:
    """Every fourth can be read: none of 17 that are evenly chosen of 65."""

    def broken() -> np.ndarray:
        raise PictureError("cut short")

    levels = [np.full((8, 8, 1), row, np.uint8) for row in range(65)]
    contents = [(lambda row=row: levels[row]) if row % 4 == 2 else broken for row in range(65)]
    asked: list[list[int]] = []

    def ask(pixels: np.ndarray) -> np.ndarray:
        asked.append(pixels[:, 0, 0, 0].tolist())
        return np.full((len(pixels), 2), 0.5)

    require_free_batch(ask, ProofPictures("pictures", contents), open_recognizer_metadata())
    readable = list(range(2, 65, 4))
    assert asked[0] == [*readable, 2]  # 16 of them, and the first again
    asked.clear()
    require_free_batch(ask, ProofPictures("pictures", contents * 2), open_recognizer_metadata())
    assert asked[0] == [*readable, 2]
    with pytest.raises(DataError, match="None of 3 pictures for the proof can be read"):
        require_free_batch(ask, ProofPictures("pictures", [broken] * 3), open_recognizer_metadata())


def test_an_answer_that_is_no_number_is_no_proof() -> None:
    """In a later batch than one that agrees, in the class that is right."""

    def ask(pixels: np.ndarray) -> np.ndarray:
        answers = np.tile([0.9, 0.1], (len(pixels), 1))
        answers[(pixels == 255).all(axis=(1, 2, 3)), 0] = np.nan
        return answers

    levels = [np.full((8, 8, 1), 255 if row == 40 else 0, np.uint8) for row in range(50)]
    pictures = ProofPictures("test", [lambda row=row: levels[row] for row in range(50)])
    parity = prove(
        lambda pixels: np.tile([0.9, 0.1], (len(pixels), 1)), ask, pictures, open_recognizer_metadata(), ignore
    )
    assert parity.num_same_answer == parity.n == 50
    with pytest.raises(ParityError, match="differ by up to nan"):
        require_equal(parity, "m.onnx")


def open_recognizer_metadata():
    from tiny_training import tiny_plan
    from whyconv.export import metadata_for
    from whyconv.images.prepare import PicturePolicy

    return metadata_for(tiny_plan().network, PicturePolicy(side=8, channels=1), 1.0, {})


def test_a_file_for_any_size_takes_any_size(run: Path, tmp_path: Path) -> None:
    report = export_run(run, out=tmp_path / "any.onnx", any_size=True)
    assert report.resize is not None
    assert report.resize.num_same_answer == report.resize.n == report.parity.n
    assert said_by(tmp_path / "any.onnx")["proof"]["resize"] == report.resize.model_dump()
    session = onnxruntime.InferenceSession((tmp_path / "any.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    for n, height, width in [(1, 8, 8), (2, 31, 70), (17, 5, 3)]:
        found = session.run(["probabilities"], {"pixels": np.zeros((n, height, width, 1), np.uint8)})[0]
        assert found.shape == (n, 2)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    pixels = list(bars(30, seed=8).pixels)
    expected = open_recognizer(run).predict_proba(pixels)
    np.testing.assert_allclose(open_recognizer(tmp_path / "any.onnx").predict_proba(pixels), expected, atol=1e-5)


def test_a_folder_for_torch_opens_as_a_module_that_answers_the_same(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "before"  # what is put aside meanwhile must not be called as what is written
    for _ in range(2):  # one that an export wrote is replaced
        report = export_run(run, to="torch", out=out)
    assert {each.name for each in out.iterdir()} == {"model.safetensors", "network.json"}
    assert [each.name for each in tmp_path.iterdir()] == ["before"]
    assert report.num_bytes == sum(each.stat().st_size for each in out.iterdir())
    module = open_torch(out)
    assert not module.training
    assert module.metadata.classes == ("lies", "stands")
    with safe_open(out / "model.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["classes"]) == ["lies", "stands"]
    pixels = bars(40, seed=4).pixels
    with torch.inference_mode():
        probabilities, features = module(torch.from_numpy(pixels))
    expected = open_recognizer(run).run(pixels)
    np.testing.assert_allclose(probabilities.numpy(), expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(features.numpy(), expected.features, atol=1e-5)
    said = json.loads((out / "network.json").read_text())
    assert said["unsure"] == UNSURE
    assert said["proof"]["n"] == report.parity.n
    assert said["data_digest"] == report.data_digest


def test_a_broken_folder_for_torch_is_never_there(run: Path, tmp_path: Path, monkeypatch) -> None:
    def opened(folder: Path):
        module = open_torch(folder)
        with torch.no_grad():
            module.network.head.weight.mul_(-3)
        return module

    monkeypatch.setattr(one_run, "open_torch", opened)
    with pytest.raises(ParityError):
        export_run(run, to="torch", out=tmp_path / "bars-torch")
    assert not list(tmp_path.iterdir())


def test_where_the_pictures_are_gone_others_have_to_be_named(run: Path, place: Path, tmp_path: Path) -> None:
    (place / "bars").rename(place / "elsewhere")
    try:
        with pytest.raises(DataError, match=r"proof on real pictures.*--pictures FOLDER") as caught:
            export_run(run, out=tmp_path / "m.onnx")
        assert caught.value.exit_code == 3
        report = export_run(run, out=tmp_path / "m.onnx", pictures=place / "elsewhere")
        assert (report.pictures, report.parity.n) == ("pictures", 120)
        assert str(place).encode() not in (tmp_path / "m.onnx").read_bytes()
        (tmp_path / "none").mkdir()
        (tmp_path / "none" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        with pytest.raises(DataError, match="None of 1 pictures"):
            export_run(run, out=tmp_path / "n.onnx", pictures=tmp_path / "none")
    finally:
        (place / "elsewhere").rename(place / "bars")


def test_a_changed_picture_is_not_proved_on(run: Path, place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "bars", place / "kept")
    Image.new("L", (8, 8), 3).save(place / "bars" / "lies" / "000.png")
    try:
        with pytest.raises(DataError, match=r"are not those of the plan.*--pictures FOLDER"):
            export_run(run, out=tmp_path / "m.onnx")
    finally:
        shutil.rmtree(place / "bars")
        (place / "kept").rename(place / "bars")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"to": "tflite"}, "--to tflite is not known. Expected --to onnx or --to torch"),
        ({"to": "torch", "any_size": True}, "without --to torch"),
    ],
)
def test_words_that_do_not_fit_are_wrong_use(run: Path, words: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        export_run(run, **words)


def test_what_is_there_is_not_overwritten_by_mistake(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the run's own"):
        export_run(run, out=run / "model.onnx")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        export_run(run, out=tmp_path / "photos")
    (tmp_path / "photos" / "one.jpg").write_bytes(b"a photo")
    with pytest.raises(UsageError, match=r"one.jpg is there and is no recognizer"):
        export_run(run, out=tmp_path / "photos" / "one.jpg")
    assert (tmp_path / "photos" / "one.jpg").read_bytes() == b"a photo"
    with pytest.raises(UsageError, match=r"holds other things \(one.jpg\)"):
        export_run(run, to="torch", out=tmp_path / "photos")


@pytest.mark.parametrize(
    "mine", ["weights", "description", "both", "changed weights", "changed description", "of a run"]
)
def test_weights_of_somebody_are_not_replaced_whatever_they_are_called(run: Path, tmp_path: Path, mine: str) -> None:
    folder = tmp_path / "mine"
    weights, description = folder / "model.safetensors", folder / "network.json"
    if mine.startswith("changed"):
        export_run(run, to="torch", out=folder)
    elif mine == "of a run":
        folder.mkdir()
        for path in (weights, description):
            shutil.copy(run / path.name, path)
    else:
        folder.mkdir()
    if mine in ("weights", "both"):
        weights.write_bytes(b"months of work")
    if mine == "changed weights":
        save_file(load_file(weights), weights)
    if mine in ("description", "both"):
        description.write_text("{}")
    if mine == "changed description":
        description.write_text(description.read_text().replace('"proof"', '"poof"'))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match=r"mine holds other things \((model.safetensors|network.json)\)"):
        export_run(run, to="torch", out=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_empty_folder_is_written(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export_run(run, to="torch", out=tmp_path / "empty")
    assert {each.name for each in (tmp_path / "empty").iterdir()} == {"model.safetensors", "network.json"}


@pytest.mark.parametrize("out", [".", "inner/..", "../here"])
def test_the_current_folder_is_not_replaced(run: Path, tmp_path: Path, monkeypatch, out: str) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match=r"is the current folder.*--out FOLDER"):
        export_run(run.resolve(), to="torch", out=out)
    assert [each.name for each in tmp_path.rglob("*")] == ["here"]


def test_a_folder_named_by_a_way_back_is_written(run: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "new" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new" / "here").rmdir()
    export_run(run.resolve(), to="torch", out="new/here/..")
    assert {each.name for each in (tmp_path / "new").iterdir()} == {"model.safetensors", "network.json"}


def test_no_run_is_no_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is no run folder"):
        export_run(tmp_path)
    with pytest.raises(ModelFileError, match="cannot be read"):
        open_torch(tmp_path)
    shutil.copytree(run, tmp_path / "old")
    (tmp_path / "old" / "digests.txt").unlink()
    with pytest.raises(ModelFileError, match=r"digests.txt is missing.*train --resume"):
        export_run(tmp_path / "old", out=tmp_path / "m.onnx")
    (tmp_path / "old" / "network.json").write_text("[]")
    with pytest.raises(ModelFileError, match="damaged"):
        open_torch(tmp_path / "old")
