"""What was measured of why convolutions is not replaced by less, and what was kept is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from made_up_why import made_up_why, whole_why
from whyconv import __version__, explained
from whyconv.explained import RECORD, REPORT, KeptParts, Pixels, answered, record_path, write_why
from whyconv.report.page import WHY_BEGINS, WHY_ENDS
from whyconv.results import Note, ignore
from whyconv.results.why import Question, Why
from whyconv.show.square import square_lines
from whyconv.show.why import why_lines

QUICK, TEN = Question(side=32, minutes=None, seed=0), Question(side=32, minutes=10.0, seed=0)
EMPTY = f'<html lang="en">{WHY_BEGINS}<p class="unmeasured">-</p>{WHY_ENDS}</html>'


def why(question: Question) -> Why:
    return made_up_why().model_copy(update={"question": question, "version": __version__})


def asked_of(folder: Path, question: Question) -> tuple[Why | None, list[str]]:
    told: list[Note] = []
    return answered(folder, question, "d", told.append), [note.key for note in told]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / REPORT).write_text(EMPTY, encoding="utf-8")
    write_why(tmp_path, why(TEN), Pixels(), ignore)
    return tmp_path


@pytest.mark.parametrize("minutes", [None, 0.5, 9.9])
def test_the_longer_answer_is_shown_in_place_of_a_shorter_one(folder: Path, minutes: float | None) -> None:
    found, keys = asked_of(folder, TEN.model_copy(update={"minutes": minutes}))
    assert found is not None
    assert found.question == TEN
    assert keys == ["why_saved_longer"]


def test_a_copied_or_renamed_run_is_headed_by_the_name_it_has_now(folder: Path, tmp_path_factory) -> None:
    renamed = tmp_path_factory.mktemp("renamed") / "its-new-name"
    shutil.copytree(folder, renamed)
    found, _ = asked_of(renamed, TEN)
    assert found is not None
    heads = [" ".join(lines) for lines in (square_lines(found.square, "en")[:2], why_lines(found, "en")[:2])]
    assert ["its-new-name" in head for head in heads] == [True, True]
    assert made_up_why().square.run not in "".join(heads)


def test_parts_found_before_a_stop_are_not_asked_again_but_for_another_question(tmp_path: Path) -> None:
    path, found = tmp_path / "why-parts.json", whole_why()
    names = ("price", "surgery", "detectors", "fields", "equivariance", "hyperparameters")
    parts = {name: getattr(found, name) for name in names}
    assert None not in parts.values()

    def ask(origin: str, name: str, *, is_known: bool) -> None:
        part, asked = parts[name], []
        assert KeptParts(path, origin)(name, type(part), lambda: asked.append(name) or part) == part
        assert len(asked) == (not is_known)

    for name in parts:
        ask("a", name, is_known=False)
    for name in parts:
        ask("a", name, is_known=True)
    # One that another version wrote differently, and a file that is none.
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["parts"]["price"]["protocol"]
    path.write_text(json.dumps(values), encoding="utf-8")
    ask("a", "price", is_known=False)
    ask("a", "surgery", is_known=True)
    ask("b", "surgery", is_known=False)
    ask("a", "surgery", is_known=False)
    for content in ("", "[]", '{"origin": "a"}', '{"origin": "a", "parts": 1}'):
        path.write_text(content, encoding="utf-8")
        ask("a", "fields", is_known=False)
        ask("a", "fields", is_known=True)


@pytest.mark.parametrize("changes", [{"minutes": 10.5}, {"seed": 1}, {"side": 16}, {"seed": 1, "minutes": None}])
def test_another_question_is_measured(folder: Path, changes: dict[str, object]) -> None:
    assert asked_of(folder, TEN.model_copy(update=changes)) == (None, [])


@pytest.mark.parametrize("minutes", [None, 3.0])
def test_a_shorter_one_leaves_the_longer_one_and_the_report_alone(folder: Path, minutes: float | None) -> None:
    record, report = (folder / RECORD).read_bytes(), (folder / REPORT).read_bytes()
    told: list[Note] = []
    shorter = why(Question(side=16, minutes=minutes, seed=3))
    path = write_why(folder, shorter, Pixels(), told.append)
    assert ((folder / RECORD).read_bytes(), (folder / REPORT).read_bytes()) == (record, report)
    name = "quick" if minutes is None else "3-minutes"
    assert path == record_path(folder, shorter.question) == folder / f"why-16-pixels-{name}-seed-3.json"
    assert Why.model_validate_json(path.read_bytes()) == shorter
    assert [note.key for note in told] == ["why_kept_longer"]
    assert told[0].values["minutes"] == 10.0
    # Asked again it is read, from its own file; the longer one is still that of its own question.
    again, keys = asked_of(folder, shorter.question)
    assert again is not None
    assert (again.question, keys) == (shorter.question, ["square_saved"])
    assert record_path(folder, TEN) == folder / RECORD


@pytest.mark.parametrize("changes", [{}, {"seed": 1}, {"minutes": 20.0}])
def test_as_long_or_longer_takes_the_place(folder: Path, changes: dict[str, object]) -> None:
    told: list[Note] = []
    new = why(TEN.model_copy(update=changes))
    report = (folder / REPORT).read_bytes()
    assert write_why(folder, new, Pixels(), told.append) == folder / RECORD == record_path(folder, new.question)
    assert Why.model_validate_json((folder / RECORD).read_bytes()) == new
    assert told == []
    assert report != EMPTY.encode()


def test_a_longer_one_of_another_version_is_kept_too(folder: Path) -> None:
    text = (folder / RECORD).read_text(encoding="utf-8").replace('"question": {', '"new_key": 1, "question": {')
    (folder / RECORD).write_text(text, encoding="utf-8")
    assert asked_of(folder, QUICK)[0] is None  # it cannot be read
    assert write_why(folder, why(QUICK), Pixels(), ignore).name == "why-32-pixels-quick-seed-0.json"
    assert (folder / RECORD).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["", "{}", '{"digest": "d", "question": 3}', '{"digest": "other"}', "[]"])
def test_what_is_damaged_or_of_other_pictures_is_replaced(folder: Path, text: str) -> None:
    (folder / RECORD).write_text(text, encoding="utf-8")
    assert asked_of(folder, QUICK) == (None, [])
    assert write_why(folder, why(QUICK), Pixels(), ignore) == folder / RECORD


def test_other_pictures_are_another_question(folder: Path) -> None:
    assert answered(folder, TEN, "other", ignore) is None
    other = why(QUICK).model_copy(update={"digest": "other"})
    assert write_why(folder, other, Pixels(), ignore) == folder / RECORD


def test_an_error_in_the_section_is_not_told_as_a_page_without_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise IndexError("an error of the section")

    (tmp_path / REPORT).write_text(EMPTY, encoding="utf-8")
    monkeypatch.setattr(explained, "why_section", fails)
    told: list[Note] = []
    with pytest.raises(IndexError, match="of the section"):
        write_why(tmp_path, why(TEN), Pixels(), told.append)
    assert told == []


@pytest.mark.parametrize("page", [b"<html></html>", EMPTY.encode() * 2, b"\xff" + EMPTY.encode()])
def test_a_page_without_a_place_stays_and_is_named(tmp_path: Path, page: bytes) -> None:
    (tmp_path / REPORT).write_bytes(page)
    told: list[Note] = []
    write_why(tmp_path, why(TEN), Pixels(), told.append)
    assert (tmp_path / REPORT).read_bytes() == page
    assert [note.key for note in told] == ["why_no_place"]
