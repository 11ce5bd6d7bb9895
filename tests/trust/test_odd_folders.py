"""Any folder ends as the start of a training or as one clear message; check, train and predict see the same."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_line import Outcome
from odd_folders import CASES, Case, good
from tiny_model import write_model
from whyconv import workflow
from whyconv.cli import main
from whyconv.errors import WhyconvError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, pipes and names of Linux")

MOST_SECONDS = 60
Verb = Callable[..., Outcome]


class ReachedError(WhyconvError):
    """Pictures are read, divided and prepared: a training would begin."""

    exit_code = 99


@pytest.fixture
def verb(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Verb]:
    """Runs the command line in this process, up to the start of a training, and ends what hangs."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def begin(*_: object, **__: object) -> None:
        raise ReachedError("begins")

    monkeypatch.setattr(workflow, "_decide", begin)

    def hung(*_: object) -> None:
        raise SystemExit(f"hung for {MOST_SECONDS} s")  # as an error it could be taken for one of a file

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, hung)

    def call(*words: object) -> Outcome:
        signal.alarm(MOST_SECONDS)
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        signal.alarm(0)
        captured = capfd.readouterr()
        return Outcome(end.value.code or 0, captured.out, captured.err)

    yield call
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model.onnx")


def assert_plain(outcome: Outcome) -> None:
    """No trace, nothing that steers a terminal, nothing that is no text."""
    text = outcome.data + outcome.text
    assert "Traceback" not in text
    assert not re.search(r"[^\n\x20-\x7e\xa0-\U0010ffff]", text)
    assert not re.search("[\u202a-\u202e\ud800-\udfff]", text)


def last_message(outcome: Outcome) -> str:
    return " ".join(outcome.text.split("Error: ")[-1].split())


def assert_ends(case: Case, folder: Path, verb: Verb, model: Path) -> None:
    checked, trained = verb("check", folder), verb("train", folder, "--size", 8, "--start", "scratch")
    predicted = verb("predict", model, folder)
    for outcome in (checked, trained, predicted):
        assert_plain(outcome)
    said = " ".join(checked.text.split())
    if case.refusal:
        assert (checked.code, trained.code) == (3, 3), checked.text + trained.text
        assert re.search(case.refusal, last_message(checked)), checked.text
        assert last_message(trained) == last_message(checked)
    else:
        assert (checked.code, trained.code) == (0, ReachedError.exit_code), checked.text + trained.text
    for words in case.told:
        assert re.search(words, said), checked.text
    rows = predicted.data.splitlines()
    assert len(rows) == (case.num_rows or 0), predicted.data
    assert sum(" error: " in row for row in rows) == case.num_bad
    assert predicted.code == (3 if case.num_bad else 0), predicted.text


@pytest.mark.parametrize("name", CASES)
def test_every_folder_ends_as_it_must(name: str, tmp_path: Path, verb: Verb, model: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    try:
        CASES[name].make(folder)
        assert_ends(CASES[name], folder, verb, model)
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)  # pytest cannot take away a thousand folders


def test_the_folder_itself_may_have_an_odd_name(tmp_path: Path, verb: Verb, model: Path) -> None:
    folder = tmp_path / "=set \x1b[31m\n'"
    good(folder)
    assert_ends(Case(lambda _: None), folder, verb, model)
    (folder / "dog").rename(tmp_path / "away")
    assert_ends(Case(lambda _: None, "one class", num_rows=6), folder, verb, model)


def test_a_place_that_is_no_text_is_looked_at_and_refused_before_a_training(
    tmp_path: Path, verb: Verb, model: Path
) -> None:
    """A plan is a text file, and names the place of its pictures."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff set"))
    good(folder)
    checked, trained = verb("check", folder, "--json"), verb("train", folder)
    assert (checked.code, json.loads(checked.data)["num_pictures"]) == (0, 12)
    assert trained.code == 3
    assert re.search(r"xff set has bytes in its name .*Rename that folder", last_message(trained))
    assert len(verb("predict", model, folder).data.splitlines()) == 12
    for outcome in (checked, trained):
        assert_plain(outcome)
