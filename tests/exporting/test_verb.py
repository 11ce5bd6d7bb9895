"""`whyconv export` as a person calls it: one record on stdout, words on stderr, exit code 4 where the proof fails."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from command_line import shell
from tiny_training import write_bars
from whyconv import workflow
from whyconv.cli import main
from whyconv.exporting import one_run
from whyconv.results import Parity

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verb")
    write_bars(folder / "bars")
    words = {"network": "lesson", "epochs": 1, "threads": 1, "flips": "off", "search": "off"}
    made = workflow.train(
        str(folder / "bars"), only_model=True, out=str(folder / "runs"), store=str(folder / "store"), **words
    )
    return Path(made.run)


def test_the_record_goes_to_stdout_and_the_words_to_stderr(run: Path, tmp_path: Path) -> None:
    done = shell("export", run, "--any-size", "--out", tmp_path / "bars.onnx", "--json", "--lang", "ko")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["path"] == str(tmp_path / "bars.onnx")
    assert report["parity"]["n"] == report["parity"]["num_same_answer"] > 0
    assert report["resize"]["n"] > 0
    assert "torch의 신경망과 첫 번째 답이 같고" in done.stderr
    assert (tmp_path / "bars.onnx").stat().st_size == report["num_bytes"]


def test_without_a_name_the_file_has_the_runs(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one_run.export_run(run)
    one_run.export_run(run, to="torch")
    assert {each.name for each in tmp_path.iterdir()} == {"bars-1.onnx", "bars-1-torch"}


def test_other_pictures_and_the_folder_for_torch_are_named_as_words(run: Path, tmp_path: Path) -> None:
    write_bars(tmp_path / "others", 21, seed=5)
    folder = tmp_path / "folder"
    done = shell("export", run, "--to", "torch", "--pictures", tmp_path / "others", "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["kind"], report["pictures"], report["parity"]["n"]) == ("torch", "pictures", 21)
    assert "the folder named" in done.stderr
    assert (folder / "model.safetensors").exists()


def test_a_failed_proof_is_exit_code_4(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Parity(n=12, num_same_answer=11, largest_difference=0.4, tolerance=1e-4)
    monkeypatch.setattr(one_run, "prove", lambda *words: broken)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as end:
            main(["export", str(run), "--out", str(tmp_path / "b.onnx")])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 4
    assert "Error: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
