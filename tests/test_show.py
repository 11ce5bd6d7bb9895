"""What a terminal shows: aligned, within 80 columns, in both languages, and never steered by a name."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from made_up_run import evaluation
from whyconv.results import (
    Calibration,
    CheckReport,
    ClassCount,
    ClassScore,
    Confusion,
    DuplicateGroup,
    EpochRecord,
    Estimate,
    Evaluation,
    Note,
    Parity,
    Prediction,
    RankedLabel,
    RunSummary,
    SizeRange,
    Suspect,
    Suspects,
    Unreadable,
    WrongAnswer,
)
from whyconv.show.data import check_lines
from whyconv.show.runs import epoch_line, evaluation_lines, prediction_line, run_lines, run_values, scored_lines
from whyconv.show.text import note_lines, printable
from whyconv.texts import clock

COPIES = DuplicateGroup(names=["cat/1.jpg", "dog/2.jpg"], kind="exact", labels=["cat", "dog"], parts=["train", "test"])
REPORT = CheckReport(
    where="pets",
    layout=Note(key="layout_folders"),
    num_pictures=2013,
    classes=[
        ClassCount(name="cat", num_pictures=1203, num_by_part={"train": 1000, "test": 203}),
        ClassCount(name="고양이 족제비", num_pictures=810, num_by_part={"train": 700, "test": 110}),
    ],
    widths=SizeRange(min=159, median=320, max=1024),
    heights=SizeRange(min=134, median=240, max=442),
    channels="color",
    num_gray=12,
    formats={"png": 13, "jpeg": 2000},
    num_turned=41,
    num_scaled=12,
    num_alpha=1,
    num_animated=2,
    unreadable=[Unreadable(name=f"cat/{k}.jpg", reason="cut short") for k in range(7)],
    duplicates=[COPIES, COPIES],
    mirrored=[("cat/3.jpg", "cat/4.jpg")],
    leaks=[COPIES],
    conflicts=[COPIES],
    skipped=[],
    notes=[Note(key="skipped", values={"num": "3", "names": ".DS_Store, runs/, __MACOSX/"})],
    seconds=1.5,
)


COPY = Unreadable(name="z", reason="in English", note=Note(key="not_scored_in_train"))


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.042, high=value + 0.039, n=301)


def scored(num_classes: int = 2, part: str = "test") -> Evaluation:
    scores = [
        ClassScore(
            name=f"class {k}", n=150 + k, recall=estimate(0.5 + k / 100), precision=None if k == 0 else estimate(0.8)
        )
        for k in range(num_classes)
    ]
    return Evaluation(
        part=part,
        n=301,
        accuracy=estimate(0.841),
        balanced_accuracy=estimate(0.816),
        largest_class="class 1",
        largest_class_fraction=0.399,
        loss=0.5,
        classes=scores,
        confusion=[[0] * num_classes] * (num_classes - 1) + [[0] * (num_classes - 1) + [253]],
        most_confused=[
            Confusion(truth="dog", answer="wolf", count=9),
            Confusion(truth="cat", answer="ferret", count=5),
        ],
        num_sure_and_wrong=3,
        surest_wrong=[WrongAnswer(name="cat/7.jpg", truth="cat", answer="dog", probability=0.99)],
        calibration=Calibration(
            temperature=1.31,
            error_before=Estimate(value=0.071, low=0.06, high=0.09, n=301),
            error_after=Estimate(value=0.024, low=0.02, high=0.05, n=301),
            n_fit=301,
        ),
        left_out=[Unreadable(name="x", reason="cut short"), COPY, COPY, Unreadable(name="y", reason="no picture")],
    )


SUMMARY = RunSummary(
    run="runs/pets-1",
    network="plain",
    num_parameters=283_000,
    best_epoch=17,
    num_epochs=30,
    seconds=3751,
    stopped="no_gain",
    validation=scored(part="validation"),
    test=scored(),
    parity=Parity(n=301, num_same_answer=301, largest_difference=4.1e-6, tolerance=1e-4),
    suspects=Suspects(
        n=2000,
        num_pictures=2013,
        num_doubted=31,
        num_sure=7,
        first=[
            Suspect(
                name="train/cat/3.jpg",
                part="train",
                label="cat",
                likely="dog",
                probability_label=0.01,
                probability_likely=0.98,
                is_sure=True,
            )
        ],
    ),
)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_tables_fit_80_columns(language: str) -> None:
    lines = [*check_lines(REPORT, language), *run_lines(SUMMARY, language), *evaluation_lines(scored(40), language)]
    assert [line for line in lines if cell_len(line) > 80] == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_row_of_a_score_fits_80_columns_and_goes_on_below_its_value(language: str) -> None:
    found = evaluation()
    assert found.sets is not None
    always = found.sets.model_copy(update={"coverage": Estimate(value=1, low=0.993, high=1, n=301)})
    name = "a name of many words " * 5
    wrong = WrongAnswer(name=name, truth="a", answer="b", probability=0.99)
    whole = found.model_copy(update={"sets": always, "surest_wrong": [wrong]})
    for scores in (whole, whole.model_copy(update={"calibration": None})):
        lines = evaluation_lines(scores, language)
        assert [line for line in lines if cell_len(line) > 80] == []
        text = " ".join(" ".join(lines).split())
        assert " ".join(name.split()) in text
        assert ("1.31 labels on average" if language == "en" else "평균 라벨 1.31개") in text
        (at,) = [place for place, line in enumerate(lines) if "a name of many words" in line][:1]
        column = cell_len(lines[at][: lines[at].index("a name")])
        assert len(lines[at + 1]) - len(lines[at + 1].lstrip()) == column


@pytest.mark.parametrize(
    ("language", "whole", "short"),
    [
        ("en", "calibration error less chance", "the same less chance"),
        ("ko", "우연을 뺀 보정 오차", "우연을 뺀 오차"),
    ],
)
def test_what_is_less_chance_is_named_where_no_row_before_names_it(language: str, whole: str, short: str) -> None:
    fitted = evaluation()
    assert any(short in line for line in evaluation_lines(fitted, language))
    of_others = evaluation_lines(fitted.model_copy(update={"calibration": None}), language)
    assert any(line.strip().startswith(f"{whole}  ") for line in of_others)
    assert not [line for line in of_others if short in line]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_columns_are_aligned_on_the_screen(language: str) -> None:
    rows = [line for line in check_lines(REPORT, language) if " %" in line]
    assert len(rows) == 2
    assert len({cell_len(row[: row.index(" %")]) for row in rows}) == 1


def test_a_check_says_everything_that_was_found() -> None:
    text = "\n".join(check_lines(REPORT, "en"))
    for told in (
        "pets   class folders   2,013 pictures, 2 classes",
        "train 1,000   test 203",
        "159-1024 x 134-442 (320 x 240), color (12 gray)",
        "jpeg 2,000, png 13",
        "41, taken upright",
        "12, scaled to 0-255",
        "1 group of copies (2 pictures) lie in two parts",
        "cat/1.jpg = dog/2.jpg",
        "1 pair, only reported",
        "! 7 files cannot be read and are left out",
        "cat/0.jpg   cut short",
        "and 2 more",
        "Passed over: 3 (.DS_Store, runs/, __MACOSX/)",
    ):
        assert told in text


def test_copies_are_said_to_be_kept_on_one_side_only_where_they_are() -> None:
    torn = " ".join("\n".join(check_lines(REPORT, "en")).split())
    assert "copies 2 groups (4 pictures) !" in torn
    assert "lie in two parts: a training leaves out those in the later of train, validation, test" in torn
    whole = "\n".join(check_lines(REPORT.model_copy(update={"leaks": []}), "en"))
    assert "2 groups (4 pictures), kept on one side of the split" in whole


def test_a_long_first_line_becomes_two() -> None:
    layout = Note(key="layout_splits", values={"parts": "train/test"})
    longer = check_lines(REPORT.model_copy(update={"layout": layout, "where": "p" * 20}), "en")
    assert longer[:2] == [f"{'p' * 20}   train/test folders with class folders inside", "2,013 pictures, 2 classes"]


def test_many_classes_are_cut_in_the_middle() -> None:
    classes = [ClassCount(name=f"c{k}", num_pictures=1000 - k) for k in range(100)]
    text = "\n".join(check_lines(REPORT.model_copy(update={"classes": classes}), "en"))
    assert "c0 " in text
    assert "c99" in text
    assert "c50" not in text
    assert "... 90 more classes ..." in text


def test_a_score_never_stands_without_its_interval() -> None:
    lines = evaluation_lines(scored(), "en")
    assert "84.1 % (79.9-88.0)" in lines[1]
    assert "81.6 % (77.4-85.5)" in lines[2]
    assert "39.9 %   always answering 'class 1'" in lines[3]
    assert "dog -> wolf: 9, cat -> ferret: 5" in lines[4]
    assert lines[5].endswith("3 of 48 wrong answers, with a probability of 0.9 or more")
    assert lines[6].endswith("cat/7.jpg: dog 0.99")
    assert "7.1 % (6.0-9.0) -> 2.4 % (2.0-5.0), temperature 1.31" in lines[7]
    assert lines[8].split() == ["not", "unsure", "not", "available"]
    assert lines[10].split() == ["class", "0", "150", "50.0", "%", "(45.8-53.9)", "-"]
    assert "95 %" in lines[12]


def test_what_became_of_promises_is_told() -> None:
    lines = evaluation_lines(evaluation(), "en")
    assert any("0.4 %; by chance alone -0.8 % to 1.1 %" in line for line in lines)
    assert any(line.startswith("  sets at 0.95  ") and "hold the truth: 90.0 % (" in line for line in lines)
    assert "1.31 labels on average" in " ".join(" ".join(lines).split())
    assert any(line.startswith("  not unsure") and "(" in line for line in lines)
    validation = evaluation().model_copy(update={"part": "validation", "acceptance": None})
    assert not any("unsure" in line for line in evaluation_lines(validation, "en"))


def test_a_line_says_unsure_and_shows_the_set() -> None:
    labels = [RankedLabel(label="dog", probability=0.61), RankedLabel(label="wolf", probability=0.3)]
    unsure = Prediction(name="a.jpg", labels=labels, is_unsure=True, label_set=["dog", "wolf\x1b"])
    assert prediction_line(unsure, 1) == "a.jpg   dog 0.61   {dog, wolf\\x1b}   unsure"
    sure = unsure.model_copy(update={"is_unsure": False, "label_set": None})
    assert prediction_line(sure, 1) == "a.jpg   dog 0.61"
    assert prediction_line(sure.model_copy(update={"is_unsure": None}), 1) == "a.jpg   dog 0.61"


def test_pictures_that_were_not_scored_are_counted_by_reason() -> None:
    assert evaluation_lines(scored(), "en")[-4:] == [
        "! 4 pictures not scored:",
        "    2  a copy of it is among the training pictures",
        "    1  cut short",
        "    1  no picture",
    ]
    assert evaluation_lines(scored(), "ko")[-3] == "    2  같은 이미지가 학습 이미지에 있음"
    many = [Unreadable(name=str(k), reason=f"ends after {k} bytes") for k in range(9)]
    assert "and 4 more" in evaluation_lines(scored().model_copy(update={"left_out": many}), "en")[-1]


def test_an_evaluation_says_what_it_scored_and_nothing_of_the_training() -> None:
    lines = scored_lines(SUMMARY.model_copy(update={"evaluated": "other/pets", "parity": None}), "en")
    assert lines[0] == "runs/pets-1/model.onnx on other/pets"
    assert lines[1] == "test   301 pictures"
    assert lines[-1] == "the run's own report: runs/pets-1/report.html"
    assert not [line for line in lines if "epoch" in line or "onnxruntime" in line or "1:02:31" in line]


def test_the_reading_is_told_in_the_language_spoken() -> None:
    assert check_lines(REPORT, "ko")[0].startswith("pets   클래스 폴더   ")
    nested = Note(key="check_head", values={"where": "pets", "layout": REPORT.layout})
    assert note_lines(nested, "ko") == ["  pets   클래스 폴더"]


def test_the_weakest_of_many_classes_are_shown() -> None:
    text = "\n".join(evaluation_lines(scored(40), "en"))
    assert "class 9 " in text
    assert "class 10 " not in text
    assert "30 more classes" in text


def test_the_last_line_of_a_run_says_where_the_results_are() -> None:
    lines = run_lines(SUMMARY, "en")
    assert "283,000 parameters, epoch 17 of 30 kept, 1:02:31" in lines[0]
    assert lines[-1] == "results in runs/pets-1   report: runs/pets-1/report.html"
    assert any("onnxruntime on 301 of 301 pictures, largest difference 4.1e-06" in line for line in lines)


def test_a_run_in_json_has_plain_fractions() -> None:
    values = run_values(SUMMARY)
    assert values["run"] == "runs/pets-1"
    test = values["test"]
    assert (test["accuracy"], test["low"], test["high"], test["n"]) == pytest.approx((0.841, 0.799, 0.88, 301))
    assert test["balanced_accuracy"] == pytest.approx(0.816)
    assert run_values(SUMMARY.model_copy(update={"validation": None}))["validation"] is None


def test_the_form_in_json_is_the_one_that_is_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "files.md").read_text(encoding="utf-8")
    table = page.partition("### Scores in JSON")[2].partition("\nAll other")[0]
    values, kept = run_values(SUMMARY), SUMMARY.model_dump(mode="json")
    for row in re.findall(r"^\| `.+$", table, flags=re.MULTILINE):
        names = re.findall("`([a-z_.]+)`", row)
        for name, origin in zip(names[: len(names) // 2], names[len(names) // 2 :], strict=True):
            estimate, end = origin.split(".")
            assert values["test"].pop(name) == kept["test"][estimate][end]
    del kept["test"]["accuracy"], kept["test"]["balanced_accuracy"]
    assert values["test"] == kept["test"]


def test_one_line_an_epoch() -> None:
    record = EpochRecord(
        epoch=9,
        num_epochs=30,
        step=90,
        loss=0.6123,
        train_accuracy=0.802,
        validation_loss=0.7,
        validation_accuracy=0.811,
        learning_rate=0.1,
        seconds=151,
        is_best=True,
    )
    assert epoch_line(record, "en") == "epoch  9/30  J 0.612  train 80.2 %  validation 81.1 %  [2:31]  kept"
    without = record.model_copy(update={"validation_accuracy": None, "is_best": False})
    assert epoch_line(without, "ko") == "에포크  9/30  J 0.612  학습 80.2 %  [2:31]"


def test_a_prediction_is_one_line() -> None:
    labels = [
        RankedLabel(label=name, probability=share) for name, share in (("dog", 0.93), ("wolf", 0.05), ("cat", 0.01))
    ]
    assert prediction_line(Prediction(name="a b.jpg", labels=labels), 2) == "a b.jpg   dog 0.93   wolf 0.05"
    assert prediction_line(Prediction(name="x", labels=[], error="cut short"), 2) == "x   error: cut short"


@given(st.text() | st.binary().map(os.fsdecode))
def test_no_name_steers_the_terminal(text: str) -> None:
    labels = [RankedLabel(label=text, probability=1.0)]
    line = prediction_line(Prediction(name=text, labels=labels), 1)
    turning = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    assert not [letter for letter in line if unicodedata.bidirectional(letter) in turning]
    assert not [letter for letter in line if ord(letter) < 32 or 127 <= ord(letter) < 160]
    assert len(line.splitlines()) == 1
    line.encode("utf-8")


def test_printable_spells_out_what_it_hides() -> None:
    assert printable("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\n"
    assert printable(os.fsdecode(b"\xff.jpg")) == "\\xff.jpg"
    assert printable("고양이 👩\u200d👩") == "고양이 👩\u200d👩"


def test_notes_are_wrapped_and_warnings_marked() -> None:
    long = Note(key="predict_none", values={"paths": ["with\x1bescape"] + ["folder"] * 30}, level="warning")
    lines = note_lines(long, "en")
    assert len(lines) > 2
    assert lines[0].startswith("! no pictures found in with\\x1bescape, folder,")
    assert all(line.startswith("  ") and cell_len(line) <= 80 for line in lines[1:])


def test_a_part_is_named_in_the_language_spoken() -> None:
    note = Note(key="classes_unreadable_in_part", values={"part": "train", "num": 1, "classes": "cat"})
    assert "학습 부분" in note_lines(note, "ko")[0]


def test_times() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 151, 3751)] == ["0:00", "1:00", "2:31", "1:02:31"]


@pytest.mark.parametrize(("num_doubted", "is_said"), [(400, False), (401, True)])
def test_a_judge_that_disagrees_with_a_fifth_of_the_labels_is_not_believed(num_doubted: int, is_said: bool) -> None:
    suspects = SUMMARY.suspects.model_copy(update={"num_doubted": num_doubted})
    text = " ".join(run_lines(SUMMARY.model_copy(update={"suspects": suspects}), "en"))
    assert ("disagrees with 20.1 % of all labels" in " ".join(text.split())) is is_said


def test_labels_worth_a_look_are_told_with_the_first_and_the_file() -> None:
    text = " ".join(" ".join(run_lines(SUMMARY, "en")).split())
    assert (
        "labels worth a look: 31 of 2,000, 7 of them clearly; first train/cat/3.jpg: labelled cat, more like dog (0.98)"
        in text
    )
    assert "all in runs/pets-1/suspects.csv; nothing was changed" in text
    assert "worth a look" in " ".join(scored_lines(SUMMARY, "en"))
    assert "suspects.csv" not in " ".join(scored_lines(SUMMARY, "en"))


def test_where_no_label_is_worth_a_look_nothing_is_said() -> None:
    clean = Suspects(n=2000, num_pictures=2013, num_doubted=0, num_sure=0, first=[])
    for suspects in (clean, None):
        assert "look" not in " ".join(run_lines(SUMMARY.model_copy(update={"suspects": suspects}), "en"))
