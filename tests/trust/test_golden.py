"""Run folders of every released format open, answer as they did, and go on; newer ones are refused by number."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golden_runs import ANSWERS, DIGITS, ENDED, GOLDEN, STOPPED, formats
from whyconv import workflow
from whyconv.errors import NewerFormatError
from whyconv.exporting import export_run, open_torch
from whyconv.files import digest_bytes
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.recognizer import open_recognizer
from whyconv.results import Note
from whyconv.settings import Plan
from whyconv.training.history import read_history
from whyconv.training.run_folder import CHECKPOINTS, ENVIRONMENT, METRICS

SETS = sorted(each.name for each in GOLDEN.iterdir())


@pytest.fixture(params=SETS)
def golden(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one set, as the current folder: its plans name the digits from there."""
    place = tmp_path / "golden"
    shutil.copytree(GOLDEN / request.param, place)
    monkeypatch.chdir(place)
    return place


def pixels_of(golden: Path, policy: PicturePolicy) -> np.ndarray:
    return np.stack([prepare(picture, policy) for picture in np.load(golden / DIGITS)["x"]])


def test_what_this_version_writes_is_kept() -> None:
    assert formats() in SETS, "the number of a format was raised: run  make golden"


def test_all_sets_are_small() -> None:
    assert all(sum(each.stat().st_size for each in (GOLDEN / name).rglob("*")) < 200_000 for name in SETS)


def test_an_exported_file_answers_as_it_did(golden: Path) -> None:
    told = np.array(json.loads((golden / ANSWERS).read_text()))
    recognizer = open_recognizer(golden / ENDED)
    found = recognizer.predict_proba(np.load(golden / DIGITS)["x"])
    assert np.abs(found - told).max() < 1e-6
    assert (found.argmax(axis=1) == np.load(golden / DIGITS)["y"]).mean() > 0.9


def test_weights_answer_as_they_did(golden: Path) -> None:
    module = open_torch(golden / ENDED)
    with torch.inference_mode():
        found = module(torch.from_numpy(pixels_of(golden, module.metadata.policy)))[0].numpy()
    assert np.abs(found - np.array(json.loads((golden / ANSWERS).read_text()))).max() < 1e-6


def test_a_stopped_run_goes_on(golden: Path) -> None:
    losses, before = read_history(golden / STOPPED / METRICS)
    told: list[Note] = []
    summary = workflow.resume(Path(STOPPED), lambda event: told.append(event) if isinstance(event, Note) else None)
    assert not [note.key for note in told if note.key == "run_state_damaged"]
    assert summary.parity is not None
    assert summary.parity.is_equal
    after, records = read_history(golden / STOPPED / METRICS)
    assert (len(records), after[: len(losses)], records[: len(before)]) == (4, losses, before)
    assert not (golden / STOPPED / CHECKPOINTS).exists()


def test_an_ended_run_is_scored_and_handed_on(golden: Path) -> None:
    summary = workflow.evaluate(Path(ENDED))
    assert summary.test is not None
    assert summary.test.accuracy == workflow.resume(Path(ENDED)).test.accuracy  # type: ignore[union-attr]
    assert export_run(ENDED, out="handed.onnx").parity.is_equal


def _raise_in_file(run: Path) -> None:
    model = onnx.load(run / "model.onnx")
    said = next(each for each in model.metadata_props if each.key == "whyconv")
    said.value = re.sub(r'"format_version":\s*\d+', '"format_version": 9', said.value)
    del model.metadata_props[:]
    model.metadata_props.append(said)
    onnx.save(model, run / "model.onnx")


def _raise_policy(run: Path) -> None:
    _change_description(run, lambda said: said["policy"].update(version=9))


def _raise_description(run: Path) -> None:
    _change_description(run, lambda said: said.update(format_version=9))


def _change_description(run: Path, change: Callable[[dict], object]) -> None:
    said = json.loads((run / "network.json").read_text())
    change(said)
    (run / "network.json").write_text(json.dumps(said))


def _raise_plan(run: Path) -> None:
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(re.sub(r"^version = \d+", "version = 9\nlater = true", text))


def _raise_state(run: Path) -> None:
    (path,) = (run / CHECKPOINTS).iterdir()
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    later = path.with_name("step-000000007.safetensors")
    digests = json.dumps({"metadata version": digest_bytes(b"9")})
    save_file(tensors, later, {"progress": metadata["progress"], "digests": digests, "version": "9"})
    began = json.loads((run / ENVIRONMENT).read_text())
    (run / ENVIRONMENT).write_text(json.dumps(began | {"torch": "0.1"}))  # of another machine, which would be noted


OPENED: dict[str, tuple[Callable[[Path], object], str, Callable[[Path], object], str, int]] = {
    "exported file": (_raise_in_file, ENDED, open_recognizer, "model.onnx has format version 9", 1),
    "description": (_raise_description, ENDED, open_torch, "network.json has format version 9", 1),
    "policy": (_raise_policy, ENDED, open_torch, "network.json: its picture policy has format version 9", 1),
    "plan": (_raise_plan, STOPPED, lambda run: Plan.read(run / "run.toml"), "run.toml has format version 9", 1),
    "state": (_raise_state, STOPPED, workflow.resume, "step-000000007.safetensors has format version 9", 2),
}


@pytest.mark.parametrize("what", OPENED)
def test_a_newer_format_is_refused_by_its_number_and_left_as_it_is(what: str, golden: Path) -> None:
    raise_version, name, opened, words, newest = OPENED[what]
    raise_version(golden / name)
    before = {path: path.read_bytes() for path in (golden / name).rglob("*") if path.is_file()}
    with pytest.raises(NewerFormatError, match=rf"{re.escape(words)}; this whyconv reads up to {newest}\. Update it"):
        opened(Path(name))
    assert {path: path.read_bytes() for path in (golden / name).rglob("*") if path in before} == before
