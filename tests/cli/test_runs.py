"""train and evaluate from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Demo, Outcome

# --- train and evaluate: what does not depend on a training


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train"], "Expected one of"),
        (["train", "pets", "--resume", "runs/pets-1"], "Expected one of"),
        (["train", "--config", "run.toml", "--seed", "3", "--batch", "8"], "--batch, --seed cannot be changed"),
        (["train", "--resume", "runs/pets-1", "--strict"], "--strict cannot be changed with --resume"),
        (["train", "pets", "--invariant", "real"], "invariant = 'real': input should be 'circular'"),
        (["train", "pets", "--invariant", "circular", "--network", "vgg16"], "no circular form of vgg16"),
    ],
)
def test_words_that_contradict_each_other_are_wrong_use(
    words: list[str], told: str, run: Callable[..., Outcome]
) -> None:
    outcome = run(*words)
    assert outcome.code == 2
    assert told in outcome.text


_WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name, name="torch")
sys.meta_path.insert(0, Refuse())
from whyconv.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["train", "pets"], ["evaluate", "run"], ["train", "--resume", "run"]])
def test_without_torch_the_line_that_installs_it_is_told(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TORCH, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'whyconv[train]'" in done.stderr
    assert done.stderr.count("\n") == 1


# --- train and evaluate: what a run says


def test_the_first_and_the_last_line_say_where_results_are_written(demo_run: Demo) -> None:
    lines = demo_run.output.splitlines()
    assert lines[:2] == ["made 1,797 handwritten digits in 10 classes -> demo-digits/", "  -> runs/demo-digits-1/"]
    assert lines[-1] == "results in runs/demo-digits-1   report: runs/demo-digits-1/report.html"
    assert (demo_run.run / "report.html").is_file()


def test_one_plain_line_an_epoch_where_there_is_no_terminal(demo_run: Demo) -> None:
    told = [line for line in demo_run.output.splitlines() if line.startswith("epoch ")]
    recorded = (demo_run.run / "metrics.jsonl").read_text().count('"num_epochs"')
    assert len(told) == recorded > 0
    assert all(
        re.fullmatch(r"epoch +\d+/\d+  J \d+\.\d{3}  train [\d.]+ %  .*\[\d+:\d\d\](  kept)?", line) for line in told
    )
    assert "\x1b" not in demo_run.output


def test_evaluate_prints_one_json_object_of_fractions(demo_run: Demo, run: Callable[..., Outcome]) -> None:
    outcome = run("evaluate", demo_run.run, demo_run.pictures / "test", "--json")
    assert outcome.code == 0, outcome.text
    scored = json.loads(outcome.data)["test"]
    assert scored["n"] == 540
    assert 0.9 < scored["low"] <= scored["accuracy"] <= scored["high"] <= 1
    assert 0.9 < scored["balanced_accuracy"] <= 1


def test_what_evaluate_counts_is_what_predict_answers(demo_run: Demo, run: Callable[..., Outcome]) -> None:
    scored = json.loads(run("evaluate", demo_run.run, demo_run.pictures / "test", "--json").data)["test"]
    rows = [
        json.loads(line)
        for line in run("predict", demo_run.run, demo_run.pictures / "test", "--json").data.splitlines()
    ]
    right = sum(row["label"] == Path(row["path"]).parent.name for row in rows)
    assert right / len(rows) == pytest.approx(scored["accuracy"])


def test_mistaken_settings_are_named_all_at_once(run: Callable[..., Outcome], pets: Path) -> None:
    outcome = run("train", pets, "--optimizer", "adamm", "--batch", 1)
    assert outcome.code == 2
    assert "optimizer = 'adamm'" in outcome.text
    assert "batch = 1" in outcome.text
