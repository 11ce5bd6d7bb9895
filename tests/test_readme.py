"""What README.md says is so: its commands run and print what it shows, its lists name what is there."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

import whyconv
from command_line import VERBS, Demo, run_whyconv
from tiny_training import write_bars
from whyconv import workflow

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")


def blocks(text: str, kind: str) -> list[str]:
    """Returns the fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def sessions(text: str) -> list[tuple[str, list[str]]]:
    """Returns each command shown after a `$` and the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in "".join(blocks(text, "console")).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def mask(line: str) -> str:
    """Returns ``line`` with every number a #, and one space wherever there are several."""
    return re.sub(r"\s+", " ", re.sub(r"\d+([.,:]\d+)*", "#", line)).strip()


def first_missing(shown: list[str], printed: list[str]) -> str | None:
    """Returns the first line of ``shown`` that ``printed`` lacks, in order; "..." stands for any lines."""
    rest = iter([mask(line) for line in printed])
    return next((line for line in shown if line.strip() != "..." and mask(line) not in rest), None)


@pytest.fixture(scope="module")
def copy(demo_run: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo's folder, for commands that write."""
    return Path(shutil.copytree(demo_run.folder, tmp_path_factory.mktemp("readme") / "demo"))


@pytest.mark.parametrize(("command", "shown"), sessions(README), ids=[command for command, _ in sessions(README)])
def test_a_command_prints_what_the_readme_shows(command: str, shown: list[str], copy: Path) -> None:
    program, *words = shlex.split(command)
    assert program == "whyconv"
    done = run_whyconv(copy, *words)
    assert done.returncode == 0, done.stdout
    assert first_missing(shown, done.stdout.splitlines()) is None, done.stdout


def test_a_changed_line_is_noticed() -> None:
    printed = ["accuracy  98.2 % (96.1-99.2)", "epoch 1", "saved"]
    assert first_missing(["accuracy 97.5 % (95-99)", "...", "saved"], printed) is None
    assert first_missing(["saved", "epoch 3"], printed) == "epoch 3"
    assert first_missing(["precision 98.2 %"], printed) == "precision 98.2 %"


def test_the_korean_readme_shows_the_same_commands() -> None:
    assert [command for command, _ in sessions(KOREAN)] == [command for command, _ in sessions(README)]
    assert blocks(KOREAN, "sh") == blocks(README, "sh")
    assert blocks(KOREAN, "python") == blocks(README, "python")


def test_what_is_shown_in_python_can_be_followed_by_the_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_bars(tmp_path / "pets", n=30)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("photo.jpg")
    (code,) = blocks(README, "python")
    assert code.count("minutes=1") == 1
    values: dict[str, object] = {}
    quick = {"network": "lesson", "epochs": 1, "flips": "off", "threads": 1, "store": str(tmp_path / "store")}
    exec(code.replace("minutes=1", "**quick"), values | {"quick": quick} | {"print": lambda *_: None}, values)
    values |= {"picture": "photo.jpg", "folder": values["run"], "network": nn.Conv2d(3, 2, 3)}
    monkeypatch.setattr(workflow, "measure_why", lambda run, *rest: run)
    section = README.partition("### From Python")[2].partition("\n## ")[0].replace(code, "")
    calls = re.findall(r"`(whyconv\.\w+\(.+?\))`", section)
    found = {call: eval(call, {"whyconv": whyconv}, values) for call in calls}
    assert found["whyconv.why(run)"] == Path("runs/pets-1")
    assert found["whyconv.explain(run, picture)"].picture == "photo.jpg"
    assert Path(found["whyconv.export_run(run)"].path).is_file()
    assert found["whyconv.open_torch(folder)"].metadata.classes == ("lies", "stands")
    assert whyconv.open(values["run"]).classes == ("lies", "stands")
    assert whyconv.inspect(values["run"]).totals == whyconv.inspect("runs/pets-1").totals


def test_every_verb_has_a_row() -> None:
    for text in (README, KOREAN):
        assert re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE) == list(VERBS)


def test_the_tree_names_every_part_of_the_package() -> None:
    tree = next(block for block in blocks(README, "text") if "src/whyconv/" in block)
    package = Path(whyconv.__file__).parent
    there = {path.name for path in package.iterdir() if path.suffix == ".py"}
    there |= {f"{path.name}/" for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"}
    inside = tree.partition("src/whyconv/\n")[2]
    shown = set(re.findall(r"(?:^| )  ?(\w+(?:\.py|/))(?= )", inside, flags=re.MULTILINE))
    assert shown == there


def test_the_tree_names_what_is_there() -> None:
    tree = next(block for block in blocks(README, "text") if "src/whyconv/" in block)
    outside = re.findall(r"^(\S+)(?:  (\S+))?  +\S", tree.partition("src/whyconv/\n")[0], flags=re.MULTILINE)
    named = [name for pair in outside for name in pair if name]
    assert "README.ko.md" in named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_ci_installs_the_packages_that_the_readme_names() -> None:
    lines = re.findall(r"^sudo apt-get install -y (.+)$", README, flags=re.MULTILINE)
    named = {package for line in lines for package in line.split()}
    installed = re.search(r"packages=\((.+)\)", (ROOT / ".ci" / "run").read_text())
    assert installed is not None
    assert set(installed[1].split()) == named


def test_make_has_the_targets_that_are_named() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(
        re.findall(r"(?:^|`)make ([\w-]+)", README + (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    )
    assert {"demo", "test"} <= named <= targets


def test_named_extras_and_the_pinned_torch_are_real() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    text = "\n".join([README, KOREAN, (ROOT / "Makefile").read_text(), *sources])
    named = {extra for group in re.findall(r"(?:whyconv|\.)\[([a-z][a-z,]*)\]", text) for extra in group.split(",")}
    assert named
    assert named <= set(project["optional-dependencies"])
    assert re.findall(r"version (\S+) of torch", README) == re.findall(
        r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE
    )
