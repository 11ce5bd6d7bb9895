"""Code that a run folder or a plan names is imported only where whoever opens it says so."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from golden_runs import ENDED, GOLDEN, formats
from strange_runs import described
from whyconv.cli import main
from whyconv.errors import UsageError
from whyconv.exporting import open_torch
from whyconv.nets import allow_code, build_planned, catalogue, require_network
from whyconv.settings import Plan

NAME = "code_of_others:build"
# Leaves a file where it is imported, and builds what the weights are of.
CODE = """
from pathlib import Path
from whyconv.nets import build_network
Path("imported").touch()
def build(**sizes):
    return build_network("lesson", **sizes)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose network is code of others, in the current folder, beside that code."""
    shutil.copytree(GOLDEN / formats(), tmp_path, dirs_exist_ok=True)
    (tmp_path / "code_of_others.py").write_text(CODE)
    plan = tmp_path / ENDED / "run.toml"
    plan.write_text(plan.read_text().replace('name = "lesson"', f'name = "{NAME}"'))
    described(tmp_path / ENDED, network=NAME)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "_allowed", set())
    monkeypatch.delitem(sys.modules, "code_of_others", raising=False)
    return Path(ENDED)


def test_it_is_refused_and_the_way_to_allow_it_is_told(run: Path) -> None:
    told = rf"code that is not whyconv's own, {NAME}.*--allow-code {NAME}.*whyconv\.allow_code\('{NAME}'\)"
    for opened in (lambda: open_torch(run), lambda: build_planned(Plan.read(run / "run.toml").network)):
        with pytest.raises(UsageError, match=told):
            opened()
    assert not Path("imported").exists()


def test_allowed_it_opens_and_answers(run: Path) -> None:
    allow_code(NAME)
    module = open_torch(run)
    assert Path("imported").exists()
    with torch.inference_mode():
        answers = module(torch.zeros(1, 6, 6, 1, dtype=torch.uint8))[0].numpy()
    assert np.isclose(answers.sum(), 1)


def test_another_name_allows_nothing(run: Path) -> None:
    allow_code("code_of_others:other")
    with pytest.raises(UsageError, match=re.escape(NAME)):
        open_torch(run)


@pytest.mark.parametrize("name", ["lesson", "", ":", "a:", ":b", "a b:c", "a:b; touch c", "a.:b", "a:b.c", "a:b\n"])
def test_what_names_no_code_cannot_be_allowed(name: str) -> None:
    with pytest.raises(UsageError, match="names no code"):
        allow_code(name)


def test_whoever_names_a_network_to_train_has_allowed_it(run: Path) -> None:
    require_network(NAME)
    assert build_planned(Plan.read(run / "run.toml").network)(torch.zeros(2, 1, 6, 6)).shape == (2, 2)


def test_the_command_line_asks_for_the_same_word(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", ENDED, "--to", "torch", "--lang", "en"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert f"--allow-code {NAME}" in " ".join(capsys.readouterr().err.split())
    assert not Path("imported").exists()
    with pytest.raises(SystemExit) as end:
        main([*words, "--allow-code", NAME])
    assert (end.value.code or 0, Path("imported").exists()) == (0, True)
