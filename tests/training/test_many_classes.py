"""Scores of hundreds and thousands of classes: in bounds of memory, and in a summary that can be read again."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from made_up_run import BARE
from whyconv.finishing import read_summary
from whyconv.reporting import _for_page
from whyconv.results import Evaluation, RunSummary
from whyconv.show.runs import evaluation_lines
from whyconv.training import left_out, pixel_rows
from whyconv.training.evaluate import confusion_matrix, score
from whyconv.training.left_out import Regression, probabilities_left_out
from whyconv.training.run_folder import SUMMARY
from whyconv.training.suspects import Doubts, agreed, doubts


def scored(num_classes: int, n: int) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = (np.arange(n) % num_classes).astype(np.int32)
    probabilities = np.full((n, num_classes), 0.5 / num_classes, np.float32)
    # A third is wrong, and one pair is confused often.
    answers = np.where(random.random(n) < 0.3, random.integers(0, num_classes, n), labels)
    answers[labels == 7] = 9
    probabilities[np.arange(n), answers] += 0.5
    classes = [f"class {index}" for index in range(num_classes)]
    names = [str(row) for row in range(n)]
    return score(probabilities, labels, classes=classes, names=names, part="test"), labels, answers


def summary_of(found: Evaluation) -> RunSummary:
    return BARE.model_copy(update={"validation": found, "test": found})


@pytest.mark.parametrize(("num_classes", "n"), [(299, 900), (360, 1080), (1000, 3000)])
def test_a_summary_of_many_classes_is_read_again(tmp_path: Path, num_classes: int, n: int) -> None:
    found, labels, answers = scored(num_classes, n)
    written = summary_of(found)
    (tmp_path / SUMMARY).write_text(written.model_dump_json(indent=2))
    assert read_summary(tmp_path) == written
    assert len(found.classes) == num_classes
    assert found.num_wrong == int((labels != answers).sum())
    whole = confusion_matrix(labels, answers, num_classes)
    rows = [int(name.removeprefix("class ")) for name in found.class_names]
    assert found.confusion == whole[np.ix_(rows, rows)].tolist()
    assert len(rows) == (100 if num_classes > 300 else num_classes)
    assert {pair.truth for pair in found.most_confused} <= set(found.class_names)
    assert (found.most_confused[0].truth, found.most_confused[0].answer) == ("class 7", "class 9")


def test_a_summary_of_ten_thousand_classes_is_read_again(tmp_path: Path) -> None:
    found, *_ = scored(1000, 3000)
    classes = [found.classes[0].model_copy(update={"name": f"class {index}"}) for index in range(10_000)]
    written = summary_of(found.model_copy(update={"classes": classes}))
    (tmp_path / SUMMARY).write_text(written.model_dump_json(indent=2))
    assert read_summary(tmp_path) == written


def test_classes_without_a_score_of_their_own_are_counted_among_those_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whyconv.training.evaluate.MOST_SCORED", 30)
    found, *_ = scored(40, 120)
    assert len(found.classes) == 30
    (line,) = [line for line in evaluation_lines(found, "en") if " more class" in line]
    assert line.split()[:3] == ["...", "30", "more"]
    assert "found more often" not in line


def test_the_page_lists_the_classes_that_its_table_is_about() -> None:
    found, *_ = scored(360, 1080)
    page = _for_page(summary_of(found)).test
    assert page is not None
    assert [one.name for one in page.classes] == page.class_names == found.tabled
    few, *_ = scored(20, 60)
    assert _for_page(summary_of(few)) == BARE.model_copy(update={"validation": few, "test": few})


def test_scores_of_thousands_of_classes_take_no_table_of_all() -> None:
    tracemalloc.start()
    scored(4000, 1000)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 3 * 4000 * 1000 * 4


def test_ridge_regression_takes_no_table_of_all_classes() -> None:
    labels = np.arange(20, dtype=np.int32) * 250
    tracemalloc.start()
    Regression(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32), labels, 5000)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 20e6


def test_judging_labels_takes_two_tables_of_probabilities_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_rows, "_CELLS", 20_000)
    monkeypatch.setattr(left_out, "_MOST_FITTED", 20_000)
    random, n, classes = np.random.default_rng(0), 3000, 500
    labels = random.integers(0, classes, n).astype(np.int32)
    layers = [random.normal(size=(n, 4)).astype(np.float32) for _ in range(3)]
    copies = np.where(np.arange(n) < 40, 0, np.arange(n) // 2)
    tracemalloc.start()
    found = agreed(probabilities_left_out(each, labels, classes, copies) for each in layers)
    doubts(found, labels)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert taken < 2.6 * n * classes * 4


def test_a_few_rows_at_a_time_change_nothing_that_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 7, 200).astype(np.int32)
    layers = [(random.normal(size=(200, 5)) + labels[:, None]).astype(np.float32) for _ in range(2)]
    copies = np.where(np.arange(200) < 30, 0, np.arange(200) // 2)

    def judged() -> tuple[np.ndarray, Doubts]:
        found = agreed([probabilities_left_out(each, labels, 7, copies) for each in layers])
        return found, doubts(found, labels)

    whole, told = judged()
    monkeypatch.setattr(pixel_rows, "_CELLS", 50)
    parts, again = judged()
    assert parts == pytest.approx(whole, abs=1e-5)
    assert again.ranked().tolist() == told.ranked().tolist()
    assert again.is_sure.tolist() == told.is_sure.tolist()
